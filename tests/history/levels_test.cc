// Reads of all levels, as the harness records and judges them.
#include "levels.h"

#include <catch2/catch.hpp>
#include <string>

#include "support/test_support.h"

using namespace bib;
using namespace bib::nemesis;
using Catch::Matchers::Contains;
using support::Operation;
using wire::Consistency;
using wire::LogIndex;

namespace {

std::string set(int index, const std::string& value, int revision) {
  return R"({"position":")" + std::to_string(index) + R"(:0","type":"ConfigSet","revision":)" +
         std::to_string(revision) + R"(,"body":{"key":"k","value":")" + value + "\"}}\n";
}

struct Recorded {
  void write(const std::string& value, int index, std::size_t node) {
    Operation operation;
    operation.call = support::Call::kWrite;
    operation.key = "k";
    operation.value = value;
    const std::size_t call = recorder.invoke(operation);
    Operation answer;
    answer.outcome = support::Outcome::kOk;
    recorder.complete(call, answer, {}, wire::Position{LogIndex(index), 0}, node);
    events += set(index, value, ++revision);
  }
  std::size_t ask(std::size_t node, Consistency level) {
    LevelRead read;
    read.node = node;
    read.level = level;
    read.key = "k";
    return recorder.ask(read);
  }
  void answer(std::size_t number, int index, std::optional<std::string> value) {
    LevelRead answer;
    answer.applied = LogIndex(index);
    answer.value = std::move(value);
    recorder.answer(number, answer);
  }
  void unset(std::size_t number) {
    LevelRead answer;
    answer.unset = true;
    recorder.answer(number, answer);
  }
  void kill(std::size_t node) {
    recorder.node_ends(node);
    recorder.node_ends(node);
  }
  std::string wrong(LogIndex begins = LogIndex(1)) {
    const LevelResult result = judge_levels(events, begins, recorder, 3);
    return result.wrong.empty() ? "" : result.wrong.front();
  }

  support::TempDir scratch;
  Recorder recorder{scratch / "history.jsonl"};
  std::string events;
  int revision = 0;
};

}  // namespace

TEST_CASE("reads that keep their level's promise are right") {
  Recorded recorded;
  const std::size_t early = recorded.ask(0, Consistency::kLinearizable);
  recorded.write("a", 5, 0);
  recorded.write("b", 7, 0);
  recorded.answer(early, 5, "a");
  recorded.answer(recorded.ask(0, Consistency::kLeader), 8, "b");
  recorded.answer(recorded.ask(1, Consistency::kStale), 6, "a");
  recorded.kill(1);
  recorded.answer(recorded.ask(1, Consistency::kStale), 5, "a");
  recorded.unset(recorded.ask(2, Consistency::kStale));
  recorded.ask(2, Consistency::kLinearizable);  // never answered
  CHECK(recorded.wrong() == "");
  CHECK(judge_levels(recorded.events, LogIndex(1), recorded.recorder, 3).reads == 5);
}

TEST_CASE("a new run of a leader that denies what the earlier one acknowledged is found") {
  Recorded recorded;
  recorded.write("a", 5, 0);
  recorded.kill(0);
  SECTION("with older rows") {
    recorded.answer(recorded.ask(0, Consistency::kLeader), 4, std::nullopt);
    CHECK_THAT(recorded.wrong(), Contains("a leader read of n1 at entry 4"));
  }
  SECTION("with 'no such key'") {
    recorded.unset(recorded.ask(0, Consistency::kLeader));
    CHECK_THAT(recorded.wrong(), Contains("k is not set; it was in entry 5"));
  }
}

TEST_CASE("rows that go back while a node runs are found, and only then") {
  Recorded recorded;
  recorded.write("a", 5, 0);
  recorded.write("b", 7, 0);
  recorded.answer(recorded.ask(1, Consistency::kStale), 7, "b");
  SECTION("in one run") {
    recorded.answer(recorded.ask(1, Consistency::kStale), 6, "a");
    CHECK_THAT(recorded.wrong(), Contains("a stale read of n2 at entry 6"));
  }
  SECTION("while it is being killed, it may be the next run") {
    recorded.recorder.node_ends(1);
    const std::size_t between = recorded.ask(1, Consistency::kStale);
    recorded.recorder.node_ends(1);
    recorded.answer(between, 6, "a");
    CHECK(recorded.wrong() == "");
  }
}

TEST_CASE("of a log that was cut, values from before are not judged, and entries are") {
  Recorded recorded;
  recorded.write("b", 7, 0);
  recorded.answer(recorded.ask(1, Consistency::kStale), 6, "older");
  recorded.unset(recorded.ask(2, Consistency::kStale));
  CHECK(recorded.wrong(LogIndex(7)) == "");
  CHECK_THAT(recorded.wrong(), Contains("sees 'older'"));
  recorded.answer(recorded.ask(1, Consistency::kLinearizable), 6, "older");
  CHECK_THAT(recorded.wrong(LogIndex(7)), Contains("does not show entry 7"));
}
