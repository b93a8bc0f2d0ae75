// Queries: pages, scopes, and views that stay as they are.
#include <catch2/catch.hpp>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "machine.h"
#include "projections/apply/query.h"

namespace bib::projections {
namespace {

using wire::ErrorCode;
using wire::QueryTable;

struct World {
  MemoryStore store;
  Machine machine{store};
};

wire::Query page(QueryTable table, std::string_view scope = "", std::string_view prefix = "") {
  wire::Query query;
  query.table = table;
  query.scope = scope;
  query.prefix = prefix;
  return query;
}

// All keys of a list, in pages of `limit`.
std::vector<std::string> list(const QueryView& view, wire::Query query, std::uint32_t limit) {
  std::vector<std::string> keys;
  std::string after;
  query.limit = limit;
  for (;;) {
    query.after = after;
    const QueryResult result = must(view.run(query));
    for (const auto& row : result.reply().rows) keys.emplace_back(row.key);
    if (!result.reply().next) return keys;
    REQUIRE(result.reply().rows.size() == limit);
    after = *result.reply().next;
  }
}

void add_catalog(Machine& machine) {
  for (const auto* path : {"b", "a", "a/x", "ab"}) {
    machine.ask(wire::CreateTopic{.path = path});
  }
  for (const auto* topic : {"a", "ab", "a/x"}) {
    for (const auto* dataset : {"two", "one", "Größe"}) {
      for (const auto* version : {"1", "2", "10"}) {
        wire::DatasetVersionAdded added;
        added.topic = topic;
        added.dataset = dataset;
        added.version = version;
        accepted(machine.ask(wire::AddDatasetVersion{added}));
      }
    }
  }
}

TEST_CASE("lists come in order of bytes, in pages of any size, from all layers") {
  World world;
  auto& machine = world.machine;
  add_catalog(machine);
  machine.write_behind();
  machine.ask(wire::CreateTopic{.path = "aa"});
  for (const std::uint32_t limit : {1U, 2U, 3U, 100U}) {
    const QueryView view = must(machine.projector->view());
    CHECK(list(view, page(QueryTable::kTopics), limit) ==
          std::vector<std::string>{"a", "a/x", "aa", "ab", "b"});
    CHECK(list(view, page(QueryTable::kTopics, "", "a/"), limit) ==
          std::vector<std::string>{"a/x"});
    CHECK(list(view, page(QueryTable::kDatasets, "a"), limit) ==
          std::vector<std::string>{"Größe", "one", "two"});
    CHECK(list(view, page(QueryTable::kDatasets, "a", "t"), limit) ==
          std::vector<std::string>{"two"});
    CHECK(list(view, page(QueryTable::kVersions, std::string_view("a\0one", 5)), limit) ==
          std::vector<std::string>{"1", "10", "2"});
    const auto all = list(view, page(QueryTable::kDatasets), limit);
    CHECK(all.size() == 9);
    CHECK(all.front() == std::string("a\0Größe", 9));
    CHECK(list(view, page(QueryTable::kDatasets, "b"), limit).empty());
  }
}

TEST_CASE("a topic in a list knows how many datasets it has") {
  World world;
  add_catalog(world.machine);
  world.machine.write_behind();
  const QueryView view = must(world.machine.projector->view());
  const QueryResult result = must(view.run(page(QueryTable::kTopics)));
  REQUIRE(result.reply().rows.size() == 4);
  for (const auto& row : result.reply().rows) {
    const auto topic = must(wire::read_row_as<wire::TopicRow>(row.value));
    CHECK(topic.datasets == (topic.path == "b" ? 0U : 3U));
  }
}

TEST_CASE("what does not exist is not found, and a scope that makes no sense is invalid") {
  World world;
  auto& machine = world.machine;
  add_catalog(machine);
  const QueryView view = must(machine.projector->view());
  const auto code = [&](const wire::Query& query) {
    const auto result = view.run(query);
    REQUIRE_FALSE(result);
    CHECK(result.error().message.size() > 20);
    return result.error().code;
  };
  CHECK(code(page(QueryTable::kDatasets, "nowhere")) == ErrorCode::kNotFound);
  CHECK(code(page(QueryTable::kVersions, std::string_view("a\0zero", 6))) == ErrorCode::kNotFound);
  CHECK(code(page(QueryTable::kVersions, "a")) == ErrorCode::kInvalid);
  CHECK(code(page(QueryTable::kVersions)) == ErrorCode::kInvalid);
  CHECK(code(page(QueryTable::kVersions, std::string_view("a\0", 2))) == ErrorCode::kInvalid);
  auto one = page(QueryTable::kJobs);
  one.key = "j";
  CHECK(code(one) == ErrorCode::kNotFound);
}

TEST_CASE("what is not found is named, with the command that lists what there is") {
  World world;
  const QueryView view = must(world.machine.projector->view());
  const auto message = [&](QueryTable table) {
    auto one = page(table);
    one.key = "x";
    const auto result = view.run(one);
    REQUIRE_FALSE(result);
    return result.error().message;
  };
  CHECK(message(QueryTable::kTopics) ==
        "Topic 'x' does not exist. `bib topic list` shows those that do.");
  CHECK(message(QueryTable::kConfig) ==
        "Config 'x' does not exist. `bib config list` shows those that do.");
  CHECK(message(QueryTable::kJobs) ==
        "Job 'x' does not exist. `bib job list` shows those that do.");
}

TEST_CASE("a page ends when it is large, and the next begins after its last row") {
  World world;
  auto& machine = world.machine;
  const std::string large(900'000, 'x');
  for (int i = 0; i < 12; ++i) {
    machine.ask(wire::SetConfig{"key" + std::to_string(10 + i), large});
  }
  auto query = page(QueryTable::kConfig);
  const QueryView view = must(machine.projector->view());
  const QueryResult first = must(view.run(query));
  CHECK(first.reply().rows.size() == 5);
  REQUIRE(first.reply().next);
  query.after = *first.reply().next;
  const QueryResult second = must(view.run(query));
  CHECK(second.reply().rows.front().key == "key15");
}

TEST_CASE("a view stays as it was while the node continues, also on another thread") {
  World world;
  auto& machine = world.machine;
  std::vector<std::string> names;
  for (int i = 0; i < 400; ++i) names.push_back("key" + std::to_string(1000 + i));
  for (int i = 0; i < 200; ++i) {
    machine.ask(wire::SetConfig{names[static_cast<std::size_t>(i)], "old"});
  }
  const QueryView view = must(machine.projector->view());
  const auto applied = machine.projector->applied_index();
  std::vector<std::string> seen;
  std::size_t old_values = 0;
  std::thread reader([&] {
    for (int round = 0; round < 20; ++round) {
      seen.clear();
      old_values = 0;
      wire::Query query = page(QueryTable::kConfig);
      query.limit = 1000;
      const auto result = view.run(query);
      if (!result) return;
      for (const auto& row : result->reply().rows) {
        seen.emplace_back(row.key);
        const auto config = wire::read_row_as<wire::ConfigRow>(row.value);
        if (config && config->value == "old") ++old_values;
      }
    }
  });
  for (int i = 0; i < 400; ++i) {
    machine.ask(wire::SetConfig{names[static_cast<std::size_t>(i)], "new"});
    if (i % 3 == 0) machine.ask(wire::UnsetConfig{names[static_cast<std::size_t>(i)]});
    if (i % 50 == 0) machine.write_behind();
  }
  reader.join();
  CHECK(view.applied_index() == applied);
  CHECK(seen == std::vector<std::string>(names.begin(), names.begin() + 200));
  CHECK(old_values == 200);
}

}  // namespace
}  // namespace bib::projections
