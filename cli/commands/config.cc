// bib config set | get | list | unset: the cluster's keys and values.
#include <istream>
#include <iterator>
#include <ostream>

#include "cli/commands/bib_command.h"
#include "cli/commands/requests.h"
#include "cli/print/rows_json.h"
#include "cli/print/units.h"
#include "wire/base/time_text.h"

namespace bib::cli {
namespace {

struct ConfigOptions {
  std::string key;
  std::string value;
  std::string prefix;
  std::optional<wire::Revision> expected_revision;
  std::uint64_t limit = 0;
};

ExitCode set(const Context& context, const ConfigOptions& options) {
  std::string from_input;
  if (options.value == "-") {
    from_input.assign(std::istreambuf_iterator<char>(context.in), std::istreambuf_iterator<char>());
  }
  const wire::SetConfig command{options.key, options.value == "-" ? from_input : options.value};
  return emit_change(context, fmt::format("Set {}", options.key),
                     send_command(context, command, options.expected_revision));
}

ExitCode unset(const Context& context, const ConfigOptions& options) {
  return emit_change(
      context, fmt::format("Unset {}", options.key),
      send_command(context, wire::UnsetConfig{options.key}, options.expected_revision));
}

ExitCode get(const Context& context, const ConfigOptions& options) {
  wire::Query query;
  query.table = wire::QueryTable::kConfig;
  query.key = options.key;
  const auto status = visit_row_as<wire::ConfigRow>(
      context, query, fmt::format("the key {}", options.key), [&](const wire::ConfigRow& row) {
        // The value as it is for a pipe, and harmless for a terminal.
        const std::string value =
            context.out_is_terminal ? printable(row.value) : std::string(row.value);
        context.emit(to_json(row), value + "\n");
      });
  return status ? ExitCode::kOk : context.report(status.error());
}

ExitCode list(const Context& context, const ConfigOptions& options) {
  wire::Query query;
  query.table = wire::QueryTable::kConfig;
  query.prefix = options.prefix;
  Json data = Json::array();
  Table table({"KEY", "VALUE", "REVISION", "UPDATED"});
  const auto status = visit_rows_as<wire::ConfigRow>(
      context, query, options.limit, [&](const wire::ConfigRow& row) {
        constexpr std::size_t kShown = 60;
        if (context.format != OutputFormat::kTable) return data.push_back(to_json(row));
        std::string value(row.value.substr(0, kShown));
        if (row.value.size() > kShown) value += "...";
        table.add({std::string(row.key), value, std::to_string(row.revision.value()),
                   wire::format_time(row.updated_us)});
      });
  if (!status) return context.report(status.error());
  context.emit(data, table.render());
  return ExitCode::kOk;
}

}  // namespace

void add_config_commands(Commands& commands) {
  auto& options = commands.keep<ConfigOptions>();
  Context& context = commands.context();
  CLI::App* config = commands.app().add_subcommand("config", "Keys and values of the cluster");
  config->require_subcommand(1);

  const auto add_expect = [&options](CLI::App* command) {
    add_expected_revision(*command, options.expected_revision,
                          "Only if the key has this revision (0: only if it does not exist)");
  };
  CLI::App* set_command = config->add_subcommand("set", "Set a key");
  set_command->add_option("KEY", options.key, "The key")->required();
  set_command->add_option("VALUE", options.value, "Its value; - reads it from standard input")
      ->required();
  add_expect(set_command);
  commands.on(*set_command, [&] { return set(context, options); });

  CLI::App* get_command = config->add_subcommand("get", "Print a key's value");
  get_command->add_option("KEY", options.key, "The key")->required();
  commands.on(*get_command, [&] { return get(context, options); });

  CLI::App* list_command = config->add_subcommand("list", "List keys");
  list_command->add_option("--prefix", options.prefix, "Only keys with this prefix");
  add_number(*list_command, "--limit", options.limit, "At most this many; 0: all (0)");
  commands.on(*list_command, [&] { return list(context, options); });

  CLI::App* unset_command = config->add_subcommand("unset", "Remove a key");
  unset_command->add_option("KEY", options.key, "The key")->required();
  add_expect(unset_command);
  commands.on(*unset_command, [&] { return unset(context, options); });
}

}  // namespace bib::cli
