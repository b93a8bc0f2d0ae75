#include "cli/commands/bib_command.h"

#include <algorithm>
#include <ostream>

#include "cli/print/units.h"
#include "wire/base/units.h"
#include "wire/base/version.h"
#include "wire/client/client_message.h"

namespace bib::cli {
namespace {

void add_global_options(CLI::App& app, Context& context) {
  app.add_option_function<std::string>(
         "-o,--output",
         [&context](const std::string& text) {
           context.format = text == "json"   ? OutputFormat::kJson
                            : text == "yaml" ? OutputFormat::kYaml
                                             : OutputFormat::kTable;
         },
         "How data is printed: table, json or yaml")
      ->check(CLI::IsMember({"table", "json", "yaml"}))
      ->type_name("FORMAT");
  app.add_option("--server", context.servers,
                 "HOST:PORT or socket path of a node; may be repeated or a comma list. Default: "
                 "$BIB_SERVER, the local node's socket, its api.listen_addr")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
  app.add_option_function<std::string>(
         "--timeout",
         [&context](const std::string& text) {
           const auto value = wire::parse_duration(text);
           if (!value || *value == 0) {
             throw CLI::ValidationError("--timeout",
                                        value ? "must be above 0" : value.error().message);
           }
           context.timeout = std::chrono::milliseconds(std::min<std::uint64_t>(*value, 86400000));
         },
         "How long to keep trying (10s)")
      ->type_name("DURATION");
  app.add_option_function<std::string>(
         "--consistency",
         [&context](const std::string& text) {
           context.consistency = text == "stale"    ? wire::Consistency::kStale
                                 : text == "leader" ? wire::Consistency::kLeader
                                                    : wire::Consistency::kLinearizable;
         },
         "Consistency of reads: linearizable (default), leader, or stale (any node answers)")
      ->check(CLI::IsMember({"linearizable", "leader", "stale"}))
      ->type_name("LEVEL");
  app.add_option_function<std::string>(
         "--max-age",
         [&context](const std::string& text) {
           const auto value = wire::parse_duration(text);
           if (!value || *value == 0) {
             throw CLI::ValidationError("--max-age",
                                        value ? "must be above 0" : value.error().message);
           }
           context.max_age = std::chrono::milliseconds(std::min<std::uint64_t>(*value, 86400000));
         },
         "Age limit of stale reads: what was acknowledged longer ago than this is shown")
      ->type_name("DURATION");
}

void add_commands(Commands& commands) {
  add_setup_commands(commands);
  add_cluster_commands(commands);
  add_topic_commands(commands);
  add_catalog_commands(commands);
  add_config_commands(commands);
  add_task_commands(commands);
  add_job_commands(commands);
  add_event_commands(commands);
  add_snapshot_commands(commands);
  add_bench_command(commands);
  add_version_command(commands);
  add_completion_command(commands);
}

// The deepest command that the arguments name, for the usage hint.
std::string command_path(const CLI::App& app) {
  std::string path = app.get_name();
  for (const CLI::App* command : app.get_subcommands()) path += ' ' + command_path(*command);
  return path;
}

// "unknown command 'crate' (did you mean create?)", or empty: the words are commands as far as they
// can be, and the mistake is another one.
std::string unknown_command(const CLI::App& app, const std::vector<std::string>& arguments) {
  const CLI::App* at = &app;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word.size() > 1 && word.front() == '-') {
      const CLI::Option* option = app.get_option_no_throw(word);
      if (option != nullptr && option->get_items_expected_max() > 0) ++i;  // its value
      continue;
    }
    const auto commands = at->get_subcommands([](const CLI::App*) { return true; });
    if (commands.empty()) return {};
    std::vector<std::string_view> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* command : commands) {
      names.push_back(command->get_name());
      if (command->get_name() == word) next = command;
    }
    if (next == nullptr) {
      return fmt::format("unknown command '{}'{}; there are: {}", printable(word),
                         did_you_mean(word, names), fmt::join(names, ", "));
    }
    at = next;
  }
  return {};
}

}  // namespace

std::uint64_t number_of_option(const std::string& name, const std::string& text) {
  const auto number = wire::parse_count(text);
  if (!number) throw CLI::ValidationError(name, number.error().message);
  return *number;
}

CLI::Option* add_expected_revision(CLI::App& command, std::optional<wire::Revision>& value,
                                   const std::string& help) {
  const std::string name = "--expect-revision";
  return command
      .add_option_function<std::string>(
          name,
          [name, &value](const std::string& text) {
            const std::uint64_t number = number_of_option(name, text);
            if (number == wire::kAnyRevision) {
              throw CLI::ValidationError(name, fmt::format("'{}' is too large", text));
            }
            value = wire::Revision(number);
          },
          help)
      ->type_name("REVISION");
}

void define_bib(Commands& commands) {
  CLI::App& app = commands.app();
  app.name("bib");
  app.description("A client of bibd, the event-sourced store that Raft replicates.");
  app.set_version_flag("--version", fmt::format("bib {}", wire::version()));
  app.require_subcommand(1);
  app.fallthrough();
  app.get_formatter()->column_width(34);
  add_global_options(app, commands.context());
  add_commands(commands);
  app.footer(wire::exit_code_help(wire::Program::kBib));  // last, as commands inherit it
}

int run_bib(const std::vector<std::string>& arguments, Context& context) {
  CLI::App app;
  Commands commands(app, context);
  define_bib(commands);

  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // as CLI11 takes it
  } catch (const CLI::Success& asked) {                                         // --help, --version
    app.exit(asked, context.out, context.err);
    return static_cast<int>(ExitCode::kOk);
  } catch (const CLI::ParseError& error) {
    const std::string unknown = unknown_command(app, arguments);
    return static_cast<int>(context.report(ExitCode::kUsage,
                                           unknown.empty() ? error.what() : unknown,
                                           fmt::format("Usage: `{} --help`", command_path(app))));
  }
  if (context.max_age && context.consistency != wire::Consistency::kStale) {
    return static_cast<int>(context.report(
        ExitCode::kUsage, "--max-age bounds stale reads; give --consistency stale with it"));
  }
  try {
    ExitCode code = commands.chosen()();
    context.out.flush();
    if (!context.out && code == ExitCode::kOk) {
      code = context.report(ExitCode::kGeneral, "the output could not be written");
    }
    return static_cast<int>(code);
  } catch (const std::exception& error) {
    return static_cast<int>(context.report(ExitCode::kGeneral, error.what()));
  }
}

}  // namespace bib::cli
