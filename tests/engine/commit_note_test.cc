// A log that stands beside a note of what was committed in it.
#include <catch2/catch.hpp>

#include "engine/storage/commit_note_file.h"
#include "engine/storage/log_store.h"
#include "faulty_file_system.h"
#include "log_model.h"
#include "wire/log/commit_note.h"

namespace bib::engine {
namespace {

using wire::LogIndex;
using wire::Term;

constexpr wire::LogPosition at(std::uint64_t index, std::uint64_t term) {
  return {.index = LogIndex(index), .term = Term(term)};
}

void append(LogStore& store, std::uint64_t from, std::uint64_t to, std::uint64_t term) {
  LogStoreWrite write;
  for (std::uint64_t index = from; index <= to; ++index) {
    write.entries.push_back(make_entry(index, term, 200));
  }
  const auto status = store.append({&write, 1});
  INFO((status ? std::string() : status.error().message));
  REQUIRE(status);
}

LogStore::Recovered open(FaultyFileSystem& files) {
  auto log = LogStore::open(files, kLogDirectory, test_options());
  INFO((log ? std::string() : log.error().message));
  REQUIRE(log);
  return *std::move(log);
}

void note(FaultyFileSystem& files, std::uint64_t log_id, wire::LogPosition committed) {
  REQUIRE(CommitNoteFile(files, kLogDirectory, log_id).write(committed));
}

std::string note_path() {
  return join_path(kLogDirectory, wire::kCommitNoteFileName);
}

// A log of ten entries of term 1; its id.
std::uint64_t ten_entries(FaultyFileSystem& files) {
  auto log = open(files);
  append(*log.store, 1, 10, 1);
  return log.store->identity().log_id;
}

std::string refusal(FaultyFileSystem& files) {
  const auto before = files.paths();
  const auto log = LogStore::open(files, kLogDirectory, test_options());
  REQUIRE_FALSE(log);
  CHECK(log.error().code == wire::ErrorCode::kCorrupt);
  CHECK(files.paths() == before);
  return log.error().message;
}

}  // namespace

TEST_CASE("a log knows at its start what was committed in it, as far as it was noted") {
  FaultyFileSystem files;
  const std::uint64_t id = ten_entries(files);
  CHECK(open(files).committed == LogIndex());
  note(files, id, at(4, 1));
  note(files, id, at(7, 1));
  const auto log = open(files);
  CHECK(log.committed == LogIndex(7));
  CHECK(log.note_problem.empty());
  // Rows may be ahead of the note, or behind it.
  CHECK(restored_from(log, LogIndex(3)).known_committed() == LogIndex(7));
  CHECK(restored_from(log, LogIndex(9)).known_committed() == LogIndex(9));
}

TEST_CASE("a log that ends before what was committed in it is refused, and left as it is") {
  FaultyFileSystem files;
  const std::uint64_t id = ten_entries(files);
  note(files, id, at(11, 1));
  const std::string text = refusal(files);
  CHECK(text.find("the log ends at entry 10, but entries up to 11") != std::string::npos);
  CHECK(text.find("raft-inspect verify") != std::string::npos);
}

TEST_CASE("a log with another entry in a committed one's place is refused") {
  FaultyFileSystem files;
  const std::uint64_t id = ten_entries(files);
  note(files, id, at(10, 2));
  CHECK(refusal(files).find("entry 10 was committed with term 2") != std::string::npos);
}

TEST_CASE("a note that says nothing of this log is told of, and counts for nothing") {
  FaultyFileSystem files;
  const std::uint64_t id = ten_entries(files);
  SECTION("of another log") {
    note(files, id + 2, at(20, 3));
  }
  SECTION("torn") {
    auto bytes = wire::encode_commit_note({.log_id = id, .committed = at(10, 1)});
    bytes[30] ^= 4;
    files.set_content(note_path(), bytes);
  }
  SECTION("empty") {
    files.set_content(note_path(), {});
  }
  const auto log = open(files);
  CHECK(log.committed == LogIndex());
  CHECK(log.note_problem.find("log.commit") != std::string::npos);
  // The next one is written over it.
  note(files, id, at(9, 1));
  CHECK(open(files).committed == LogIndex(9));
}

TEST_CASE("a log that begins after what was noted has no use for the note") {
  FaultyFileSystem files;
  const std::uint64_t id = ten_entries(files);
  note(files, id, at(7, 1));
  {
    auto log = open(files);
    LogStoreWrite reset;
    reset.reset = LogReset{at(100, 3), LogIndex(90), membership_of(5)};
    REQUIRE(log.store->append({&reset, 1}));
  }
  const auto log = open(files);
  CHECK(log.log.base() == at(100, 3));
  CHECK(log.committed == LogIndex());
  CHECK(log.note_problem.empty());
}

}  // namespace bib::engine
