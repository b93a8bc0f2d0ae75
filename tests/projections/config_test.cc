// Config, join tokens, tasks and jobs: what the rules allow, and what the rows then say.
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "machine.h"
#include "projections/rules/join_tokens.h"
#include "wire/model/row.h"

namespace bib::projections {
namespace {

using wire::ErrorCode;
using wire::JobState;
using wire::QueryTable;

struct World {
  MemoryStore store;
  Machine machine{store};
};

Request with_revision(std::uint64_t revision) {
  Request request;
  request.expected_revision = revision;
  return request;
}

TEST_CASE("a config key is set, set again and unset") {
  World world;
  auto& machine = world.machine;
  CHECK(accepted_revision(machine.ask(wire::SetConfig{"k", "1"})) == 1);
  CHECK(answered(machine.ask(wire::SetConfig{"k", "1"})).unchanged);
  CHECK(accepted_revision(machine.ask(wire::SetConfig{"k", "2"})) == 2);
  CHECK(machine.row<wire::ConfigRow>(QueryTable::kConfig, "k")->value == "2");
  CHECK(accepted_revision(machine.ask(wire::UnsetConfig{"k"})) == 3);
  CHECK_FALSE(machine.row<wire::ConfigRow>(QueryTable::kConfig, "k"));
  refused(machine.ask(wire::UnsetConfig{"k"}), ErrorCode::kNotFound);
  // From outside, the decoder refuses this already.
  refused(must(machine.projector->decide_own(wire::SetConfig{"", "1"}, 1)), ErrorCode::kInvalid);
}

TEST_CASE("a revision never goes back, also when the key was unset in between") {
  World world;
  auto& machine = world.machine;
  machine.ask(wire::SetConfig{"k", "1"});
  machine.ask(wire::UnsetConfig{"k"});
  // Unset, it "does not exist" for whoever expects a revision.
  refused(machine.ask(wire::SetConfig{"k", "2"}, with_revision(2)), ErrorCode::kRevisionConflict);
  CHECK(accepted_revision(machine.ask(wire::SetConfig{"k", "2"}, with_revision(0))) == 3);
  const auto decision = machine.ask(wire::SetConfig{"k", "3"}, with_revision(1));
  CHECK(refused(decision, ErrorCode::kRevisionConflict).current_revision.value() == 3);
  CHECK(accepted_revision(machine.ask(wire::UnsetConfig{"k"})) == 4);
  machine.write_behind();
  CHECK(accepted_revision(machine.ask(wire::SetConfig{"k", "4"})) == 5);
}

TEST_CASE("within one turn each command sees the ones before it") {
  World world;
  auto& machine = world.machine;
  CHECK(accepted_revision(machine.decide(wire::SetConfig{"k", "1"})) == 1);
  CHECK(accepted_revision(machine.decide(wire::SetConfig{"k", "2"})) == 2);
  CHECK(answered(machine.decide(wire::SetConfig{"k", "2"})).unchanged);
  CHECK(accepted_revision(machine.decide(wire::UnsetConfig{"k"})) == 3);
  CHECK(accepted_revision(machine.decide(wire::SetConfig{"k", "3"})) == 4);
  // And queries do not see them before they are applied.
  CHECK_FALSE(machine.row<wire::ConfigRow>(QueryTable::kConfig, "k"));
  machine.settle();
  CHECK(machine.row<wire::ConfigRow>(QueryTable::kConfig, "k")->revision.value() == 4);
}

TEST_CASE("a join token is found by its hash and stays hidden from lists") {
  World world;
  auto& machine = world.machine;
  std::array<std::uint8_t, 32> hash{};
  hash[3] = 9;
  const auto expires = machine.now_us + 1'000'000;
  const auto find = [&] { return must(find_join_token(machine.projector->applied_rows(), hash)); };
  CHECK_FALSE(find());
  accepted(machine.ask(wire::IssueJoinToken{hash, expires}));
  CHECK(find() == expires);
  CHECK(answered(machine.ask(wire::IssueJoinToken{hash, expires})).unchanged);
  refused(machine.ask(wire::IssueJoinToken{hash, expires + 1}), ErrorCode::kRefused);
  hash[0] = 1;
  refused(machine.ask(wire::IssueJoinToken{hash, machine.now_us}), ErrorCode::kInvalid);
  CHECK_FALSE(find());
  wire::Query query;
  query.table = QueryTable::kConfig;
  CHECK(must(must(machine.projector->view()).run(query)).reply().rows.empty());
}

TEST_CASE("the leader's own command leaves no exactly-once record") {
  World world;
  auto& machine = world.machine;
  machine.begin();
  const auto decision = must(machine.projector->decide_own(wire::SetConfig{"k", "1"}, 1));
  CHECK(accepted_revision(decision) == 1);
  machine.seal();
  CHECK(machine.apply_next().outcomes.empty());
  CHECK(machine.projector->mark().digests[family_index(Family::kSessions)].rows == 0);
}

TEST_CASE("a task's version never changes") {
  World world;
  auto& machine = world.machine;
  CHECK(accepted_revision(machine.ask(wire::RegisterTask{"t", "1", "run", "d"})) == 1);
  CHECK(answered(machine.ask(wire::RegisterTask{"t", "1", "run", "d"})).unchanged);
  refused(machine.ask(wire::RegisterTask{"t", "1", "walk", "d"}), ErrorCode::kRefused);
  refused(machine.ask(wire::RegisterTask{"t", "1", "run", "other"}), ErrorCode::kRefused);
  CHECK(accepted_revision(
            machine.ask(wire::RegisterTask{"t", "2", "walk", ""}, with_revision(1))) == 2);
  const std::string key("t\0001", 3);
  const auto row = machine.row<wire::TaskRow>(QueryTable::kTasks, key);
  REQUIRE(row);
  CHECK(row->definition == "run");
  CHECK(row->revision.value() == 1);
}

TEST_CASE("a job needs a task, and without a version gets the latest") {
  World world;
  auto& machine = world.machine;
  refused(machine.ask(wire::SubmitJob{"j", "t", "", "{}"}), ErrorCode::kNotFound);
  machine.ask(wire::RegisterTask{"t", "1", "run", ""});
  machine.ask(wire::RegisterTask{"t", "2", "run faster", ""});
  refused(machine.ask(wire::SubmitJob{"j", "t", "3", "{}"}), ErrorCode::kNotFound);
  accepted(machine.ask(wire::SubmitJob{"j", "t", "", "{}"}));
  const auto row = machine.row<wire::JobRow>(QueryTable::kJobs, "j");
  REQUIRE(row);
  CHECK(row->task_version == "2");
  CHECK(row->state == JobState::kSubmitted);
  CHECK(answered(machine.ask(wire::SubmitJob{"j", "t", "", "{}"})).unchanged);
  CHECK(answered(machine.ask(wire::SubmitJob{"j", "t", "2", "{}"})).unchanged);
  refused(machine.ask(wire::SubmitJob{"j", "t", "1", "{}"}), ErrorCode::kRefused);
  refused(machine.ask(wire::SubmitJob{"j", "t", "", "{1}"}), ErrorCode::kRefused);
  accepted(machine.ask(wire::SubmitJob{"j1", "t", "1", ""}));
}

TEST_CASE("a job goes from submitted over running to one end, and no other way") {
  using State = JobState;
  const std::vector<State> all = {State::kSubmitted, State::kRunning, State::kSucceeded,
                                  State::kFailed, State::kCancelled};
  struct Case {
    std::vector<State> path;
    std::vector<State> allowed;  // next
  };
  const Case cases[] = {
      {{}, {State::kRunning, State::kFailed, State::kCancelled}},
      {{State::kRunning}, {State::kRunning, State::kSucceeded, State::kFailed, State::kCancelled}},
      {{State::kRunning, State::kSucceeded}, {}},
      {{State::kRunning, State::kFailed}, {}},
      {{State::kCancelled}, {}},
  };
  for (const Case& each : cases) {
    for (const State next : all) {
      World world;
      auto& machine = world.machine;
      machine.ask(wire::RegisterTask{"t", "1", "run", ""});
      machine.ask(wire::SubmitJob{"j", "t", "", ""});
      for (const State step : each.path) accepted(machine.ask(wire::SetJobState{"j", step, "m"}));
      const auto decision = machine.ask(wire::SetJobState{"j", next, "says something new"});
      const bool allowed =
          std::find(each.allowed.begin(), each.allowed.end(), next) != each.allowed.end();
      if (!allowed) {
        refused(decision, ErrorCode::kRefused);
        continue;
      }
      CHECK(accepted_revision(decision) == each.path.size() + 2);
      const auto row = machine.row<wire::JobRow>(QueryTable::kJobs, "j");
      CHECK(row->state == next);
      CHECK(row->message == "says something new");
      CHECK(answered(machine.ask(wire::SetJobState{"j", next, "says something new"})).unchanged);
    }
  }
}

}  // namespace
}  // namespace bib::projections
