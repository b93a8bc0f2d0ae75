// The limits of RocksOptions are RocksDB's: its memtables, its cache, its open files.
#include <fmt/format.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/options_util.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "machine.h"
#include "projections/state/keys.h"
#include "projections/state/rocks_state.h"
#include "support/test_support.h"

namespace bib::projections {

namespace {

// What RocksDB has written down of the options that it runs with.
struct WrittenOptions {
  rocksdb::DBOptions database;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
};

WrittenOptions options_in(const std::string& state) {
  WrittenOptions found;
  const rocksdb::Status status =
      rocksdb::LoadLatestOptions(rocksdb::ConfigOptions(), state, &found.database, &found.families);
  INFO(status.ToString());
  REQUIRE(status.ok());
  return found;
}

// This process's descriptors of table files below the folder.
std::size_t open_tables(const std::filesystem::path& directory) {
  const std::string folder = std::filesystem::canonical(directory).string();
  std::size_t open = 0;
  for (const auto& descriptor : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code closed_meanwhile;
    const std::string file =
        std::filesystem::read_symlink(descriptor.path(), closed_meanwhile).string();
    if (file.starts_with(folder) && file.ends_with(".sst")) ++open;
  }
  return open;
}

}  // namespace

TEST_CASE("RocksDB runs with the limits that the store was given") {
  const support::TempDir directory;
  const std::string state = directory / "state";
  const auto store = must(RocksStore::open(state, {.write_buffer_bytes = 3U << 20,
                                                   .write_buffers_total_bytes = 7U << 20,
                                                   .files_open_max = 37,
                                                   .top_files_max = 11}));
  const WrittenOptions options = options_in(state);
  CHECK(options.database.max_open_files == 37);
  CHECK(options.database.db_write_buffer_size == 7U << 20);
  REQUIRE(options.families.size() == kFamilyCount + 1);
  for (const rocksdb::ColumnFamilyDescriptor& family : options.families) {
    CAPTURE(family.name);
    CHECK(family.options.write_buffer_size == 3U << 20);
    CHECK(family.options.level0_slowdown_writes_trigger == 11);
    const auto* table = family.options.table_factory->GetOptions<rocksdb::BlockBasedTableOptions>();
    REQUIRE(table != nullptr);
    CHECK(table->cache_index_and_filter_blocks);
  }
}

TEST_CASE("RocksDB keeps no more table files open than it may, however many are read") {
  const support::TempDir directory;
  const std::string state = directory / "state";
  constexpr int kRounds = 15;  // the files of one more would be merged
  const auto key_of = [](int round) { return fmt::format("{:04}", round); };
  {
    const auto store = must(RocksStore::open(state, {.ingest_bytes_min = 1}));
    for (int round = 0; round < kRounds; ++round) {
      std::vector<RowPtr> rows;
      const std::string key = key_of(round);
      for (const Family family : kFamilies) {
        rows.push_back(StoredRow::make(make_row_key(family, key), wire::as_bytes("value")));
      }
      must(store->write(rows));
    }
  }
  const std::size_t tables = support::files_of(state, ".sst").size();
  REQUIRE(tables == kRounds * kFamilyCount);
  const auto read_all = [&](int files_open_max) {
    const auto store = must(RocksStore::open(state, {.files_open_max = files_open_max}));
    for (const Family family : kFamilies) {
      for (int round = 0; round < kRounds; ++round) {
        REQUIRE(must(store->find(family, key_of(round))));
      }
    }
    return open_tables(state);
  };
  CHECK(read_all(1000) == tables);
  // The least that it takes; each of the 64 parts of its table cache keeps one all the same.
  CHECK(read_all(20) <= 64);
}

TEST_CASE("the blocks that RocksDB keeps in memory stay within the cache that it was given") {
  const support::TempDir directory;
  const std::string state = directory / "state";
  constexpr std::size_t kCacheBytes = 1U << 20;
  constexpr int kRows = 1000;
  const auto key_of = [](int row) { return fmt::format("{:04}", row); };
  const auto store = must(RocksStore::open(state, {.block_cache_bytes = kCacheBytes}));
  std::vector<RowPtr> rows;
  const std::string value(8000, 'v');
  for (int row = 0; row < kRows; ++row) {
    const std::string key = key_of(row);
    rows.push_back(StoredRow::make(make_row_key(Family::kConfig, key), wire::as_bytes(value)));
  }
  must(store->write(rows));
  must(store->flush());
  for (int row = 0; row < kRows; ++row) REQUIRE(must(store->find(Family::kConfig, key_of(row))));
  CHECK(store->memory().block_cache > kCacheBytes / 2);
  CHECK(store->memory().block_cache <= kCacheBytes);
}

}  // namespace bib::projections
