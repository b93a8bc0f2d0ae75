#include "engine/storage/log_store.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "engine/storage/log_reader.h"
#include "engine/uv/file_posix.h"
#include "faulty_file_system.h"
#include "log_model.h"
#include "support/test_support.h"

namespace bib::engine {
namespace {

using wire::ErrorCode;
using wire::LogIndex;
using wire::Term;

LogStore::Recovered open_log(FileSystem& files, const std::string& directory = kLogDirectory,
                             const LogStoreOptions& options = test_options()) {
  auto opened = LogStore::open(files, directory, options);
  INFO((opened ? std::string("opened") : opened.error().message));
  REQUIRE(opened.has_value());
  return *std::move(opened);
}

LogStoreWrite entries_write(std::uint64_t first, std::uint64_t count, std::uint64_t term,
                            std::size_t size) {
  LogStoreWrite write;
  for (std::uint64_t i = 0; i < count; ++i) {
    write.entries.push_back(make_entry(first + i, term, size));
  }
  return write;
}

TEST_CASE("a new log is empty and belongs to its cluster and node") {
  FaultyFileSystem files;
  CHECK_FALSE(read_identity(files, kLogDirectory)->has_value());
  {
    auto log = open_log(files);
    CHECK(log.is_new);
    CHECK(log.hard_state == wire::HardState{});
    CHECK(log.log.last_index() == LogIndex(0));
    CHECK(log.memberships.empty());
    REQUIRE(log.store->close());
  }
  const auto identity = read_identity(files, kLogDirectory);
  REQUIRE((identity && *identity));
  CHECK((*identity)->cluster == test_options().cluster);
  CHECK((*identity)->node == test_options().node);
  CHECK((*identity)->log_id != 0);
  const auto log = open_log(files);
  CHECK_FALSE(log.is_new);
  CHECK(log.closed_cleanly);
  CHECK(log.torn.empty());
}

TEST_CASE("whatever was appended is found again through rolls, truncations and resets") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    wire::Prng prng(seed);
    FaultyFileSystem files(seed % 2 == 0 ? 512 : 4096);
    LogModel model;
    auto log = open_log(files);
    for (int turn = 0; turn < 120; ++turn) {
      std::vector<LogStoreWrite> writes;
      for (std::uint64_t n = 1 + prng.below(4); n > 0; --n) {
        writes.push_back(random_write(model, prng));
        model.apply(writes.back());
      }
      REQUIRE(log.store->append(writes));
      CHECK(log.store->last() == model.last());
      if (prng.below(4) == 0) REQUIRE(log.store->write_watermark());
      if (prng.below(10) != 0) continue;
      if (prng.below(2) == 0) REQUIRE(log.store->close());
      log.store.reset();
      log = open_log(files);
      INFO("seed " << seed << " turn " << turn);
      REQUIRE(LogModel::describe(files, log) == model.describe());
    }
    CHECK(log.store->counters().syncs > 0);
  }
}

TEST_CASE("a log on the real file system is found again") {
  const support::TempDir temp;
  const std::string directory = temp / "deeper/log";
  wire::Prng prng(7);
  LogModel model;
  for (int round = 0; round < 4; ++round) {
    auto log = open_log(posix_file_system(), directory);
    REQUIRE(LogModel::describe(posix_file_system(), log) == model.describe());
    for (int turn = 0; turn < 60; ++turn) {
      const LogStoreWrite write = random_write(model, prng);
      REQUIRE(log.store->append({&write, 1}));
      model.apply(write);
      if (turn % 20 == 0) {
        auto prepared = prepare_segment(log.store->prepared_request());
        if (log.store->wants_prepared()) log.store->adopt(*std::move(prepared));
      }
      if (turn % 7 == 0) REQUIRE(log.store->write_watermark());
    }
    if (round % 2 == 0) REQUIRE(log.store->close());
  }
  const auto names = posix_file_system().list(directory);
  for (const std::string& name : *names) {
    CHECK(wire::parse_segment_file_name(name).has_value());
  }
}

