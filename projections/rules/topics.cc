// Topics: a tree of paths. "a/b/c" needs its parents "a" and "a/b" to exist. The rules look at the
// path of one topic and at its parents only; an archived topic takes no new datasets (catalog.cc),
// but may be described, subdivided and taken back into use.

#include <algorithm>
#include <array>
#include <utility>

#include "projections/rules/projection.h"
#include "projections/rules/rules.h"
#include "projections/state/keys.h"
#include "wire/base/check.h"

namespace bib::projections {

using wire::ErrorCode;
using wire::fail;
using wire::Result;
using wire::Revision;
using wire::Status;
using wire::TopicRow;

namespace {

Result<Stream<TopicRow>> find_topic(const DecideInput& input, std::string_view path) {
  return find_stream<TopicRow>(input, Family::kTopics, keys::topic(path), "Topic '{}'", path);
}

Refusal no_such_topic(std::string_view path) {
  return refuse(ErrorCode::kNotFound, Revision(),
                "Topic '{}' does not exist. `bib topic list` shows those that do; `bib topic "
                "create {}` makes it.",
                path, path);
}

class Topics final : public Projection {
 public:
  Family family() const override { return Family::kTopics; }

  Result<Ruling> decide(const DecideInput& input, Draft& draft) const override {
    if (const auto* create = std::get_if<wire::CreateTopic>(&input.command)) {
      return decide_create(*create, input, draft);
    }
    if (const auto* update = std::get_if<wire::UpdateTopic>(&input.command)) {
      return decide_update(*update, input, draft);
    }
    return decide_status(std::get<wire::SetTopicStatus>(input.command), input, draft);
  }

  Status evolve(const wire::Event& event, const EventStamp& stamp, RowWriter& rows) const override {
    if (const auto* created = std::get_if<wire::TopicCreated>(&event.body)) {
      return evolve_created(*created, event.revision, stamp, rows);
    }
    if (const auto* updated = std::get_if<wire::TopicUpdated>(&event.body)) {
      return change(updated->path, event.revision, stamp, rows, [&](TopicRow& row) {
        row.description = updated->description;
        row.schema = updated->schema;
        row.owners = updated->owners;
        row.tags = updated->tags;
      });
    }
    const auto& changed = std::get<wire::TopicStatusChanged>(event.body);
    return change(changed.path, event.revision, stamp, rows,
                  [&](TopicRow& row) { row.status = changed.status; });
  }

  Result<QueryPlan> plan(const wire::Query&) const override {
    return QueryPlan{Family::kTopics, ""};
  }

  // The number of datasets is the catalog's to know.
  Result<wire::ByteView> present(wire::ByteView value, const RowReader& state,
                                 wire::RowEncoder& encoder) const override {
    BIB_TRY(TopicRow row, wire::read_row_as<TopicRow>(value));
    BIB_TRY(const RowPtr count, state.find(Family::kCatalog, keys::dataset_count(row.path)));
    if (!count || count->value().size() != 8) return value;
    row.datasets = keys::read_u64(count->value(), 0);
    return encoder.encode(row);
  }

 private:
  static Result<Ruling> decide_create(const wire::CreateTopic& command, const DecideInput& input,
                                      Draft& draft) {
    if (auto status = check_topic_path(command.path); !status) return refuse(status.error());
    BIB_TRY(auto topic, find_topic(input, command.path));
    if (topic.conflict) return *std::move(topic.conflict);
    if (topic.row) {
      if (command.may_exist) return Unchanged{topic.revision};
      return refuse(ErrorCode::kRefused, topic.revision,
                    "Topic '{}' exists already. `bib topic show {}` shows it; to change it, use "
                    "`bib topic update`.",
                    command.path, command.path);
    }
    BIB_TRY(auto refusal, add_parents(command, input, draft));
    if (refusal) return *std::move(refusal);
    draft.add(Revision(1), wire::TopicCreated{command.path, command.description, command.schema,
                                              command.owners, command.tags});
    return Events{Revision(1)};
  }

  // The missing parents, topmost first.
  static Result<std::optional<Refusal>> add_parents(const wire::CreateTopic& command,
                                                    const DecideInput& input, Draft& draft) {
    std::array<std::string_view, kTopicDepthMax> missing;
    std::size_t count = 0;
    for (auto path = parent_path(command.path); !path.empty(); path = parent_path(path)) {
      BIB_TRY(const RowPtr row, input.state.find(Family::kTopics, keys::topic(path)));
      if (row) break;
      if (!command.parents) {
        return refuse(ErrorCode::kNotFound, Revision(),
                      "Topic '{}' cannot be created because its parent '{}' does not exist. Create "
                      "that first, or add --parents to create all that is missing.",
                      command.path, path);
      }
      missing[count++] = path;
    }
    while (count > 0) draft.add(Revision(1), wire::TopicCreated{.path = missing[--count]});
    return std::nullopt;
  }

  static Result<Ruling> decide_update(const wire::UpdateTopic& command, const DecideInput& input,
                                      Draft& draft) {
    if (auto status = check_topic_path(command.path); !status) return refuse(status.error());
    BIB_TRY(auto topic, find_topic(input, command.path));
    if (topic.conflict) return *std::move(topic.conflict);
    if (!topic.row) return no_such_topic(command.path);
    draft.keep(std::move(topic.holder));
    const TopicRow& row = *topic.row;
    wire::TopicUpdated updated{command.path, command.description.value_or(row.description),
                               command.schema.value_or(row.schema),
                               command.owners.value_or(row.owners),
                               command.tags.value_or(row.tags)};
    if (updated.description == row.description && updated.schema == row.schema &&
        updated.owners == row.owners && updated.tags == row.tags) {
      return Unchanged{topic.revision};
    }
    draft.add(topic.revision + 1, std::move(updated));
    return Events{topic.revision + 1};
  }

  static Result<Ruling> decide_status(const wire::SetTopicStatus& command, const DecideInput& input,
                                      Draft& draft) {
    if (auto status = check_topic_path(command.path); !status) return refuse(status.error());
    BIB_TRY(auto topic, find_topic(input, command.path));
    if (topic.conflict) return *std::move(topic.conflict);
    if (!topic.row) return no_such_topic(command.path);
    if (topic.row->status == command.status) return Unchanged{topic.revision};
    draft.add(topic.revision + 1, wire::TopicStatusChanged{command.path, command.status});
    return Events{topic.revision + 1};
  }

  static Status evolve_created(const wire::TopicCreated& created, Revision revision,
                               const EventStamp& stamp, RowWriter& rows) {
    return rows.put_row(Family::kTopics, keys::topic(created.path),
                        TopicRow{.path = created.path,
                                 .description = created.description,
                                 .schema = created.schema,
                                 .owners = created.owners,
                                 .tags = created.tags,
                                 .revision = revision,
                                 .created_us = stamp.time_us,
                                 .updated_us = stamp.time_us});
  }

  template <typename Change>
  static Status change(std::string_view path, Revision revision, const EventStamp& stamp,
                       RowWriter& rows, Change&& apply) {
    RowPtr holder;
    BIB_TRY(auto row, find_row<TopicRow>(rows, Family::kTopics, keys::topic(path), holder));
    if (!row) {
      return fail(ErrorCode::kCorrupt, "an event changes topic '{}', which is not there", path);
    }
    apply(*row);
    row->revision = revision;
    row->updated_us = stamp.time_us;
    return rows.put_row(Family::kTopics, keys::topic(path), *row);
  }
};

}  // namespace

std::unique_ptr<Projection> make_topics() {
  return std::make_unique<Topics>();
}

}  // namespace bib::projections
