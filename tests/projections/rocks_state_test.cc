// The state in RocksDB: which way rows go into it, and the files that they leave.
#include "projections/state/rocks_state.h"

#include <fmt/format.h>
#include <pthread.h>
#include <rocksdb/env.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "machine.h"
#include "projections/state/keys.h"
#include "support/test_support.h"

namespace bib::projections {

using namespace std::chrono_literals;

TEST_CASE("large writes go through the memtables while too many files wait to be compacted") {
  const support::TempDir directory;
  const auto store =
      must(RocksStore::open(directory / "state", {.ingest_bytes_min = 1, .top_files_max = 3}));
  const std::string value(100'000, 'v');
  const auto write = [&](const std::string& key) {
    const std::vector<RowPtr> rows = {
        StoredRow::make(make_row_key(Family::kConfig, key), wire::as_bytes(value))};
    must(store->write(rows));
    return store->memory().memtables > value.size();
  };
  // The same key each time: a file sinks as deep as nothing of it is below, so the levels fill up
  // from the last one before any stays at the top.
  int files = 0;
  while (files < 20 && !write("key")) ++files;
  REQUIRE(files >= 3);
  REQUIRE(files < 20);
  REQUIRE(must(store->find(Family::kConfig, "key")));
}

TEST_CASE("rows that come a few at a time do not leave a file each") {
  const support::TempDir directory;
  const RocksOptions options{.ingest_bytes_min = 1};
  auto store = must(RocksStore::open(directory / "state", options));
  std::mt19937_64 random(41);
  std::map<std::string, std::string> rows;
  const auto write = [&](const std::string& key, const std::string& value) {
    const RowKey row = make_row_key(Family::kSessions, key);
    const std::vector<RowPtr> batch = {value.empty() ? StoredRow::make_tombstone(row)
                                                     : StoredRow::make(row, wire::as_bytes(value))};
    must(store->write(batch));
    if (value.empty()) {
      rows.erase(key);
    } else {
      rows[key] = value;
    }
  };
  for (int i = 0; i < 200; ++i) {
    write(fmt::format("{:016x}", random()), fmt::format("value {}", i));
    const auto other = rows.lower_bound(fmt::format("{:016x}", random()));
    if (other != rows.end()) write(other->first, i % 3 == 0 ? "" : fmt::format("again {}", i));
  }
  CHECK(support::files_of(directory / "state", ".sst").size() < 120);  // four hundred writes
  for (const bool reopened : {false, true}) {
    CAPTURE(reopened);
    if (reopened) {
      store->close();
      must(store->reopen());
    }
    const auto view = store->view();
    const auto cursor = view->cursor(Family::kSessions);
    auto expected = rows.begin();
    for (cursor->seek(""); cursor->valid(); cursor->next(), ++expected) {
      REQUIRE(expected != rows.end());
      REQUIRE(cursor->key() == expected->first);
      REQUIRE(wire::as_text(cursor->value()) == expected->second);
    }
    REQUIRE(expected == rows.end());
  }
}

namespace {

// A disk that has no room for what a merge writes: table files that do not come in by "incoming".
class NoRoomForMerges final : public rocksdb::EnvWrapper {
 public:
  NoRoomForMerges() : rocksdb::EnvWrapper(rocksdb::Env::Default()) {}
  rocksdb::Status NewWritableFile(const std::string& path,
                                  std::unique_ptr<rocksdb::WritableFile>* file,
                                  const rocksdb::EnvOptions& options) override {
    if (has_room || !path.ends_with(".sst") || path.find("/incoming/") != std::string::npos) {
      return rocksdb::EnvWrapper::NewWritableFile(path, file, options);
    }
    ++refused;
    return rocksdb::Status::NoSpace("no room");
  }
  std::atomic<bool> has_room = false;  // RocksDB's threads write, too
  std::atomic<int> refused = 0;
};

std::vector<RowPtr> one_row(const std::string& key, std::string_view value) {
  return {StoredRow::make(make_row_key(Family::kSessions, key), wire::as_bytes(value))};
}

}  // namespace

TEST_CASE("a merge of small files that fails is no failure of the write before it") {
  const support::TempDir directory;
  NoRoomForMerges env;
  const auto key_of = [](int i) { return fmt::format("{:04}", i); };
  int written = 0;
  {
    const auto store =
        must(RocksStore::open(directory / "state", {.ingest_bytes_min = 1, .env = &env}));
    // Each sinks to the last level, beside the one before.
    while (env.refused == 0 && written < 100) must(store->write(one_row(key_of(written++), "a")));
    // And no later one, nor of what RocksDB flushes, which knows of one error for all families.
    for (int i = 0; i < 5; ++i) must(store->write(one_row(key_of(written++), "a")));
    env.has_room = true;
    must(store->flush());
    CHECK_FALSE(store->damage());
  }
  CHECK(env.refused > 0);
  const auto store = must(RocksStore::open(directory / "state", {}));
  for (int i = 0; i < written; ++i) {
    CAPTURE(i);
    REQUIRE(must(store->find(Family::kSessions, key_of(i))));
  }
}

namespace {

// A disk on which RocksDB's own merges wait, or find no room, and all else goes on.
class NoRoomInBackground final : public rocksdb::EnvWrapper {
 public:
  NoRoomInBackground() : rocksdb::EnvWrapper(rocksdb::Env::Default()) {}
  rocksdb::Status NewWritableFile(const std::string& path,
                                  std::unique_ptr<rocksdb::WritableFile>* file,
                                  const rocksdb::EnvOptions& options) override {
    std::array<char, 16> name{};
    ::pthread_getname_np(::pthread_self(), name.data(), name.size());
    if (!has_room && path.ends_with(".sst") &&
        std::string_view(name.data()).starts_with("rocksdb:low")) {
      is_held.wait(true);
      if (has_room) return rocksdb::EnvWrapper::NewWritableFile(path, file, options);
      ++refused;
      return rocksdb::Status::NoSpace("no room");
    }
    return rocksdb::EnvWrapper::NewWritableFile(path, file, options);
  }
  std::atomic<bool> is_held = false;
  std::atomic<bool> has_room = false;
  std::atomic<int> refused = 0;
};

}  // namespace

TEST_CASE("where merges find no room, writes are refused before RocksDB holds them up") {
  const support::TempDir directory;
  NoRoomInBackground env;
  const auto store = must(RocksStore::open(directory / "state", {.env = &env}));
  wire::Status refused;
  int flushed = 0;
  const auto write = [&] {
    refused = store->write(one_row("key", fmt::format("{}", flushed)));
    if (!refused) return true;
    must(store->flush());
    ++flushed;
    return false;
  };
  while (env.refused == 0 && flushed < 25) REQUIRE_FALSE(write());
  REQUIRE(support::wait_until(write, 30s));
  CHECK(env.refused > 0);
  CHECK(flushed < 36);
  CHECK(refused.error().code == wire::ErrorCode::kIo);
  CHECK_THAT(refused.error().message, Catch::Matchers::Contains("its files cannot be merged") &&
                                          Catch::Matchers::Contains("Free space on that disk"));
  // The next start finds all that was written, and room.
  store->close();
  env.has_room = true;
  must(store->reopen());
  const RowPtr row = must(store->find(Family::kSessions, "key"));
  CHECK(wire::as_text(row->value()) == fmt::format("{}", flushed - 1));
  CHECK(support::wait_until(
      [&] { return support::files_of(directory / "state", ".sst").size() < 4; }, 30s));
  must(store->write(one_row("key", "at last")));
}

TEST_CASE("writes do not wait for a merge that has not found out yet whether it has room") {
  const support::TempDir directory;
  NoRoomInBackground env;
  const auto store = must(RocksStore::open(directory / "state", {.env = &env}));
  env.is_held = true;
  for (int i = 0; i < 45; ++i) {  // RocksDB's own limit is 36 files at the top
    must(store->write(one_row("key", fmt::format("{}", i))));
    must(store->flush());
  }
  env.has_room = true;
  env.is_held = false;
  env.is_held.notify_all();
  CHECK(support::wait_until(
      [&] { return support::files_of(directory / "state", ".sst").size() < 4; }, 30s));
}

TEST_CASE("damage that RocksDB's own threads meet is known before anybody asks for the rows") {
  const support::TempDir directory;
  const std::string state = directory / "state";
  const auto store = must(RocksStore::open(state, {}));
  const auto flush_rows = [&](int round) {
    for (int i = 0; i < 200; ++i) {
      must(store->write(one_row(fmt::format("{:04}", i), fmt::format("{:0200}", round))));
    }
    must(store->flush());
  };
  flush_rows(0);
  const std::vector<std::filesystem::path> tables = support::files_of(state, ".sst");
  REQUIRE(tables.size() == 1);
  support::flip_bit(tables.front(), std::filesystem::file_size(tables.front()) / 2);
  CHECK_FALSE(store->damage());
  // So many at the top are merged in the background.
  for (int round = 1; round < 8; ++round) flush_rows(round);
  REQUIRE(support::wait_until([&] { return store->damage().has_value(); }, 30s));
  CHECK(store->damage()->code == wire::ErrorCode::kCorrupt);
  CHECK_THAT(store->damage()->message,
             Catch::Matchers::Contains(tables.front().filename().string()));
  // Other rows may lie there soon.
  store->close();
  CHECK_FALSE(store->damage());
}

}  // namespace bib::projections