TEST_CASE("an entry larger than a segment gets a segment that is large enough") {
  FaultyFileSystem files;
  LogModel model;
  {
    auto log = open_log(files);
    for (const std::size_t size : {100U, 900000U, 10U, 200000U, 64000U, 65536U, 5U}) {
      LogStoreWrite write;
      write.entries = {make_entry(model.last().index.value() + 1, 1, size)};
      REQUIRE(log.store->append({&write, 1}));
      model.apply(write);
    }
  }
  auto log = open_log(files);
  CHECK(LogModel::describe(files, log) == model.describe());
}

TEST_CASE("one append is one sync, however many writes it holds") {
  FaultyFileSystem files;
  auto log = open_log(files);
  std::vector<LogStoreWrite> writes;
  for (std::uint64_t i = 1; i <= 20; ++i) writes.push_back(entries_write(i, 1, 1, 50));
  writes.front().hard_state = {Term(1), wire::NodeId(5)};
  const std::uint64_t before = files.syncs();
  REQUIRE(log.store->append(writes));
  CHECK(files.syncs() == before + 1);
  CHECK(log.store->counters().blocks == 1);
  CHECK(log.store->counters().entries == 20);
}

TEST_CASE("an append that changes nothing does not touch the disk") {
  FaultyFileSystem files;
  auto log = open_log(files);
  LogStoreWrite first = entries_write(1, 1, 3, 10);
  first.hard_state = {Term(3), wire::NodeId(1)};
  REQUIRE(log.store->append({&first, 1}));
  const std::uint64_t before = files.operations();
  LogStoreWrite barrier;
  barrier.hard_state = {Term(3), wire::NodeId(1)};
  REQUIRE(log.store->append({&barrier, 1}));
  CHECK(files.operations() == before);
}

TEST_CASE("readers find nothing before it is durable") {
  FaultyFileSystem files;
  auto log = open_log(files);
  const auto locations = log.store->locations();
  LogIndex seen_in_sync;
  files.before_sync([&] { seen_in_sync = std::max(seen_in_sync, locations->last().index); });
  const LogStoreWrite write = entries_write(1, 3, 1, 10);
  REQUIRE(log.store->append({&write, 1}));
  CHECK(seen_in_sync == LogIndex(0));
  CHECK(locations->last().index == LogIndex(3));
}

TEST_CASE("a failed sync fails the store for good") {
  FaultyFileSystem files;
  auto log = open_log(files);
  const LogStoreWrite first = entries_write(1, 1, 1, 10);
  REQUIRE(log.store->append({&first, 1}));
  files.fail_sync_after(0);
  const LogStoreWrite second = entries_write(2, 1, 1, 10);
  const auto failed = log.store->append({&second, 1});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == ErrorCode::kIo);
  CHECK(failed.error().message.find("has to stop") != std::string::npos);
  CHECK(log.store->last().index == LogIndex(1));

  // The disk would take it now; the store must not ask again.
  const std::uint64_t before = files.operations();
  const LogStoreWrite third = entries_write(3, 1, 1, 10);
  CHECK(log.store->append({&third, 1}).error().message == failed.error().message);
  CHECK_FALSE(log.store->write_watermark());
  CHECK_FALSE(log.store->close());
  CHECK_FALSE(log.store->wants_prepared());
  CHECK(files.operations() == before);

  log.store.reset();
  const auto disk =
      files.survivor([](const std::string&, std::uint64_t, std::size_t n) { return n; });
  CHECK(open_log(*disk).log.last_index() == LogIndex(1));
}

