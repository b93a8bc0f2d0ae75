// The rows: where they stand, whether they are what their digests and the log say.
#include <catch2/catch.hpp>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "log_writer.h"
#include "projections/apply/replay.h"
#include "projections/state/keys.h"
#include "projections/state/rocks_state.h"
#include "support/test_support.h"

namespace bib::inspect {
namespace {

namespace fs = std::filesystem;
using projections::Family;

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  INFO(part);
  return text.find(part) != std::string::npos;
}

std::vector<wire::Bytes> sample_entries(const std::string& value, std::uint64_t count) {
  std::vector<wire::Bytes> entries;
  for (std::uint64_t i = 1; i <= count; ++i) {
    wire::EntryBuilder builder;
    const std::string key = "key" + std::to_string(i);
    builder.add_event(encoded(wire::ConfigSet{key, value}, 1));
    entries.push_back(builder.seal({.cluster = LogWriterOptions::filled_cluster(0xc1),
                                    .term = wire::Term(1),
                                    .index = wire::LogIndex(i),
                                    .time_us = kNoonUs}));
  }
  return entries;
}

void derive_rows(const fs::path& directory, const std::vector<wire::Bytes>& entries) {
  auto store = projections::RocksStore::open(directory);
  REQUIRE(store);
  std::size_t next = 0;
  const auto mark = projections::replay(
      [&]() -> wire::Result<std::optional<wire::Bytes>> {
        if (next == entries.size()) return std::nullopt;
        return entries[next++];
      },
      **store);
  REQUIRE(mark);
  REQUIRE((*store)->flush());
}

// A node whose rows stand at entry 20 of 30.
void make_node(const support::TempDir& dir, const std::string& row_value = "value") {
  LogWriter log(dir / "log");
  for (const wire::Bytes& entry : sample_entries("value", 30)) {
    log.raw_entry(entry).block();
    if (log.last_index() == 12) log.roll();
  }
  log.watermark();
  derive_rows(dir / "state", sample_entries(row_value, 20));
}

std::map<std::string, std::string> files_below(const fs::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& file : fs::recursive_directory_iterator(directory)) {
    if (!file.is_regular_file()) continue;
    files[file.path()] = support::read_file(file.path()) + "@" +
                         std::to_string(file.last_write_time().time_since_epoch().count());
  }
  return files;
}

TEST_CASE("status says to which entry the rows are applied, with their digests") {
  support::TempDir dir;
  make_node(dir);
  const Outcome outcome = run_inspect({"status", dir.path()});
  CHECK(outcome.code == 0);
  CHECK(has(outcome.out, "Rows        applied to 20 of term 1, 10 entries behind the log\n"));
  CHECK(has(outcome.out, "  config        20  "));
  const auto json = nlohmann::json::parse(run_inspect({"status", dir.path(), "-o", "json"}).out);
  CHECK(json["rows"]["applied_index"] == 20);
  CHECK(json["rows"]["projections"]["config"]["rows"] == 20);
  CHECK(json["rows"]["projections"]["config"]["digest"].get<std::string>().size() == 32);
  // The log directory of a data directory knows its surroundings.
  CHECK(has(run_inspect({"status", dir / "log"}).out, "applied to 20"));
}

TEST_CASE("rows that are what the log says verify, by digest and by replay") {
  support::TempDir dir;
  make_node(dir);
  const Outcome outcome = run_inspect({"verify", dir.path(), "--state", "--replay"});
  CHECK(outcome.code == 0);
  CHECK(has(outcome.out,
            "Rows        applied to 20: checksums of all files, digests recomputed "
            "from the rows\n"));
  CHECK(has(outcome.out, "Replay      digests recomputed from entries 1 to 20\n"));
  CHECK(outcome.out.ends_with("\nclean\n"));
}

TEST_CASE("nothing in the data directory is changed by looking at it") {
  support::TempDir dir;
  make_node(dir);
  support::write_file(dir / "LOCK", "1\n");
  const auto before = files_below(dir.path());
  run_inspect({"status", dir.path()});
  run_inspect({"log", dir.path()});
  run_inspect({"verify", dir.path(), "--replay"});
  CHECK(files_below(dir.path()) == before);
}

TEST_CASE("the rows of a store that is in use can be looked at") {
  support::TempDir dir;
  make_node(dir);
  const auto store = projections::RocksStore::open(dir / "state");
  REQUIRE(store);
  CHECK(run_inspect({"verify", dir.path(), "--replay"}).code == 0);
}

TEST_CASE("a row that was changed behind the digest's back is found by --state") {
  support::TempDir dir;
  make_node(dir);
  {
    auto store = projections::RocksStore::open(dir / "state");
    REQUIRE(store);
    const std::string name = projections::keys::config("key7");
    const auto key = projections::make_row_key(Family::kConfig, name);
    const std::vector<projections::RowPtr> rows = {
        projections::StoredRow::make(key, wire::as_bytes("something else"))};
    REQUIRE((*store)->write(rows));
    REQUIRE((*store)->flush());
  }
  CHECK(run_inspect({"verify", dir.path()}).code == 0);
  const Outcome outcome = run_inspect({"verify", dir.path(), "--state"});
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "config at entry 20: the rows have the digest"));
  CHECK(has(outcome.out, "it rebuilds them"));
}

