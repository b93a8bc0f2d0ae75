// What the harness looks for in the log, on logs that are known to be wrong; and its schedule.
#include "audit.h"

#include <catch2/catch.hpp>
#include <string>

#include "recorder.h"
#include "schedule.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::nemesis;
using Catch::Matchers::Contains;
using support::Call;
using support::Operation;
using support::Outcome;
using namespace std::chrono_literals;

namespace {

std::string set(const std::string& position, const std::string& value, int revision) {
  return R"({"position":")" + position + R"(","type":"ConfigSet","revision":)" +
         std::to_string(revision) + R"(,"body":{"key":"k","value":")" + value + "\"}}\n";
}
std::string unset(const std::string& position, int revision) {
  return R"({"position":")" + position + R"(","type":"ConfigUnset","revision":)" +
         std::to_string(revision) + R"(,"body":{"key":"k"}})" + "\n";
}

// Two writes and a delete that were acknowledged at 5:0, 6:0 and 6:1, and a write of unknown
// outcome.
struct Recorded {
  Recorded() {
    change(Call::kWrite, "a", 1, {wire::LogIndex(5), 0});
    change(Call::kWrite, "b", 2, {wire::LogIndex(6), 0});
    change(Call::kDelete, {}, 3, {wire::LogIndex(6), 1});
    Operation lost;
    lost.call = Call::kWrite;
    lost.key = "k";
    lost.value = "c";
    recorder.complete(recorder.invoke(lost), {}, "timeout");
  }
  void change(Call call, std::optional<std::string> value, std::uint64_t revision,
              wire::Position position) {
    Operation operation;
    operation.call = call;
    operation.key = "k";
    operation.value = std::move(value);
    const std::size_t number = recorder.invoke(operation);
    Operation answer;
    answer.outcome = Outcome::kOk;
    answer.revision = revision;
    recorder.complete(number, answer, {}, position);
  }
  std::string first_complaint(const std::string& events) {
    const AuditResult result = audit_events(events, recorder);
    return result.wrong.empty() ? "" : result.wrong.front();
  }

  support::TempDir scratch;
  Recorder recorder{scratch / "history.jsonl"};
};

}  // namespace

TEST_CASE("a log that has what was acknowledged, and perhaps what was not, is right") {
  Recorded recorded;
  const std::string acknowledged = set("5:0", "a", 1) + set("6:0", "b", 2) + unset("6:1", 3);
  CHECK(recorded.first_complaint(acknowledged) == "");
  CHECK(recorded.first_complaint(acknowledged + set("7:0", "c", 4)) == "");
  CHECK(audit_events(acknowledged, recorded.recorder).acknowledged == 3);
  // What a snapshot has taken the place of is not looked for.
  CHECK(audit_events(set("6:0", "b", 2) + unset("6:1", 3), recorded.recorder).acknowledged == 2);
  CHECK(recorded.first_complaint(set("6:0", "b", 2) + unset("6:1", 3)) == "");
}

TEST_CASE("an acknowledged change that the log lacks, or has otherwise, is found") {
  Recorded recorded;
  CHECK_THAT(recorded.first_complaint(set("5:0", "a", 1) + set("6:0", "b", 2)),
             Contains("not in the log at 6:1"));
  CHECK_THAT(recorded.first_complaint(set("5:0", "a", 1) + set("6:0", "c", 2) + unset("6:1", 3)),
             Contains("not in the log at 6:0"));
}

TEST_CASE("a change that was carried out twice is found") {
  Recorded recorded;
  CHECK_THAT(recorded.first_complaint(set("5:0", "a", 1) + set("6:0", "b", 2) + unset("6:1", 3) +
                                      set("7:0", "b", 4)),
             Contains("'b' at 7:0, once more than it was asked for"));
}

TEST_CASE("revisions that do not go up by one, and events that cannot be read, are found") {
  Recorded recorded;
  const std::string begin = set("5:0", "a", 1) + set("6:0", "b", 2) + unset("6:1", 3);
  CHECK_THAT(recorded.first_complaint(begin + set("7:0", "c", 5)),
             Contains("'k' goes from revision 3 to 5"));
  CHECK_THAT(recorded.first_complaint(begin + "{\n"), Contains("not an event of a key"));
  CHECK_THAT(recorded.first_complaint(begin + unset("6:1", 4)), Contains("two events at 6:1"));
}

TEST_CASE("what a recorder wrote is the history that it has in memory") {
  Recorded recorded;
  recorded.recorder.fault("kill", "node1");
  REQUIRE(recorded.recorder.finish());
  const auto read = history::read_history(support::read_file(recorded.scratch / "history.jsonl"));
  REQUIRE(read);
  REQUIRE(read->size() == recorded.recorder.operations().size());
  for (std::size_t i = 0; i < read->size(); ++i) {
    CHECK(support::to_string((*read)[i]) == support::to_string(recorded.recorder.operations()[i]));
  }
}

TEST_CASE("faults are named, and an unknown word is refused") {
  CHECK(parse_faults("none")->empty());
  CHECK(*parse_faults("slow-disk,kill,kill") ==
        std::vector{FaultKind::kSlowDisk, FaultKind::kKill});
  for (const char* wrong : {"", "kill,", "killl", "kill pause"}) {
    INFO(wrong);
    CHECK_FALSE(parse_faults(wrong));
  }
}

TEST_CASE("a seed gives one schedule, in which a kind's faults follow one another and all end") {
  const std::vector kinds{FaultKind::kKill, FaultKind::kPartition};
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const auto schedule = draw_schedule(seed, 60s, kinds);
    const auto again = draw_schedule(seed, 60s, kinds);
    INFO("seed " << seed);
    REQUIRE(schedule.size() == again.size());
    std::map<FaultKind, std::chrono::milliseconds> free_at;
    for (std::size_t i = 0; i < schedule.size(); ++i) {
      const Fault& fault = schedule[i];
      CHECK((fault.begins == again[i].begins && fault.choice == again[i].choice));
      CHECK(fault.begins >= free_at[fault.kind]);
      CHECK(fault.ends > fault.begins);
      CHECK(fault.ends < 60s);
      free_at[fault.kind] = fault.ends;
    }
    CHECK(free_at.size() == kinds.size());
  }
}
