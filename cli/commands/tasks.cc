// bib task register | list | show.
#include <fstream>
#include <istream>
#include <iterator>

#include "cli/commands/bib_command.h"
#include "cli/commands/requests.h"
#include "cli/print/rows_json.h"
#include "cli/print/units.h"
#include "wire/base/time_text.h"

namespace bib::cli {
namespace {

struct TaskOptions {
  std::string name;
  std::string version;
  std::string description;
  std::string file;
  std::string prefix;
  std::uint64_t limit = 0;
};

wire::Result<std::string> read_definition(const Context& context, const std::string& file) {
  using Characters = std::istreambuf_iterator<char>;
  if (file.empty()) return std::string();
  if (file == "-") return std::string(Characters(context.in), Characters());
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    return wire::fail(wire::ErrorCode::kInvalid, "{} cannot be opened: {}", file,
                      wire::errno_text(errno));
  }
  return std::string(Characters(stream), Characters());
}

ExitCode register_task(const Context& context, const TaskOptions& options) {
  const auto definition = read_definition(context, options.file);
  if (!definition) return context.report(ExitCode::kGeneral, definition.error().message);
  const wire::RegisterTask command{options.name, options.version, *definition, options.description};
  return emit_change(context, fmt::format("Registered task {} {}", options.name, options.version),
                     send_command(context, command));
}

ExitCode show(const Context& context, const TaskOptions& options) {
  wire::Query query;
  query.table = wire::QueryTable::kTasks;
  const std::string key = options.name + '\0' + options.version;
  query.key = key;
  const auto status = visit_row_as<wire::TaskRow>(
      context, query, fmt::format("the task {} {}", options.name, options.version),
      [&](const wire::TaskRow& row) {
        context.emit(to_json(row),
                     render_fields({{"Task", std::string(row.name)},
                                    {"Version", std::string(row.version)},
                                    {"Description", std::string(row.description)},
                                    {"Definition", std::string(row.definition)},
                                    {"Revision", std::to_string(row.revision.value())},
                                    {"Registered", wire::format_time(row.registered_us)}}));
      });
  return status ? ExitCode::kOk : context.report(status.error());
}

ExitCode list(const Context& context, const TaskOptions& options) {
  wire::Query query;
  query.table = wire::QueryTable::kTasks;
  query.prefix = options.prefix;
  Json data = Json::array();
  Table table({"TASK", "VERSION", "REGISTERED", "DESCRIPTION"});
  auto status =
      visit_rows_as<wire::TaskRow>(context, query, options.limit, [&](const wire::TaskRow& row) {
        if (context.format != OutputFormat::kTable) return data.push_back(to_json(row));
        table.add({std::string(row.name), std::string(row.version),
                   wire::format_time(row.registered_us),
                   std::string(row.description.substr(0, row.description.find('\n')))});
      });
  if (!status) return context.report(status.error());
  context.emit(data, table.render());
  return ExitCode::kOk;
}

}  // namespace

void add_task_commands(Commands& commands) {
  auto& options = commands.keep<TaskOptions>();
  Context& context = commands.context();
  CLI::App* task = commands.app().add_subcommand("task", "Tasks: what jobs run");
  task->require_subcommand(1);

  CLI::App* register_command = task->add_subcommand("register", "Register a task's version");
  register_command->add_option("NAME", options.name, "The task's name")->required();
  register_command->add_option("VERSION", options.version, "The version")->required();
  register_command->add_option("--definition", options.file, "A file, or - for standard input");
  register_command->add_option("--description", options.description, "What it does");
  commands.on(*register_command, [&] { return register_task(context, options); });

  CLI::App* list_command = task->add_subcommand("list", "List tasks and their versions");
  list_command->add_option("--prefix", options.prefix, "Only names with this prefix");
  add_number(*list_command, "--limit", options.limit, "At most this many; 0: all (0)");
  commands.on(*list_command, [&] { return list(context, options); });

  CLI::App* show_command = task->add_subcommand("show", "Show a task's version");
  show_command->add_option("NAME", options.name, "The task's name")->required();
  show_command->add_option("VERSION", options.version, "The version")->required();
  commands.on(*show_command, [&] { return show(context, options); });
}

}  // namespace bib::cli