TEST_CASE("a full disk fails the store cleanly and loses nothing that was durable") {
  FaultyFileSystem files;
  LogModel model;
  {
    auto log = open_log(files);
    files.limit_space(3 * wire::kSegmentSizeMin + 1000);
    wire::Status status;
    for (std::uint64_t i = 1; i < 1000 && status; ++i) {
      const LogStoreWrite write = entries_write(i, 1, 1, 2000);
      status = log.store->append({&write, 1});
      if (status) model.apply(write);
    }
    REQUIRE_FALSE(status);
    CHECK(status.error().code == ErrorCode::kIo);
    CHECK(model.entries.size() > 40);
  }
  CHECK(files.paths().size() == 3);
  files.limit_space(UINT64_MAX);
  auto log = open_log(files);
  CHECK(LogModel::describe(files, log) == model.describe());
  const LogStoreWrite more = entries_write(model.last().index.value() + 1, 3, 1, 50000);
  CHECK(log.store->append({&more, 1}));
}

TEST_CASE("a disk too full to begin a log says so and leaves nothing behind") {
  FaultyFileSystem files;
  files.limit_space(1000);
  const auto opened = LogStore::open(files, kLogDirectory, test_options());
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == ErrorCode::kIo);
  CHECK(files.paths().empty());
}

TEST_CASE("a prepared file becomes the next segment") {
  FaultyFileSystem files;
  auto log = open_log(files);
  std::uint64_t index = 1;
  for (int segment = 0; segment < 3; ++segment) {
    REQUIRE(log.store->wants_prepared());
    auto prepared = prepare_segment(log.store->prepared_request());
    REQUIRE(prepared);
    log.store->adopt(*std::move(prepared));
    while (!log.store->wants_prepared()) {
      const LogStoreWrite write = entries_write(index++, 1, 1, 3000);
      REQUIRE(log.store->append({&write, 1}));
    }
  }
  CHECK(log.store->counters().segments_not_ready == 0);
  CHECK(log.store->counters().segments_made == 4);
}

TEST_CASE("the log of another cluster or node is refused by name") {
  FaultyFileSystem files;
  open_log(files);
  LogStoreOptions options = test_options();
  options.node = wire::NodeId(0x77);
  const auto opened = LogStore::open(files, kLogDirectory, options);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == ErrorCode::kConfig);
  CHECK(opened.error().message.find("0000000000000077") != std::string::npos);
  CHECK(opened.error().message.find("0000000000abcdef") != std::string::npos);
}

TEST_CASE("segment sizes outside the limits are a configuration error") {
  FaultyFileSystem files;
  LogStoreOptions options = test_options();
  for (const std::uint64_t bytes :
       {std::uint64_t{wire::kSegmentSizeMin} - 1, std::uint64_t{wire::kSegmentSizeMax} + 1}) {
    options.segment_bytes = bytes;
    const auto opened = LogStore::open(files, kLogDirectory, options);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == ErrorCode::kConfig);
  }
}

TEST_CASE("a log with larger blocks than before continues where it was") {
  FaultyFileSystem files;
  LogModel model;
  wire::Prng prng(3);
  for (const std::uint32_t alignment : {512U, 4096U, 512U}) {
    LogStoreOptions options = test_options();
    options.alignment = alignment;
    auto log = open_log(files, kLogDirectory, options);
    CHECK(LogModel::describe(files, log) == model.describe());
    for (int turn = 0; turn < 60; ++turn) {
      const LogStoreWrite write = random_write(model, prng);
      REQUIRE(log.store->append({&write, 1}));
      model.apply(write);
    }
  }
  auto log = open_log(files);
  CHECK(LogModel::describe(files, log) == model.describe());
}

TEST_CASE("entries that do not follow the log's last entry abort") {
  const auto wrong = [](std::uint64_t index, std::uint64_t term) {
    return support::aborts([=] {
      FaultyFileSystem files;
      auto log = open_log(files);
      const LogStoreWrite first = entries_write(1, 2, 5, 10);
      static_cast<void>(log.store->append({&first, 1}));
      const LogStoreWrite second = entries_write(index, 1, term, 10);
      static_cast<void>(log.store->append({&second, 1}));
    });
  };
  CHECK(wrong(4, 5).has_value());
  CHECK(wrong(2, 5).has_value());
  CHECK(wrong(3, 4).has_value());
  CHECK_FALSE(wrong(3, 5).has_value());
}

}  // namespace
}  // namespace bib::engine
