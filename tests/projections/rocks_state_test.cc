// The state in RocksDB: which way rows go into it, and the files that they leave.
#include "projections/state/rocks_state.h"

#include <fmt/format.h>
#include <rocksdb/env.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "machine.h"
#include "projections/state/keys.h"
#include "support/test_support.h"

namespace bib::projections {
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
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory / "state")) {
    if (entry.path().extension() == ".sst") ++files;
  }
  CHECK(files < 120);  // four hundred writes
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

}  // namespace bib::projections
