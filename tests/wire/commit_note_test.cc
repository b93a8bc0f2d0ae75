// The note of what is committed: its bytes, and what it says of the log that it stands beside.
#include "wire/log/commit_note.h"

#include <catch2/catch.hpp>

namespace bib::wire {
namespace {

constexpr LogPosition at(std::uint64_t index, std::uint64_t term) {
  return {.index = LogIndex(index), .term = Term(term)};
}

const CommitNote kNote{.log_id = 0x1234, .committed = at(900, 4)};

// A log of id 0x1234.
NotedLog log_of(LogPosition base, LogPosition last, std::optional<Term> term_there) {
  return {.log_id = 0x1234, .base = base, .last = last, .term_there = term_there};
}

}  // namespace

TEST_CASE("the note of what is committed comes back") {
  const auto decoded = decode_commit_note(encode_commit_note(kNote));
  REQUIRE(decoded);
  CHECK(*decoded == kNote);
}

TEST_CASE("a note of what is committed that was torn or damaged anywhere is none") {
  const auto bytes = encode_commit_note(kNote);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto damaged = bytes;
    damaged[i] ^= 0x10;
    CHECK_FALSE(decode_commit_note(damaged));
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode_commit_note(ByteView(bytes).first(size)));
  }
  // Half of one note and half of the next.
  auto torn = encode_commit_note({.log_id = 0x1234, .committed = at(901, 5)});
  std::copy(bytes.begin(), bytes.begin() + 32, torn.begin());
  CHECK_FALSE(decode_commit_note(torn));
  // The notes of a log's start are another kind.
  CHECK_FALSE(decode_commit_note(
      encode_note({.magic = "BIBLOGST", .version = 1, .name = "start"}, {0x1234, 900, 4, 0, 0})));
  CHECK_FALSE(decode_commit_note(
      encode_note({.magic = "BIBLOGCM", .version = 1, .name = "note"}, {0x1234, 0, 4, 0, 0})));
  const auto newer = decode_commit_note(
      encode_note({.magic = "BIBLOGCM", .version = 2, .name = "note"}, {0x1234, 900, 4, 0, 0}));
  REQUIRE_FALSE(newer);
  CHECK(newer.error().code == ErrorCode::kUnsupported);
}

TEST_CASE("a log is judged by what was committed in it") {
  const auto judged = [](const NotedLog& log) { return judge_commit_note(kNote, log).state; };
  CHECK(judged(log_of({}, at(900, 4), Term(4))) == CommitNoteState::kFits);
  CHECK(judged(log_of(at(900, 4), at(900, 4), Term(4))) == CommitNoteState::kFits);
  CHECK(judged(log_of(at(901, 4), at(950, 5), std::nullopt)) == CommitNoteState::kIsOld);
  CHECK(judged(log_of({}, at(899, 4), std::nullopt)) == CommitNoteState::kLogIsShort);
  CHECK(judged(log_of({}, at(950, 5), Term(5))) == CommitNoteState::kLogDiffers);
  NotedLog other = log_of({}, at(899, 4), std::nullopt);
  other.log_id = 7;
  CHECK(judged(other) == CommitNoteState::kIsForeign);
  CHECK_FALSE(judge_commit_note(kNote, other).is_damage());
  const auto lost = judge_commit_note(kNote, log_of({}, at(899, 4), std::nullopt));
  CHECK(lost.is_damage());
  CHECK(lost.what.find("ends at entry 899") != std::string::npos);
}

}  // namespace bib::wire
