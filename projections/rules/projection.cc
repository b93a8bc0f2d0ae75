#include "projections/rules/projection.h"

#include <algorithm>
#include <utility>

#include "projections/rules/sessions.h"

namespace bib::projections {

namespace {

// Family of each alternative, by type, so that a new body does not compile without an owner.
struct CommandFamily {
  Family operator()(const wire::CreateTopic&) const { return Family::kTopics; }
  Family operator()(const wire::UpdateTopic&) const { return Family::kTopics; }
  Family operator()(const wire::SetTopicStatus&) const { return Family::kTopics; }
  Family operator()(const wire::AddDatasetVersion&) const { return Family::kCatalog; }
  Family operator()(const wire::SetConfig&) const { return Family::kConfig; }
  Family operator()(const wire::UnsetConfig&) const { return Family::kConfig; }
  Family operator()(const wire::IssueJoinToken&) const { return Family::kConfig; }
  Family operator()(const wire::RegisterTask&) const { return Family::kTasks; }
  Family operator()(const wire::SubmitJob&) const { return Family::kJobs; }
  Family operator()(const wire::SetJobState&) const { return Family::kJobs; }
};

struct EventFamily {
  Family operator()(const wire::TopicCreated&) const { return Family::kTopics; }
  Family operator()(const wire::TopicUpdated&) const { return Family::kTopics; }
  Family operator()(const wire::TopicStatusChanged&) const { return Family::kTopics; }
  Family operator()(const wire::DatasetVersionAdded&) const { return Family::kCatalog; }
  Family operator()(const wire::ConfigSet&) const { return Family::kConfig; }
  Family operator()(const wire::ConfigUnset&) const { return Family::kConfig; }
  Family operator()(const wire::JoinTokenIssued&) const { return Family::kConfig; }
  Family operator()(const wire::TaskRegistered&) const { return Family::kTasks; }
  Family operator()(const wire::JobSubmitted&) const { return Family::kJobs; }
  Family operator()(const wire::JobStateChanged&) const { return Family::kJobs; }
  Family operator()(const wire::SessionsExpired&) const { return Family::kSessions; }
};

// kMeta where the owner is no projection.
constexpr Family family_of(wire::QueryTable table) {
  const std::string_view owner = wire::words_of(table).owner;
  for (const Family family : kFamilies) {
    if (family_name(family) == owner) return family;
  }
  return Family::kMeta;
}
static_assert(std::none_of(wire::kQueryTables.begin(), wire::kQueryTables.end(),
                           [](wire::QueryTable table) {
                             return family_of(table) == Family::kMeta;
                           }),
              "each table is kept by a projection");

}  // namespace

void Draft::add(wire::Revision revision, wire::EventBody body) {
  events_.push_back({revision, std::nullopt, std::move(body)});
}

const StoredRow& Draft::keep(RowPtr row) {
  kept_.push_back(std::move(row));
  return *kept_.back();
}

void Draft::clear() {
  events_.clear();
  kept_.clear();
}

wire::Result<wire::ByteView> Projection::present(wire::ByteView value, const RowReader&,
                                                 wire::RowEncoder&) const {
  return value;
}

Projections::Projections() {
  for (auto& projection : {&make_topics, &make_catalog, &make_tasks, &make_jobs, &make_config}) {
    std::unique_ptr<Projection> made = projection();
    const Family family = made->family();
    by_family_[family_index(family)] = std::move(made);
  }
}

const Projection& Projections::of(Family family) const {
  return *by_family_[family_index(family)];
}

const Projection& Projections::owner_of(const wire::CommandBody& command) const {
  return of(std::visit(CommandFamily{}, command));
}

const Projection* Projections::owner_of(const wire::EventBody& body) const {
  return by_family_[family_index(std::visit(EventFamily{}, body))].get();
}

const Projection& Projections::owner_of(wire::QueryTable table) const {
  return of(family_of(table));
}

}  // namespace bib::projections
