// Topics and the catalog: what the rules allow, and what the rows then say.
#include <catch2/catch.hpp>

#include <string>

#include "machine.h"
#include "wire/model/row.h"

namespace bib::projections {
namespace {

using wire::ErrorCode;
using wire::QueryTable;
using wire::TopicRow;
using wire::TopicStatus;

wire::DatasetVersionAdded version(std::string_view topic, std::string_view dataset,
                                  std::string_view name, std::string_view hash = "sha256:00") {
  wire::DatasetVersionAdded added;
  added.topic = topic;
  added.dataset = dataset;
  added.version = name;
  added.hash = hash;
  added.size = 10;
  added.owners = {"owner"};
  added.holders = {wire::NodeId(5)};
  return added;
}

struct World {
  MemoryStore store;
  Machine machine{store};
};

TEST_CASE("a topic is created once, with what the command says and the leader's time") {
  World world;
  auto& machine = world.machine;
  const auto time = machine.now_us;
  wire::CreateTopic create{"contrib", "Beiträge", "{}", {"a", "b"}, {"t"}};
  CHECK(accepted_revision(machine.ask(create)) == 1);
  const auto row = machine.row<TopicRow>(QueryTable::kTopics, "contrib");
  REQUIRE(row);
  CHECK(row->description == "Beiträge");
  CHECK(row->schema == "{}");
  CHECK(row->owners == wire::TextList{"a", "b"});
  CHECK(row->tags == wire::TextList{"t"});
  CHECK(row->status == TopicStatus::kActive);
  CHECK(row->revision.value() == 1);
  CHECK(row->created_us == time);
  CHECK(row->updated_us == time);

  refused(machine.ask(create), ErrorCode::kRefused);
  create.may_exist = true;
  const auto reply = answered(machine.ask(create));
  CHECK(reply.unchanged);
  CHECK(reply.revision.value() == 1);
  CHECK(machine.log.size() == 1);
}

TEST_CASE("names differ by case, and CO2 is not co2") {
  World world;
  auto& machine = world.machine;
  CHECK(accepted_revision(machine.ask(wire::CreateTopic{.path = "CO2"})) == 1);
  CHECK_FALSE(machine.row<TopicRow>(QueryTable::kTopics, "co2"));
  CHECK(accepted_revision(machine.ask(wire::CreateTopic{.path = "co2"})) == 1);
  accepted(machine.ask(wire::AddDatasetVersion{version("CO2", "Daten-ä", "1")}));
  CHECK(machine.row<wire::DatasetRow>(QueryTable::kDatasets, "Daten-ä", "CO2"));
  CHECK_FALSE(machine.row<wire::DatasetRow>(QueryTable::kDatasets, "daten-ä", "CO2"));
  CHECK_FALSE(machine.row<wire::DatasetRow>(QueryTable::kDatasets, "Daten-ä", "co2"));
}

TEST_CASE("a topic needs its parents, and --parents makes those that are missing") {
  World world;
  auto& machine = world.machine;
  wire::CreateTopic create{.path = "a/b/c", .description = "deep"};
  refused(machine.ask(create), ErrorCode::kNotFound);
  create.parents = true;
  const auto decision = machine.ask(create);
  // Three events in one entry; the answer is the last one's.
  CHECK(accepted(decision).position == wire::Position{wire::LogIndex(1), 2});
  for (const auto* path : {"a", "a/b", "a/b/c"}) {
    const auto row = machine.row<TopicRow>(QueryTable::kTopics, path);
    REQUIRE(row);
    CHECK(row->description == (std::string_view(path) == "a/b/c" ? "deep" : ""));
  }
  create.path = "a/b/d";
  CHECK(accepted(machine.ask(create)).position == wire::Position{wire::LogIndex(2), 0});
}

TEST_CASE("an update changes what it names and nothing else") {
  World world;
  auto& machine = world.machine;
  refused(machine.ask(wire::UpdateTopic{.path = "t"}), ErrorCode::kNotFound);
  machine.ask(wire::CreateTopic{"t", "old", "schema", {"owner"}, {"tag"}});
  const auto created = machine.now_us - 1000;
  wire::UpdateTopic update;
  update.path = "t";
  CHECK(answered(machine.ask(update)).unchanged);
  update.description = "new";
  update.tags = wire::TextList{};
  CHECK(accepted_revision(machine.ask(update)) == 2);
  CHECK(answered(machine.ask(update)).unchanged);
  const auto row = machine.row<TopicRow>(QueryTable::kTopics, "t");
  REQUIRE(row);
  CHECK(row->description == "new");
  CHECK(row->schema == "schema");
  CHECK(row->owners == wire::TextList{"owner"});
  CHECK(row->tags.empty());
  CHECK(row->revision.value() == 2);
  CHECK(row->created_us == created);
  CHECK(row->updated_us > created);
}

TEST_CASE("a dataset's name has no slash, so that its stream is its own") {
  World world;
  auto& machine = world.machine;
  machine.ask(wire::CreateTopic{.path = "t"});
  machine.ask(wire::CreateTopic{.path = "t/x"});
  CHECK(refused(machine.ask(wire::AddDatasetVersion{version("t", "x/y", "1")}), ErrorCode::kInvalid)
            .error.message ==
        "The dataset's name 'x/y' has a slash, which separates topics: name it without one, in a "
        "topic of its own if need be.");
  accepted(machine.ask(wire::AddDatasetVersion{version("t/x", "y", "1")}));
}

TEST_CASE("an archived topic takes no datasets until it is active again") {
  World world;
  auto& machine = world.machine;
  machine.ask(wire::CreateTopic{.path = "t"});
  machine.ask(wire::AddDatasetVersion{version("t", "d", "1")});
  CHECK(answered(machine.ask(wire::SetTopicStatus{"t", TopicStatus::kActive})).unchanged);
  CHECK(accepted_revision(machine.ask(wire::SetTopicStatus{"t", TopicStatus::kArchived})) == 2);
  refused(machine.ask(wire::AddDatasetVersion{version("t", "new", "1")}), ErrorCode::kRefused);
  refused(machine.ask(wire::AddDatasetVersion{version("t", "d", "2")}), ErrorCode::kRefused);
  // What is there already is no addition.
  CHECK(answered(machine.ask(wire::AddDatasetVersion{version("t", "d", "1")})).unchanged);
  CHECK(accepted_revision(machine.ask(wire::SetTopicStatus{"t", TopicStatus::kDeprecated})) == 3);
  accepted(machine.ask(wire::AddDatasetVersion{version("t", "d", "2")}));
  CHECK(machine.row<TopicRow>(QueryTable::kTopics, "t")->status == TopicStatus::kDeprecated);
  refused(machine.ask(wire::SetTopicStatus{"u", TopicStatus::kActive}), ErrorCode::kNotFound);
}

TEST_CASE("a dataset counts its versions and knows the one that arrived last") {
  World world;
  auto& machine = world.machine;
  machine.ask(wire::CreateTopic{.path = "t"});
  CHECK(accepted_revision(machine.ask(wire::AddDatasetVersion{version("t", "d", "2.0")})) == 1);
  const auto added_us = machine.now_us;
  const auto decision = machine.ask(wire::AddDatasetVersion{version("t", "d", "1.9")});
  CHECK(accepted_revision(decision) == 2);
  accepted(machine.ask(wire::AddDatasetVersion{version("t", "e", "1")}));
  const auto dataset = machine.row<wire::DatasetRow>(QueryTable::kDatasets, "d", "t");
  REQUIRE(dataset);
  CHECK(dataset->versions == 2);
  CHECK(dataset->latest_version == "1.9");
  CHECK(dataset->revision.value() == 2);
  const std::string scope("t\0d", 3);
  const auto row = machine.row<wire::DatasetVersionRow>(QueryTable::kVersions, "1.9", scope);
  REQUIRE(row);
  CHECK(row->version.hash == "sha256:00");
  CHECK(row->version.size == 10U);
  CHECK(row->version.holders == std::vector{wire::NodeId(5)});
  CHECK(row->position == accepted(decision).position);
  CHECK(row->added_us == added_us);
  CHECK(machine.row<TopicRow>(QueryTable::kTopics, "t")->datasets == 2);
}

TEST_CASE("a version never changes: the same again is no change, another is refused by name") {
  World world;
  auto& machine = world.machine;
  refused(machine.ask(wire::AddDatasetVersion{version("t", "d", "1")}), ErrorCode::kNotFound);
  machine.ask(wire::CreateTopic{.path = "t"});
  const auto original = version("t", "d", "1");
  machine.ask(wire::AddDatasetVersion{original});
  CHECK(answered(machine.ask(wire::AddDatasetVersion{original})).unchanged);

  struct Case {
    const char* field;
    void (*change)(wire::DatasetVersionAdded&);
  };
  const Case cases[] = {
      {"hash", [](wire::DatasetVersionAdded& added) { added.hash = "sha256:ff"; }},
      {"size", [](wire::DatasetVersionAdded& added) { added.size = 11; }},
      {"size", [](wire::DatasetVersionAdded& added) { added.size.reset(); }},
      {"format", [](wire::DatasetVersionAdded& added) { added.format = "csv"; }},
      {"licence", [](wire::DatasetVersionAdded& added) { added.licence = "MIT"; }},
      {"description", [](wire::DatasetVersionAdded& added) { added.description = "x"; }},
      {"homepage", [](wire::DatasetVersionAdded& added) { added.homepage = "x"; }},
      {"owners", [](wire::DatasetVersionAdded& added) { added.owners = {}; }},
      {"tags", [](wire::DatasetVersionAdded& added) { added.tags = {"x"}; }},
      {"holders", [](wire::DatasetVersionAdded& added) { added.holders = {}; }},
      {"source", [](wire::DatasetVersionAdded& added) { added.source = "x"; }},
  };
  for (const Case& each : cases) {
    auto other = original;
    each.change(other);
    INFO(each.field);
    const auto decision = machine.ask(wire::AddDatasetVersion{other});
    const auto refusal = refused(decision, ErrorCode::kRefused);
    CHECK(refusal.error.message.find(std::string("differs in ") + each.field) != std::string::npos);
  }
}

TEST_CASE("the expected revision is compared before the rules") {
  World world;
  auto& machine = world.machine;
  const auto with = [](std::uint64_t revision) {
    Request request;
    request.expected_revision = revision;
    return request;
  };
  accepted(machine.ask(wire::CreateTopic{.path = "t"}, with(0)));
  // It exists: that would be refused too, but the revision speaks first.
  auto decision = machine.ask(wire::CreateTopic{.path = "t"}, with(0));
  CHECK(refused(decision, ErrorCode::kRevisionConflict).current_revision.value() == 1);
  refused(machine.ask(wire::SetTopicStatus{"t", TopicStatus::kArchived}, with(7)),
          ErrorCode::kRevisionConflict);
  accepted(machine.ask(wire::SetTopicStatus{"t", TopicStatus::kArchived}, with(1)));
  decision = machine.ask(wire::UpdateTopic{.path = "u"}, with(1));
  CHECK(refused(decision, ErrorCode::kRevisionConflict).current_revision.value() == 0);
  refused(machine.ask(wire::AddDatasetVersion{version("t", "d", "1")}, with(3)),
          ErrorCode::kRevisionConflict);
  // But an impossible name has no revision at all.
  refused(machine.ask(wire::CreateTopic{.path = "/t"}, with(3)), ErrorCode::kInvalid);
}

}  // namespace
}  // namespace bib::projections
