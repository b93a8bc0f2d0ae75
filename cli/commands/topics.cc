// bib topic create | list | show | update | archive | activate.
#include "cli/commands/bib_command.h"
#include "cli/commands/requests.h"
#include "cli/print/rows_json.h"
#include "cli/print/units.h"
#include "wire/base/time_text.h"

namespace bib::cli {
namespace {

struct TopicOptions {
  std::string path;
  std::optional<std::string> description;
  std::optional<std::string> schema;
  std::vector<std::string> owners;
  std::vector<std::string> tags;
  bool no_owners = false;
  bool no_tags = false;
  bool parents = false;
  bool may_exist = false;
  std::string prefix;
  std::uint64_t limit = 0;
  std::optional<wire::Revision> expected_revision;
};

wire::TextList views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

ExitCode create(const Context& context, const TopicOptions& options) {
  wire::CreateTopic command;
  command.path = options.path;
  if (options.description) command.description = *options.description;
  if (options.schema) command.schema = *options.schema;
  command.owners = views(options.owners);
  command.tags = views(options.tags);
  command.parents = options.parents;
  command.may_exist = options.may_exist;
  return emit_change(context, fmt::format("Created topic {}", options.path),
                     send_command(context, command, options.expected_revision));
}

ExitCode update(const Context& context, const TopicOptions& options) {
  wire::UpdateTopic command;
  command.path = options.path;
  if (options.description) command.description = *options.description;
  if (options.schema) command.schema = *options.schema;
  if (options.no_owners || !options.owners.empty()) command.owners = views(options.owners);
  if (options.no_tags || !options.tags.empty()) command.tags = views(options.tags);
  if (!command.description && !command.schema && !command.owners && !command.tags) {
    return context.report(ExitCode::kUsage, "nothing to update is given",
                          "See what can be: `bib topic update --help`");
  }
  return emit_change(context, fmt::format("Updated topic {}", options.path),
                     send_command(context, command, options.expected_revision));
}

ExitCode archive(const Context& context, const TopicOptions& options) {
  const wire::SetTopicStatus command{options.path, wire::TopicStatus::kArchived};
  return emit_change(context, fmt::format("Archived topic {}", options.path),
                     send_command(context, command, options.expected_revision));
}

ExitCode activate(const Context& context, const TopicOptions& options) {
  const wire::SetTopicStatus command{options.path, wire::TopicStatus::kActive};
  return emit_change(context, fmt::format("Activated topic {}", options.path),
                     send_command(context, command, options.expected_revision));
}

ExitCode show(const Context& context, const TopicOptions& options) {
  wire::Query query;
  query.table = wire::QueryTable::kTopics;
  query.key = options.path;
  const auto status = visit_row_as<wire::TopicRow>(
      context, query, fmt::format("the topic {}", options.path), [&](const wire::TopicRow& row) {
        context.emit(to_json(row),
                     render_fields({{"Topic", std::string(row.path)},
                                    {"Status", std::string(status_name(row.status))},
                                    {"Description", std::string(row.description)},
                                    {"Schema", std::string(row.schema)},
                                    {"Owners", fmt::format("{}", fmt::join(row.owners, ", "))},
                                    {"Tags", fmt::format("{}", fmt::join(row.tags, ", "))},
                                    {"Datasets", std::to_string(row.datasets)},
                                    {"Revision", std::to_string(row.revision.value())},
                                    {"Created", wire::format_time(row.created_us)},
                                    {"Updated", wire::format_time(row.updated_us)}}));
      });
  return status ? ExitCode::kOk : context.report(status.error());
}

ExitCode list(const Context& context, const TopicOptions& options) {
  wire::Query query;
  query.table = wire::QueryTable::kTopics;
  query.prefix = options.prefix;
  Json data = Json::array();
  Table table({"TOPIC", "STATUS", "DATASETS", "DESCRIPTION"});
  table.align_right(2);
  auto status =
      visit_rows_as<wire::TopicRow>(context, query, options.limit, [&](const wire::TopicRow& row) {
        if (context.format != OutputFormat::kTable) return data.push_back(to_json(row));
        table.add({std::string(row.path), std::string(status_name(row.status)),
                   std::to_string(row.datasets),
                   std::string(row.description.substr(0, row.description.find('\n')))});
      });
  if (!status) return context.report(status.error());
  context.emit(data, table.render());
  return ExitCode::kOk;
}

void add_fields(CLI::App* command, TopicOptions& options) {
  command->add_option("--description", options.description, "What it holds");
  command->add_option("--schema", options.schema, "The schema of its datasets");
  command->add_option("--owner", options.owners, "An owner; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--tag", options.tags, "A tag; may be repeated")->allow_extra_args(false);
}

}  // namespace

void add_topic_commands(Commands& commands) {
  auto& options = commands.keep<TopicOptions>();
  Context& context = commands.context();
  CLI::App* topic = commands.app().add_subcommand("topic", "The hierarchy of topics");
  topic->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, bool changes,
                       ExitCode (*run)(const Context&, const TopicOptions&)) {
    CLI::App* command = topic->add_subcommand(name, help);
    command->add_option("PATH", options.path, "Such as science/weather")->required();
    if (changes) {
      add_expected_revision(*command, options.expected_revision,
                            "Only if the topic has this revision");
    }
    commands.on(*command, [&, run] { return run(context, options); });
    return command;
  };

  CLI::App* create_command = add("create", "Create a topic", true, create);
  add_fields(create_command, options);
  create_command->add_flag("-p,--parents", options.parents, "Create missing parents too");
  create_command->add_flag("--may-exist", options.may_exist, "An existing topic is not an error");

  CLI::App* list_command = topic->add_subcommand("list", "List topics");
  list_command->add_option("--prefix", options.prefix, "Only paths with this prefix");
  add_number(*list_command, "--limit", options.limit, "At most this many; 0: all (0)");
  commands.on(*list_command, [&] { return list(context, options); });

  add("show", "Show one topic", false, show);

  CLI::App* update_command = add("update", "Change what is said of a topic", true, update);
  add_fields(update_command, options);
  update_command->add_flag("--no-owners", options.no_owners, "Remove all owners");
  update_command->add_flag("--no-tags", options.no_tags, "Remove all tags");

  add("archive", "Take a topic out of use; what it holds stays", true, archive);
  add("activate", "Bring an archived topic back into use", true, activate);
}

}  // namespace bib::cli