TEST_CASE("rows that agree with themselves and not with the log are found by --replay") {
  support::TempDir dir;
  make_node(dir, "another value");
  CHECK(run_inspect({"verify", dir.path(), "--state"}).code == 0);
  const Outcome outcome = run_inspect({"verify", dir.path(), "--replay"});
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "config at entry 20: the replayed rows have the digest"));
}

TEST_CASE("a replay leaves out what was overwritten") {
  support::TempDir dir;
  LogWriter log(dir / "log");
  std::vector<wire::Bytes> entries = sample_entries("value", 5);
  for (const wire::Bytes& entry : entries) log.raw_entry(entry).block();
  const std::vector<wire::Bytes> others = sample_entries("other", 6);
  log.truncate(4);
  entries.resize(3);
  for (std::size_t i = 3; i < 6; ++i) {
    log.raw_entry(others[i]).block();
    entries.push_back(others[i]);
  }
  log.watermark();
  derive_rows(dir / "state", entries);
  const Outcome outcome = run_inspect({"verify", dir.path(), "--replay"});
  CHECK(outcome.code == 0);
  CHECK(outcome.out.ends_with("\nclean\n"));
}

TEST_CASE("rows that know more than the log are damage: entries are missing") {
  support::TempDir dir;
  {
    LogWriter log(dir / "log");
    for (const wire::Bytes& entry : sample_entries("value", 10)) log.raw_entry(entry).block();
    log.watermark();
  }
  derive_rows(dir / "state", sample_entries("value", 20));
  for (const char* command : {"status", "verify"}) {
    const Outcome outcome = run_inspect({command, dir.path()});
    CHECK(outcome.code == 3);
    CHECK(has(outcome.out + outcome.err, "the rows are at entry 20, but the log ends at 10"));
    CHECK(has(outcome.out + outcome.err, "entries from 11 on"));
  }
}

TEST_CASE("rows ahead of a log that is damaged are no finding of their own") {
  support::TempDir dir;
  LogWriter log(dir / "log");
  for (const wire::Bytes& entry : sample_entries("value", 30)) log.raw_entry(entry).block();
  log.watermark();
  derive_rows(dir / "state", sample_entries("value", 20));
  std::string bytes = support::read_file(log.path(1));
  char& byte = bytes[log.header_size() + 512 * 4 + 90];
  byte = static_cast<char>(byte ^ 1);
  support::write_file(log.path(1), bytes);
  const Outcome outcome = run_inspect({"verify", dir.path()});
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "damaged: 1 finding\n"));
  const Outcome status = run_inspect({"status", dir.path()});
  CHECK(status.code == 3);
  CHECK(has(status.out, "16 entries ahead of what can be read of the log"));
}

TEST_CASE("rows without a log are damage") {
  support::TempDir dir;
  make_node(dir);
  fs::remove_all(dir / "log");
  for (const char* command : {"status", "log", "verify"}) {
    const Outcome outcome = run_inspect({command, dir.path()});
    CHECK(outcome.code == 3);
    CHECK(has(outcome.out + outcome.err, "there is no segment of the log"));
  }
}

TEST_CASE("a check that was asked for and cannot be made is not clean") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  CHECK(run_inspect({"verify", dir.path()}).code == 0);
  const Outcome without = run_inspect({"verify", dir.path(), "--state"});
  CHECK(without.code == 1);
  CHECK(has(without.out, "there are no rows to check"));
  CHECK(has(without.out, "incomplete: 1 check could not be made\n"));

  support::TempDir snapshot;
  LogWriterOptions options;
  options.base_index = wire::LogIndex(10);
  options.base_term = wire::Term(1);
  {
    LogWriter log(snapshot / "log", options);
    const auto entries = sample_entries("value", 30);
    for (std::size_t i = 10; i < 30; ++i) log.raw_entry(entries[i]).block();
    log.watermark();
  }
  derive_rows(snapshot / "state", sample_entries("value", 20));
  CHECK(run_inspect({"verify", snapshot.path(), "--state"}).code == 0);
  const Outcome replay = run_inspect({"verify", snapshot.path(), "--replay"});
  CHECK(replay.code == 1);
  CHECK(has(replay.out, "starts after entry 10"));
}

TEST_CASE("a state directory that RocksDB cannot open is said, and the log still shown") {
  support::TempDir dir;
  make_node(dir);
  support::write_file(dir / "state" / "CURRENT", "MANIFEST-999999\n");
  const Outcome status = run_inspect({"status", dir.path()});
  CHECK(has(status.out, "Entries     30: 1 to 30"));
  CHECK(has(status.out, (dir / "state").string()));
  CHECK(run_inspect({"verify", dir.path(), "--state"}).code != 0);
}

}  // namespace
}  // namespace bib::inspect
