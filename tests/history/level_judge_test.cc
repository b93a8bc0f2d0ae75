// The judge of read levels, on answers that are known to be wrong, and on right ones that look so.
#include "level_judge.h"

#include <catch2/catch.hpp>
#include <string>

using namespace bib;
using Catch::Matchers::Contains;
using judges::Complaint;
using judges::LevelJudge;
using wire::Consistency;
using wire::LogIndex;
using wire::Revision;

namespace {

constexpr std::uint64_t kSecond = 1'000'000;

// A log of one key: set to v1 in entry 10, to v2 in entry 20, and unset in entry 30. Node 0 has
// acknowledged the first two, after one and after two seconds.
struct Judged {
  Judged() {
    REQUIRE_FALSE(judge.add("k", {LogIndex(10), "v1", Revision(1)}));
    REQUIRE_FALSE(judge.add("k", {LogIndex(20), "v2", Revision(2)}));
    REQUIRE_FALSE(judge.add("k", {LogIndex(30), std::nullopt, Revision(3)}));
    judge.acknowledged(1 * kSecond, 0, LogIndex(10));
    judge.acknowledged(2 * kSecond, 0, LogIndex(20));
  }
  LevelJudge::Question ask(std::size_t node, Consistency level, std::uint64_t max_age = 0,
                           std::uint32_t run = 1) const {
    return judge.ask(3 * kSecond, run, {.node = node, .level = level, .max_age_us = max_age});
  }
  std::string answer(const LevelJudge::Question& question, std::uint64_t index,
                     std::optional<std::uint64_t> age = {}, std::uint32_t run = 1) {
    const LevelJudge::Version* version = judge.version_at("k", LogIndex(index));
    return judge
        .answered(3 * kSecond, run, question,
                  {"k", version == nullptr ? std::nullopt : version->value, LogIndex(index), age})
        .value_or("");
  }

  LevelJudge judge{{.nodes = 2, .deposed_ticks = 2}};
};

}  // namespace

TEST_CASE("rows that are not those of their entry are found at every level") {
  Judged judged;
  for (const auto level : {Consistency::kLinearizable, Consistency::kLeader, Consistency::kStale}) {
    const auto wrong = judged.judge.answered(3 * kSecond, 1, judged.ask(0, level),
                                             {"k", "v1", LogIndex(20), std::nullopt});
    REQUIRE(wrong);
    CHECK_THAT(*wrong, Contains("sees 'v1', not 'v2'"));
  }
}

TEST_CASE("a linearizable read that lacks an acknowledged write is found, on any node") {
  Judged judged;
  const auto question = judged.ask(1, Consistency::kLinearizable);
  CHECK_THAT(judged.answer(question, 19), Contains("does not show entry 20"));
  CHECK(judged.answer(question, 20) == "");
}

TEST_CASE("a leader read that lacks what its node has acknowledged is found, in a later run, too") {
  Judged judged;
  CHECK_THAT(judged.answer(judged.ask(0, Consistency::kLeader, 0, 2), 19, {}, 2),
             Contains("a leader read of n1 at entry 19 does not show entry 20"));
  // What another one has acknowledged is another matter, for a while.
  CHECK(judged.answer(judged.ask(1, Consistency::kLeader), 10) == "");
}

TEST_CASE("a deposed leader that answers beyond its time is found") {
  Judged judged;
  for (int tick = 0; tick < 2; ++tick) judged.judge.tick(1);
  CHECK(judged.answer(judged.ask(1, Consistency::kLeader), 10) == "");
  judged.judge.tick(1);
  CHECK_THAT(judged.answer(judged.ask(1, Consistency::kLeader), 10), Contains("show entry 20"));
}

TEST_CASE("a stale read may show any entry, but none before what its node has shown in this run") {
  Judged judged;
  CHECK(judged.answer(judged.ask(1, Consistency::kStale), 0) == "");
  CHECK(judged.answer(judged.ask(1, Consistency::kStale), 15) == "");
  CHECK_THAT(judged.answer(judged.ask(1, Consistency::kStale), 14), Contains("show entry 15"));
  // Whoever has read there.
  CHECK(judged.answer(judged.ask(1, Consistency::kLinearizable), 20) == "");
  CHECK_THAT(judged.answer(judged.ask(1, Consistency::kStale), 19), Contains("show entry 20"));
  // Asked before that was answered, it may have been read before.
  const auto early = judged.ask(1, Consistency::kStale);
  CHECK(judged.answer(judged.ask(1, Consistency::kStale), 25) == "");
  CHECK(judged.answer(early, 20) == "");
}

TEST_CASE("rows go back over a start only where their age is not known") {
  Judged judged;
  CHECK(judged.answer(judged.ask(1, Consistency::kStale), 25) == "");
  CHECK(judged.answer(judged.ask(1, Consistency::kStale, 0, 2), 5, {}, 2) == "");
  CHECK_THAT(judged.answer(judged.ask(1, Consistency::kStale, 0, 2), 24, 5 * kSecond, 2),
             Contains("had shown entry 25"));
  CHECK(judged.answer(judged.ask(1, Consistency::kStale, 0, 2), 25, 5 * kSecond, 2) == "");
  // Of an answer that may be of either run nothing follows but the entries that it shows.
  CHECK(judged.answer(judged.ask(1, Consistency::kStale, 0, 0), 7, {}, 0) == "");
}

TEST_CASE("rows that are older than was asked for, or than their node says, are found") {
  Judged judged;
  // Entry 10 was acknowledged two seconds before the question, entry 20 one second.
  const auto question = judged.ask(1, Consistency::kStale, kSecond * 3 / 2);
  CHECK_THAT(judged.answer(question, 9, kSecond), Contains("show entry 10"));
  CHECK_THAT(judged.answer(question, 10), Contains("of unknown age"));
  CHECK_THAT(judged.answer(question, 10, 2 * kSecond), Contains("answers with some of 2000 ms"));
  CHECK_THAT(judged.answer(question, 10, kSecond / 2), Contains("entry 20 was answered before"));
  CHECK(judged.answer(question, 10, kSecond) == "");
  CHECK(judged.answer(judged.ask(1, Consistency::kStale, kSecond / 2), 20, 0) == "");
}

TEST_CASE("that a key is not set must be so at or after the entry that had to be shown") {
  Judged judged;
  const auto at_first = judged.judge.ask(0, 1, {.node = 1, .level = Consistency::kStale});
  CHECK_FALSE(judged.judge.answered_unset(at_first, "k"));
  // It is unset in entry 30, after what was acknowledged.
  CHECK_FALSE(judged.judge.answered_unset(judged.ask(0, Consistency::kLeader), "k"));
  REQUIRE_FALSE(judged.judge.add("other", {LogIndex(12), "v", Revision(1)}));
  const Complaint wrong = judged.judge.answered_unset(judged.ask(0, Consistency::kLeader), "other");
  REQUIRE(wrong);
  CHECK_THAT(*wrong, Contains("other is not set; it was in entry 20"));
}

TEST_CASE("a key's revisions go up by one, and count as 0 while it is not set") {
  Judged judged;
  CHECK(judged.judge.revision_at("k", LogIndex(29)) == Revision(2));
  CHECK(judged.judge.revision_at("k", LogIndex(30)) == Revision());
  CHECK(judged.judge.add("k", {LogIndex(31), "v", Revision(5)}));
  CHECK_FALSE(judged.judge.add("k", {LogIndex(31), "v", Revision(4)}));
}
