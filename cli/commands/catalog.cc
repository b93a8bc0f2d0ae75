// bib catalog list | show | add | import: datasets and their versions.
#include "cli/commands/bib_command.h"
#include "cli/commands/import_command.h"
#include "cli/commands/requests.h"
#include "cli/importers/content_hash.h"
#include "cli/print/rows_json.h"
#include "cli/print/units.h"
#include "wire/base/time_text.h"
#include "wire/base/units.h"

namespace bib::cli {
namespace {

struct CatalogOptions {
  std::string topic;
  std::string dataset;
  std::string version;
  std::string prefix;
  std::uint64_t limit = 0;
};

struct AddOptions {
  std::string hash;
  std::string size;
  std::string format;
  std::string licence;
  std::string description;
  std::string homepage;
  std::string source;
  std::vector<std::string> owners;
  std::vector<std::string> tags;
  std::vector<std::string> holders;
  std::optional<wire::Revision> expected_revision;
};

ExitCode list(const Context& context, const CatalogOptions& options) {
  wire::Query query;
  query.table = wire::QueryTable::kDatasets;
  query.scope = options.topic;
  query.prefix = options.prefix;
  Json data = Json::array();
  Table table({"TOPIC", "DATASET", "LATEST", "VERSIONS", "UPDATED"});
  table.align_right(3);
  const auto status = visit_rows_as<wire::DatasetRow>(
      context, query, options.limit, [&](const wire::DatasetRow& row) {
        if (context.format != OutputFormat::kTable) return data.push_back(to_json(row));
        table.add({std::string(row.topic), std::string(row.name), std::string(row.latest_version),
                   std::to_string(row.versions), wire::format_time(row.updated_us)});
      });
  if (!status) return context.report(status.error());
  context.emit(data, table.render());
  return ExitCode::kOk;
}

std::string version_text(const wire::DatasetVersionRow& row) {
  const wire::DatasetVersionAdded& version = row.version;
  std::vector<std::string> holders;
  for (const wire::NodeId holder : version.holders) holders.push_back(wire::to_string(holder));
  std::string size;
  if (version.size) size = fmt::format("{} ({})", *version.size, format_size_short(*version.size));
  return render_fields({{"Version", std::string(version.version)},
                        {"Hash", std::string(version.hash)},
                        {"Size", size},
                        {"Format", std::string(version.format)},
                        {"Licence", std::string(version.licence)},
                        {"Description", std::string(version.description)},
                        {"Homepage", std::string(version.homepage)},
                        {"Owners", fmt::format("{}", fmt::join(version.owners, ", "))},
                        {"Tags", fmt::format("{}", fmt::join(version.tags, ", "))},
                        {"Held by", fmt::format("{}", fmt::join(holders, ", "))},
                        {"Source", std::string(version.source)},
                        {"Added", wire::format_time(row.added_us)},
                        {"Position", wire::to_string(row.position)}});
}

ExitCode show(const Context& context, const CatalogOptions& options) {
  Json data;
  std::string text;
  wire::Query query;
  query.table = wire::QueryTable::kDatasets;
  query.scope = options.topic;
  query.key = options.dataset;
  auto status = visit_row_as<wire::DatasetRow>(
      context, query, fmt::format("the dataset {} in {}", options.dataset, options.topic),
      [&](const wire::DatasetRow& row) {
        data = to_json(row);
        text = render_fields({{"Topic", std::string(row.topic)},
                              {"Dataset", std::string(row.name)},
                              {"Latest", std::string(row.latest_version)},
                              {"Versions", std::to_string(row.versions)},
                              {"Revision", std::to_string(row.revision.value())},
                              {"Created", wire::format_time(row.created_us)},
                              {"Updated", wire::format_time(row.updated_us)}});
      });
  if (!status) return context.report(status.error());

  wire::Query versions;
  const std::string scope = options.topic + '\0' + options.dataset;
  versions.table = wire::QueryTable::kVersions;
  versions.scope = scope;
  data["all_versions"] = Json::array();
  status = visit_rows_as<wire::DatasetVersionRow>(context, versions, options.limit,
                                                  [&](const wire::DatasetVersionRow& row) {
                                                    data["all_versions"].push_back(to_json(row));
                                                    text += '\n' + version_text(row);
                                                  });
  if (!status) return context.report(status.error());
  context.emit(data, text);
  return ExitCode::kOk;
}

ExitCode add(const Context& context, const CatalogOptions& options, const AddOptions& fields) {
  wire::AddDatasetVersion command;
  wire::DatasetVersionAdded& version = command.version;
  version.topic = options.topic;
  version.dataset = options.dataset;
  version.version = options.version;
  const auto hash = checked_hash(fields.hash);
  if (!hash) return context.report(ExitCode::kUsage, "--hash: " + hash.error().message);
  version.hash = *hash;
  version.format = fields.format;
  version.licence = fields.licence;
  version.description = fields.description;
  version.homepage = fields.homepage;
  version.source = fields.source;
  version.owners.assign(fields.owners.begin(), fields.owners.end());
  version.tags.assign(fields.tags.begin(), fields.tags.end());
  if (!fields.size.empty()) {
    const auto size = wire::parse_size(fields.size);
    if (!size) return context.report(ExitCode::kUsage, "--size: " + size.error().message);
    version.size = *size;
  }
  auto holders = parse_holders(fields.holders);
  if (!holders) return context.report(holders.error());
  version.holders = std::move(*holders);
  return emit_change(
      context, fmt::format("Added {} {} to {}", options.dataset, options.version, options.topic),
      send_command(context, command, fields.expected_revision));
}

void add_add_command(Commands& commands, CLI::App& catalog, CatalogOptions& options) {
  Context& context = commands.context();
  auto& fields = commands.keep<AddOptions>();
  CLI::App* command = catalog.add_subcommand("add", "Add a version of a dataset");
  command->add_option("TOPIC", options.topic, "The topic's path")->required();
  command->add_option("DATASET", options.dataset, "The dataset's name")->required();
  command->add_option("VERSION", options.version, "The version")->required();
  command->add_option("--hash", fields.hash, "ALGORITHM:HEX, such as sha256:...; MD5 without one");
  command->add_option("--size", fields.size, "Bytes, or with KiB, MiB, GiB");
  command->add_option("--format", fields.format, "Such as csv");
  command->add_option("--licence,--license", fields.licence, "Such as CC-BY-4.0");
  command->add_option("--description", fields.description, "What it is");
  command->add_option("--homepage", fields.homepage, "URL");
  command->add_option("--source", fields.source, "Where it can be fetched");
  command->add_option("--owner", fields.owners, "An owner; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--tag", fields.tags, "A tag; may be repeated")->allow_extra_args(false);
  command->add_option("--holder", fields.holders, "Id of a node that holds it; may be repeated")
      ->allow_extra_args(false);
  add_expected_revision(*command, fields.expected_revision,
                        "Only if the dataset has this revision (0: only if it does not exist)");
  commands.on(*command, [&] { return add(context, options, fields); });
}

}  // namespace

void add_catalog_commands(Commands& commands) {
  auto& options = commands.keep<CatalogOptions>();
  Context& context = commands.context();
  CLI::App* catalog = commands.app().add_subcommand("catalog", "Datasets and their versions");
  catalog->require_subcommand(1);

  add_import_command(commands, *catalog);

  CLI::App* list_command = catalog->add_subcommand("list", "List datasets");
  list_command->add_option("TOPIC", options.topic, "Only this topic's");
  list_command->add_option("--prefix", options.prefix, "Only names with this prefix");
  add_number(*list_command, "--limit", options.limit, "At most this many; 0: all (0)");
  commands.on(*list_command, [&] { return list(context, options); });

  CLI::App* show_command = catalog->add_subcommand("show", "Show a dataset and its versions");
  show_command->add_option("TOPIC", options.topic, "The topic's path")->required();
  show_command->add_option("DATASET", options.dataset, "The dataset's name")->required();
  add_number(*show_command, "--limit", options.limit, "At most this many versions; 0: all (0)");
  commands.on(*show_command, [&] { return show(context, options); });

  add_add_command(commands, *catalog, options);
}

}  // namespace bib::cli
