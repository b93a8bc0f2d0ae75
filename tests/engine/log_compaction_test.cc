// A log that lets go of its beginning: what it holds afterwards, what a crash leaves, and that a
// file which is missing for another reason is still damage.
#include <catch2/catch.hpp>

#include <algorithm>

#include "engine/storage/log_reader.h"
#include "engine/storage/log_store.h"
#include "faulty_file_system.h"
#include "log_model.h"

namespace bib::engine {
namespace {

using wire::LogIndex;
using wire::Term;

LogStoreWrite entries(std::uint64_t from, std::uint64_t to, std::uint64_t term,
                      std::size_t size = 6000) {
  LogStoreWrite write;
  for (std::uint64_t index = from; index <= to; ++index) {
    write.entries.push_back(make_entry(index, term, size));
  }
  return write;
}

void append(LogStore& store, const LogStoreWrite& write) {
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

RetiredSegments compact(FaultyFileSystem& files, LogStore& store, std::uint64_t index) {
  auto retired = store.compact_to(LogIndex(index));
  INFO((retired ? std::string() : retired.error().message));
  REQUIRE(retired);
  REQUIRE(retire_segments(files, kLogDirectory, *retired));
  return *std::move(retired);
}

std::string path_of(std::uint64_t segment) {
  return join_path(kLogDirectory, wire::segment_file_name(segment));
}

std::string refusal(FaultyFileSystem& files) {
  const auto log = LogStore::open(files, kLogDirectory, test_options());
  REQUIRE_FALSE(log);
  return log.error().message;
}

// Entries up to `index` are gone from the model as far as the store let go of them.
void forget_below(LogModel& model, wire::LogPosition base) {
  const std::uint64_t gone = base.index - model.base.index;
  model.entries.erase(model.entries.begin(),
                      model.entries.begin() + static_cast<std::ptrdiff_t>(gone));
  model.base = base;
  while (model.memberships.size() > 1 && model.memberships[1].first <= base.index.value()) {
    model.memberships.erase(model.memberships.begin());
  }
}

}  // namespace

TEST_CASE("a log releases whole segments below an index and continues where it was") {
  FaultyFileSystem files;
  auto log = open(files);
  LogModel model;
  LogStoreWrite first = entries(1, 40, 1);
  first.entries[4] = membership_entry(5, 1, 77);
  append(*log.store, first);
  model.apply(first);
  const RetiredSegments retired = compact(files, *log.store, 25);
  REQUIRE_FALSE(retired.paths.empty());
  REQUIRE(retired.base.index <= LogIndex(25));
  REQUIRE(retired.base.index > LogIndex(10));
  forget_below(model, retired.base);
  for (const std::string& path : retired.paths) {
    const auto left = files.paths();
    CHECK(std::find(left.begin(), left.end(), path) == left.end());
  }
  const LogStoreWrite more = entries(41, 50, 2);
  append(*log.store, more);
  model.apply(more);
  log.store.reset();
  auto again = open(files);
  CHECK(LogModel::describe(files, again) == model.describe());
  CHECK(again.memberships.front().index == LogIndex(5));
}

TEST_CASE("compacting to where nothing whole can go changes nothing") {
  FaultyFileSystem files;
  auto log = open(files);
  append(*log.store, entries(1, 5, 1));
  const auto before = files.paths();
  CHECK(compact(files, *log.store, 5).paths.empty());
  CHECK(files.paths() == before);
  append(*log.store, entries(6, 40, 1));
  const auto base = compact(files, *log.store, 30).base;
  CHECK(compact(files, *log.store, 30).paths.empty());
  CHECK(compact(files, *log.store, base.index.value()).paths.empty());
}

TEST_CASE("a released segment that somebody has removed already is no failure, the others go") {
  FaultyFileSystem files;
  auto log = open(files);
  append(*log.store, entries(1, 40, 1));
  const auto retired = log.store->compact_to(LogIndex(30));
  REQUIRE(retired);
  REQUIRE(retired->paths.size() >= 2);
  files.forget(retired->paths.front());
  REQUIRE(retire_segments(files, kLogDirectory, *retired));
  const auto left = files.paths();
  for (const std::string& path : retired->paths) {
    CHECK(std::find(left.begin(), left.end(), path) == left.end());
  }
  // One that is there and cannot be removed is: the disk is not as it should be.
  files.crash_after(1);
  CHECK_FALSE(retire_segments(files, kLogDirectory, {retired->base, {left.back()}}));
}

TEST_CASE("a segment whose entries were replaced from an earlier place on is no beginning") {
  FaultyFileSystem files;
  auto log = open(files);
  append(*log.store, entries(1, 30, 1));
  // Entries of earlier segments are void; what is in their place stands in the last one.
  LogStoreWrite other = entries(4, 6, 2, 100);
  other.truncate_from = LogIndex(4);
  append(*log.store, other);
  const auto retired = compact(files, *log.store, 6);
  CHECK(retired.paths.empty());
  append(*log.store, entries(7, 60, 2));
  CHECK_FALSE(compact(files, *log.store, 40).paths.empty());
  log.store.reset();
  auto again = open(files);
  CHECK(again.log.last_index() == LogIndex(60));
  CHECK(again.log.base().term == Term(2));
}

TEST_CASE("once a snapshot is installed, everything older can be removed") {
  FaultyFileSystem files;
  auto log = open(files);
  append(*log.store, entries(1, 30, 1));
  LogStoreWrite reset;
  reset.reset = LogReset{{LogIndex(100), Term(3)}, LogIndex(90), membership_of(5)};
  append(*log.store, reset);
  append(*log.store, entries(101, 103, 3));
  const auto retired = compact(files, *log.store, 100);
  CHECK(retired.base == wire::LogPosition{LogIndex(100), Term(3)});
  CHECK(files.paths().size() == 2);  // the note, and the segment after the reset
  log.store.reset();
  auto again = open(files);
  CHECK(again.log.base() == retired.base);
  CHECK(again.log.last_index() == LogIndex(103));
  CHECK(again.memberships.front().index == LogIndex(90));
}

TEST_CASE("a first segment that is missing without having been released is damage") {
  FaultyFileSystem files;
  {
    auto log = open(files);
    append(*log.store, entries(1, 60, 1));
    SECTION("where the log was never compacted") {
      log.store.reset();
      files.forget(path_of(1));
      CHECK(refusal(files).find("missing") != std::string::npos);
    }
    SECTION("where it was, but the one that must be first is gone") {
      const auto retired = compact(files, *log.store, 30);
      log.store.reset();
      files.forget(path_of(retired.paths.size() + 1));
      CHECK(refusal(files).find("missing") != std::string::npos);
    }
    SECTION("where all of them are gone") {
      compact(files, *log.store, 30);
      log.store.reset();
      for (const std::string& path : files.paths()) {
        if (path.ends_with(".seg")) files.forget(path);
      }
      CHECK(refusal(files).find("missing") != std::string::npos);
    }
    SECTION("where the note is gone") {
      compact(files, *log.store, 30);
      log.store.reset();
      files.forget(join_path(kLogDirectory, wire::kLogStartFileName));
      CHECK(refusal(files).find("missing") != std::string::npos);
    }
    SECTION("where the note is damaged") {
      compact(files, *log.store, 30);
      log.store.reset();
      files.flip_bit(join_path(kLogDirectory, wire::kLogStartFileName), 25, 3);
      CHECK(refusal(files).find("checksum") != std::string::npos);
    }
    SECTION("where the note belongs to another log") {
      const auto retired = compact(files, *log.store, 30);
      log.store.reset();
      files.set_content(join_path(kLogDirectory, wire::kLogStartFileName),
                        wire::encode_log_start({.log_id = 99,
                                                .first_segment = retired.paths.size() + 1,
                                                .previous_index = retired.base.index,
                                                .previous_term = retired.base.term}));
      CHECK(refusal(files).find("log.start") != std::string::npos);
    }
  }
}

TEST_CASE("a reader that looks for what was released is told so") {
  FaultyFileSystem files;
  auto log = open(files);
  append(*log.store, entries(1, 60, 1));
  LogReader reader(files, kLogDirectory, log.store->locations());
  REQUIRE(reader.read(LogIndex(1), LogIndex(60), 1U << 20));
  compact(files, *log.store, 40);
  const auto gone = reader.read(LogIndex(1), LogIndex(60), 1U << 20);
  REQUIRE_FALSE(gone);
  CHECK(gone.error().code == wire::ErrorCode::kNotFound);
  CHECK(reader.read(reader.first_index(), LogIndex(60), 1U << 20));
}

TEST_CASE(
    "a crash at any moment of a compaction leaves the log as it was, or shorter at its start") {
  for (std::uint64_t crash_after = 1; crash_after <= 40; ++crash_after) {
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      CAPTURE(crash_after, seed);
      wire::Prng prng(crash_after * 100 + seed);
      auto disk = std::make_unique<FaultyFileSystem>();
      LogModel model;
      {
        auto log = open(*disk);
        const LogStoreWrite write = entries(1, 60, 1, 3000 + prng.below(4000));
        append(*log.store, write);
        model.apply(write);
        disk->crash_after(crash_after);
        auto retired = log.store->compact_to(LogIndex(10 + prng.below(50)));
        if (retired) {
          static_cast<void>(retire_segments(*disk, kLogDirectory, *retired));
        } else {
          // Whatever the disk says now, the log is given up.
          const LogStoreWrite after = entries(61, 61, 1);
          CHECK_FALSE(log.store->append({&after, 1}));
        }
      }
      disk = disk->survivor(prng);
      auto again = open(*disk);
      CHECK(again.log.last_index() == LogIndex(60));
      forget_below(model, again.log.base());
      CHECK(LogModel::describe(*disk, again) == model.describe());
      // Nothing is left of what was let go.
      for (const std::string& path : disk->paths()) CHECK_FALSE(path.ends_with(".tmp"));
      append(*again.store, entries(61, 65, 2));
      again.store.reset();
      CHECK(open(*disk).log.last_index() == LogIndex(65));
    }
  }
}

TEST_CASE("random writes, resets, compactions and crashes keep what was durable") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    wire::Prng prng(seed);
    auto disk = std::make_unique<FaultyFileSystem>();
    LogModel model;
    model.hard_state.term = Term(1);
    LogStoreWrite first;
    first.hard_state = model.hard_state;
    append(*open(*disk).store, first);
    for (int life = 0; life < 4; ++life) {
      auto log = open(*disk);
      REQUIRE(LogModel::describe(*disk, log) == model.describe());
      for (int turn = 0; turn < 20; ++turn) {
        const LogStoreWrite write = random_write(
            model, prng, {.entry_bytes_max = 9000, .reset_ppm = 30000, .truncate_ppm = 150000});
        append(*log.store, write);
        model.apply(write);
        if (prng.below(4) != 0) continue;
        const std::uint64_t span = model.last().index - model.base.index;
        const LogIndex goal = model.base.index + prng.below(span + 1);
        const auto retired = compact(*disk, *log.store, goal.value());
        REQUIRE(retired.base.index <= std::max(goal, model.base.index));
        if (!retired.paths.empty()) forget_below(model, retired.base);
      }
      log.store.reset();
      disk = disk->survivor(prng);
    }
  }
}

}  // namespace bib::engine
