// Catalog: datasets and their versions. A dataset comes into being with its first version; a
// version never changes: adding it again with the same content changes nothing, with other content
// it is refused. "Latest" is the version that arrived last. Streams are datasets.

#include <string>
#include <utility>
#include <vector>

#include "projections/rules/projection.h"
#include "projections/rules/rules.h"
#include "projections/state/keys.h"

namespace bib::projections {

using wire::DatasetRow;
using wire::DatasetVersionAdded;
using wire::DatasetVersionRow;
using wire::ErrorCode;
using wire::fail;
using wire::Result;
using wire::Revision;
using wire::Status;

namespace {

// "hash, size": what makes two versions of one name different; empty when they are equal.
std::string differences(const DatasetVersionAdded& a, const DatasetVersionAdded& b) {
  std::string names;
  const auto compare = [&](const auto& left, const auto& right, std::string_view name) {
    if (left == right) return;
    if (!names.empty()) names.append(", ");
    names.append(name);
  };
  compare(a.hash, b.hash, "hash");
  compare(a.size, b.size, "size");
  compare(a.format, b.format, "format");
  compare(a.licence, b.licence, "licence");
  compare(a.description, b.description, "description");
  compare(a.homepage, b.homepage, "homepage");
  compare(a.owners, b.owners, "owners");
  compare(a.tags, b.tags, "tags");
  compare(a.holders, b.holders, "holders");
  compare(a.source, b.source, "source");
  return names;
}

Result<QueryPlan> plan_versions(std::string_view scope) {
  const std::size_t separator = scope.find('\0');
  if (separator == std::string_view::npos || separator == 0 || separator + 1 == scope.size()) {
    return fail(ErrorCode::kInvalid,
                "Versions are listed of one dataset: name the topic and the dataset.");
  }
  return QueryPlan{Family::kCatalog, keys::dataset_version(scope.substr(0, separator),
                                                           scope.substr(separator + 1), "")};
}

class Catalog final : public Projection {
 public:
  Family family() const override { return Family::kCatalog; }

  Result<Ruling> decide(const DecideInput& input, Draft& draft) const override {
    const auto& added = std::get<wire::AddDatasetVersion>(input.command).version;
    for (const Status& status :
         {check_topic_path(added.topic), check_name(added.dataset, "The dataset's name"),
          check_name(added.version, "The dataset's version")}) {
      if (!status) return refuse(status.error());
    }
    // Its stream is named topic/dataset: a second slash would make two datasets one stream.
    if (added.dataset.find('/') != std::string_view::npos) {
      return refuse(ErrorCode::kInvalid, Revision(),
                    "The dataset's name '{}' has a slash, which separates topics: name it without "
                    "one, in a topic of its own if need be.",
                    added.dataset);
    }
    BIB_TRY(auto dataset, find_stream<DatasetRow>(
                              input, Family::kCatalog, keys::dataset(added.topic, added.dataset),
                              "Dataset '{}' in topic '{}'", added.dataset, added.topic));
    if (dataset.conflict) return *std::move(dataset.conflict);
    const Revision current = dataset.revision;
    if (dataset.row) {
      BIB_TRY(auto same, compare_existing(added, current, input.state));
      if (same) return *std::move(same);
    }
    BIB_TRY(auto refusal, check_topic(added, current, input.state));
    if (refusal) return *std::move(refusal);
    draft.add(current + 1, added);
    return Events{current + 1};
  }

  Status evolve(const wire::Event& event, const EventStamp& stamp, RowWriter& rows) const override {
    const auto& added = std::get<DatasetVersionAdded>(event.body);
    const std::string key = keys::dataset(added.topic, added.dataset);
    RowPtr holder;
    BIB_TRY(auto dataset, find_row<DatasetRow>(rows, Family::kCatalog, key, holder));
    if (!dataset) {
      dataset =
          DatasetRow{.topic = added.topic, .name = added.dataset, .created_us = stamp.time_us};
      BIB_TRY_VOID(count_dataset(added.topic, rows));
    }
    dataset->latest_version = added.version;
    ++dataset->versions;
    dataset->revision = event.revision;
    dataset->updated_us = stamp.time_us;
    BIB_TRY_VOID(rows.put_row(Family::kCatalog, key, *dataset));
    return rows.put_row(Family::kCatalog,
                        keys::dataset_version(added.topic, added.dataset, added.version),
                        DatasetVersionRow{added, stamp.time_us, stamp.position});
  }

  Result<QueryPlan> plan(const wire::Query& query) const override {
    if (query.table == wire::QueryTable::kVersions) return plan_versions(query.scope);
    if (query.scope.empty()) {
      return QueryPlan{Family::kCatalog, std::string(1, keys::kDatasetTag)};
    }
    return QueryPlan{Family::kCatalog, keys::dataset(query.scope, "")};
  }

 private:
  // The ruling when this version is there already, equal or not.
  static Result<std::optional<Ruling>> compare_existing(const DatasetVersionAdded& added,
                                                        Revision current, const RowReader& state) {
    RowPtr holder;
    BIB_TRY(const auto old,
            find_row<DatasetVersionRow>(
                state, Family::kCatalog,
                keys::dataset_version(added.topic, added.dataset, added.version), holder));
    if (!old) return std::nullopt;
    const std::string names = differences(old->version, added);
    if (names.empty()) return Unchanged{current};
    return refuse(
        ErrorCode::kRefused, current,
        "Version '{}' of dataset '{}' in topic '{}' exists already, and differs in {}{}. A "
        "version never changes: add what is new under a new version.",
        added.version, added.dataset, added.topic, names,
        old->version.hash == added.hash
            ? std::string()
            : fmt::format(" (there: {}, here: {})", old->version.hash, added.hash));
  }

  static Result<std::optional<Refusal>> check_topic(const DatasetVersionAdded& added,
                                                    Revision current, const RowReader& state) {
    RowPtr holder;
    BIB_TRY(const auto topic,
            find_row<wire::TopicRow>(state, Family::kTopics, keys::topic(added.topic), holder));
    if (!topic) {
      return refuse(ErrorCode::kNotFound, current,
                    "Dataset '{}' cannot be added because topic '{}' does not exist. `bib topic "
                    "create {}` makes it.",
                    added.dataset, added.topic, added.topic);
    }
    if (topic->status == wire::TopicStatus::kArchived) {
      return refuse(ErrorCode::kRefused, current,
                    "Topic '{}' is archived and takes no new datasets or versions. Bring it back "
                    "with `bib topic activate {}`, or use another topic.",
                    added.topic, added.topic);
    }
    return std::nullopt;
  }

  static Status count_dataset(std::string_view topic, RowWriter& rows) {
    const std::string key = keys::dataset_count(topic);
    BIB_TRY(const RowPtr old, rows.find(Family::kCatalog, key));
    const bool known = old && old->value().size() == 8;
    std::string value;
    keys::append_u64(value, (known ? keys::read_u64(old->value(), 0) : 0) + 1);
    return rows.put(Family::kCatalog, key, wire::as_bytes(value));
  }
};

}  // namespace

std::unique_ptr<Projection> make_catalog() {
  return std::make_unique<Catalog>();
}

}  // namespace bib::projections
