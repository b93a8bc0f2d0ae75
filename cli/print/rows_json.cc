#include "cli/print/rows_json.h"

#include "cli/print/units.h"
#include "wire/base/time_text.h"

namespace bib::cli {
namespace {

void set_text(Json& json, const char* name, std::string_view text) {
  if (!text.empty()) json[name] = std::string(text);
}

void set_list(Json& json, const char* name, const wire::TextList& list) {
  if (list.empty()) return;
  Json items = Json::array();
  for (std::string_view item : list) items.push_back(std::string(item));
  json[name] = std::move(items);
}

}  // namespace

std::string_view status_name(wire::TopicStatus status) {
  switch (status) {
    case wire::TopicStatus::kActive:
      return "active";
    case wire::TopicStatus::kDeprecated:
      return "deprecated";
    case wire::TopicStatus::kArchived:
      return "archived";
  }
  return "unknown";
}

Json to_json(const wire::TopicRow& row) {
  Json json = {{"path", std::string(row.path)}, {"status", std::string(status_name(row.status))}};
  set_text(json, "description", row.description);
  set_text(json, "schema", row.schema);
  set_list(json, "owners", row.owners);
  set_list(json, "tags", row.tags);
  json["datasets"] = row.datasets;
  json["revision"] = row.revision.value();
  json["created"] = wire::format_time(row.created_us);
  json["updated"] = wire::format_time(row.updated_us);
  return json;
}

Json to_json(const wire::DatasetRow& row) {
  return {{"topic", std::string(row.topic)},
          {"name", std::string(row.name)},
          {"latest_version", std::string(row.latest_version)},
          {"versions", row.versions},
          {"revision", row.revision.value()},
          {"created", wire::format_time(row.created_us)},
          {"updated", wire::format_time(row.updated_us)}};
}

Json to_json(const wire::DatasetVersionRow& row) {
  const wire::DatasetVersionAdded& version = row.version;
  Json json = {{"topic", std::string(version.topic)},
               {"dataset", std::string(version.dataset)},
               {"version", std::string(version.version)}};
  set_text(json, "hash", version.hash);
  if (version.size) json["size"] = *version.size;
  set_text(json, "format", version.format);
  set_text(json, "licence", version.licence);
  set_text(json, "description", version.description);
  set_text(json, "homepage", version.homepage);
  set_list(json, "owners", version.owners);
  set_list(json, "tags", version.tags);
  if (!version.holders.empty()) {
    Json holders = Json::array();
    for (wire::NodeId holder : version.holders) holders.push_back(wire::to_string(holder));
    json["holders"] = std::move(holders);
  }
  set_text(json, "source", version.source);
  json["added"] = wire::format_time(row.added_us);
  json["position"] = wire::to_string(row.position);
  return json;
}

Json to_json(const wire::ConfigRow& row) {
  return {{"key", std::string(row.key)},
          {"value", std::string(row.value)},
          {"revision", row.revision.value()},
          {"updated", wire::format_time(row.updated_us)}};
}

Json to_json(const wire::TaskRow& row) {
  Json json = {{"name", std::string(row.name)}, {"version", std::string(row.version)}};
  set_text(json, "description", row.description);
  set_text(json, "definition", row.definition);
  json["revision"] = row.revision.value();
  json["registered"] = wire::format_time(row.registered_us);
  return json;
}

Json to_json(const wire::JobRow& row) {
  Json json = {{"id", std::string(row.id)},
               {"task", std::string(row.task)},
               {"task_version", std::string(row.task_version)},
               {"state", std::string(state_name(row.state))}};
  set_text(json, "message", row.message);
  set_text(json, "parameters", row.parameters);
  json["revision"] = row.revision.value();
  json["submitted"] = wire::format_time(row.submitted_us);
  json["updated"] = wire::format_time(row.updated_us);
  return json;
}

}  // namespace bib::cli
