// Logs that begin in the middle, and snapshots: what the node makes, the tool understands, and both
// call the same things damage.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/ports/file.h"
#include "engine/storage/log_store.h"
#include "engine/storage/snapshot_files.h"
#include "engine/storage/state_install.h"
#include "engine/storage/state_recovery.h"
#include "engine/uv/file_posix.h"
#include "inspect/run.h"
#include "projections/apply/checkpoint.h"
#include "projections/apply/projector.h"
#include "support/test_support.h"
#include "wire/client/client_message.h"
#include "wire/log/commit_note.h"
#include "wire/log/entry.h"
#include "wire/log/log_start.h"
#include "wire/model/event.h"

namespace bib::inspect {
namespace {

namespace fs = std::filesystem;
using wire::LogIndex;
using wire::Term;

template <typename T>
T must(wire::Result<T> result) {
  if (!result) FAIL(result.error().message);
  return *std::move(result);
}
void must(const wire::Status& status) {
  if (!status) FAIL(status.error().message);
}

engine::LogStoreOptions store_options() {
  engine::LogStoreOptions options;
  options.cluster.bytes.fill(0xc1);
  options.node = wire::NodeId(0xa1);
  options.segment_bytes = 64U << 10;
  options.schema = wire::event_schema();
  options.random = [] { return 7; };
  options.now_us = [] { return std::int64_t{0}; };
  return options;
}

wire::Membership one_voter() {
  wire::Membership membership;
  membership.voters = {wire::NodeId(0xa1)};
  membership.members = {{wire::NodeId(0xa1), "127.0.0.1:4002", "127.0.0.1:4000", true}};
  return membership;
}

// A node's data: entries 1 to 60 of about 4 KiB, rows at 55, snapshots at 30 and 40, the log cut.
class Data {
 public:
  Data() {
    projections::MemoryStore memory;
    const auto projector = must(projections::Projector::open(memory));
    std::vector<wire::Bytes> entries;
    for (std::uint64_t index = 1; index <= 60; ++index) {
      const wire::EntryStamp stamp{cluster(), Term(1), LogIndex(index), 1000};
      if (index == 1) {
        entries.push_back(wire::make_membership_entry(stamp, wire::encode_membership(one_voter())));
      } else {
        projector->begin_turn(LogIndex(index), 1000);
        const std::string key = "key" + std::to_string(index);
        std::string value;
        while (value.size() < 4000) value += fmt::format("{:x}", index * 7919 * (value.size() + 3));
        must(projector->decide_own(wire::SetConfig{key, value}, 0).map([](const auto&) {}));
        entries.push_back(projector->seal(cluster(), Term(1)));
      }
      must(projector->apply(entries.back()).map([](const auto&) {}));
    }
    auto log = must(engine::LogStore::open(files(), dir / "log", store_options()));
    engine::LogStoreWrite write;
    write.hard_state = wire::HardState{Term(1), wire::NodeId(0xa1)};
    write.entries = entries;
    must(log.store->append({&write, 1}));
    auto store = must(projections::RocksStore::open(dir / "state"));
    auto rows = must(projections::Projector::open(*store));
    for (const std::uint64_t index : {30, 40, 55}) {
      while (rows->applied_index().value() < index) {
        must(rows->apply(entries[rows->applied_index().value()]).map([](const auto&) {}));
      }
      const auto deltas = rows->take_for_store();
      must(projections::store_deltas(deltas, *store));
      rows->written(LogIndex(index));
      if (index != 55) snapshot(*store);
    }
    must(store->flush());
    const auto retired = must(log.store->compact_to(LogIndex(30)));
    must(engine::retire_segments(files(), dir / "log", retired));
    base = retired.base.index.value();
    REQUIRE(base > 5);
    must(log.store->close());
  }

  static engine::FileSystem& files() { return engine::posix_file_system(); }
  static wire::ClusterId cluster() { return store_options().cluster; }

  void snapshot(projections::RocksStore& store) {
    const std::string root = dir / "snapshots";
    must(files().make_directories(root));
    must(engine::begin_partial_snapshot(files(), root, engine::kMakingName));
    const auto mark = must(projections::create_checkpoint(
        store, engine::snapshot_state_directory(root, engine::kMakingName)));
    wire::SnapshotManifest manifest;
    manifest.cluster = cluster();
    manifest.node = wire::NodeId(0xa1);
    manifest.index = mark.applied_index;
    manifest.term = mark.applied_term;
    manifest.membership_index = LogIndex(1);
    manifest.membership = one_voter();
    manifest.projections = projections::snapshot_projections(mark);
    must(engine::seal_snapshot(files(), root, engine::kMakingName, manifest));
  }

  // The tool's exit code and what it said.
  int inspect(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin() + 1, fs::path(dir.path()).string());
    std::ostringstream out;
    const int code = run(arguments, {.out = out, .err = out});
    text = out.str();
    INFO(text);
    return code;
  }

  // Whether the node would start.
  bool starts() {
    auto log = engine::LogStore::open(files(), dir / "log", store_options());
    if (!log) {
      text = log.error().message;
      return false;
    }
    engine::StateRecoveryOptions options;
    options.data_directory = fs::path(dir.path()).string();
    options.cluster = cluster();
    const auto state = engine::recover_state(files(), options, *log);
    if (!state) text = state.error().message;
    return state.has_value();
  }

  bool said(const std::string& part) const {
    INFO(text);
    return text.find(part) != std::string::npos;
  }

  support::TempDir dir;
  std::uint64_t base = 0;
  std::string text;
};

}  // namespace

TEST_CASE(
    "a node's cut log and its snapshots are clean, and are replayed from the oldest of them") {
  Data data;
  CHECK(data.inspect({"verify", "--replay"}) == 0);
  CHECK(data.said("Snapshots   2"));
  CHECK(data.said("from the snapshot at entry 30"));
  CHECK(data.said("clean"));
  CHECK(data.inspect({"status"}) == 0);
  CHECK(data.said("40-1"));
  CHECK(data.said(fmt::format("after entry {}", data.base)));
  CHECK(data.inspect({"log", "2..50"}) == 0);
  CHECK(data.said(fmt::format("The log starts after entry {}", data.base)));
  CHECK(data.inspect({"status", "-o", "json"}) == 0);
  const auto json = nlohmann::json::parse(data.text);
  CHECK(json.at("snapshots").size() == 2);
  CHECK(json.at("snapshots")[1].at("index") == 40);
  CHECK(data.starts());
}

TEST_CASE("node and tool agree on what is damage to a log that begins in the middle") {
  Data data;
  const fs::path note = data.dir / "log" / wire::kLogStartFileName;
  SECTION("the note of its start is gone") {
    fs::remove(note);
  }
  SECTION("the note is damaged") {
    support::flip_bit(note, 24);
  }
  SECTION("the note is of another log") {
    support::write_file(
        note,
        std::string(wire::as_text(wire::encode_log_start({99, 3, LogIndex(data.base), Term(1)}))));
  }
  SECTION("the first segment is gone") {
    for (std::uint64_t number = 1;; ++number) {
      if (fs::remove(data.dir / "log" / wire::segment_file_name(number))) break;
    }
  }
  CHECK(data.inspect({"verify"}) == 3);
  CHECK_FALSE(data.starts());
}

TEST_CASE("node and tool agree on a log that has lost what was committed in it") {
  Data data;
  const fs::path note = data.dir / "log" / wire::kCommitNoteFileName;
  const auto write = [&](std::uint64_t log_id, std::uint64_t index, std::uint64_t term) {
    const auto bytes = wire::encode_commit_note(
        {.log_id = log_id, .committed = {.index = LogIndex(index), .term = Term(term)}});
    support::write_file(note, std::string(wire::as_text(bytes)));
  };
  SECTION("the log has all of it") {
    write(7, 60, 1);
    CHECK(data.inspect({"verify"}) == 0);
    CHECK(data.inspect({"status"}) == 0);
    CHECK(data.said("to entry 60 at least"));
    CHECK(data.starts());
  }
  SECTION("the log ends before it") {
    write(7, 61, 1);
    CHECK(data.inspect({"verify"}) == 3);
    CHECK(data.said("entries up to 61"));
    CHECK_FALSE(data.starts());
  }
  SECTION("the log has another entry there") {
    write(7, 60, 2);
    CHECK(data.inspect({"verify"}) == 3);
    CHECK_FALSE(data.starts());
  }
  SECTION("the note is of another log") {
    write(9, 61, 1);
    CHECK(data.inspect({"verify"}) == 0);
    CHECK(data.said("says nothing"));
    CHECK(data.starts());
  }
  SECTION("the note is torn") {
    write(7, 61, 1);
    support::flip_bit(note, 25);
    CHECK(data.inspect({"verify"}) == 0);
    CHECK(data.said("checksum"));
    CHECK(data.starts());
  }
}

TEST_CASE("node and tool agree on what is no damage to a log that begins in the middle") {
  Data data;
  SECTION("a segment below its start was not removed yet") {
    support::write_file(data.dir / "log" / wire::segment_file_name(1), "anything");
    CHECK(data.inspect({"verify"}) == 0);
    CHECK(data.said("was released"));
  }
  SECTION("the rows are lost, and a snapshot replaces them") {
    fs::remove_all(data.dir / "state");
    CHECK(data.inspect({"verify"}) == 0);
    CHECK(data.said("takes them from a snapshot"));
  }
  SECTION("a snapshot was being put in place") {
    support::write_file(data.dir / "snapshots" / "installing", "40-1\n");
    CHECK(data.inspect({"verify"}) == 0);
    CHECK(data.said("completes that"));
  }
  CHECK(data.starts());
}

TEST_CASE("node and tool agree on a directory that no node may start on") {
  Data data;
  SECTION("the snapshot that was being put in place is gone") {
    support::write_file(data.dir / "snapshots" / "installing", "41-1\n");
    CHECK(data.inspect({"verify"}) == 3);
    CHECK(data.said("no longer holds it"));
  }
  SECTION("the note of an installation names no snapshot") {
    support::write_file(data.dir / "snapshots" / "installing", "x\n");
    CHECK(data.inspect({"status"}) == 3);
    CHECK(data.said("does not name a snapshot"));
  }
  SECTION("the rows are a link") {
    fs::rename(data.dir / "state", data.dir / "elsewhere");
    fs::create_directory_symlink(data.dir / "elsewhere", data.dir / "state");
    CHECK(data.inspect({"verify"}) == 3);
    CHECK(data.said("this is a symbolic link"));
    CHECK_FALSE(data.said("applied to 55"));
    CHECK(data.inspect({"status"}) == 3);
    CHECK(data.said("Rows        not read: "));
  }
  SECTION("the snapshots are a link") {
    fs::rename(data.dir / "snapshots", data.dir / "elsewhere");
    fs::create_directory_symlink(data.dir / "elsewhere", data.dir / "snapshots");
    CHECK(data.inspect({"verify"}) == 3);
    CHECK(data.said("this is a symbolic link"));
    CHECK_FALSE(data.said("manifests"));
    CHECK(data.inspect({"status"}) == 3);
    CHECK(data.said("Snapshots   none in "));
  }
  CHECK_FALSE(data.starts());
}

TEST_CASE("a cut log whose rows and snapshots are gone cannot start, and the tool says so") {
  Data data;
  fs::remove_all(data.dir / "state");
  fs::remove_all(data.dir / "snapshots");
  CHECK(data.inspect({"verify"}) == 3);
  CHECK(data.said("no snapshot"));
  CHECK_FALSE(data.starts());
}

TEST_CASE("a replay without a snapshot to begin from is a check that could not be made") {
  Data data;
  fs::remove_all(data.dir / "snapshots");
  CHECK(data.inspect({"verify", "--replay"}) == 1);
  CHECK(data.said("cannot be replayed from its first entry"));
}

TEST_CASE("damage to a snapshot is found by its file's checksum, and by its rows' digests") {
  Data data;
  SECTION("a file's byte") {
    const fs::path state = data.dir / "snapshots" / "40-1" / "state";
    support::flip_bit(support::files_of(state, ".sst").at(0), 30);
    CHECK(data.inspect({"verify"}) == 3);
    CHECK(data.said("the manifest says"));
  }
  SECTION("a file is gone") {
    fs::remove(data.dir / "snapshots" / "40-1" / "state" / "CURRENT");
    CHECK(data.inspect({"verify"}) == 3);
  }
  SECTION("the manifest's byte") {
    support::flip_bit(data.dir / "snapshots" / "40-1" / "manifest", 40);
    CHECK(data.inspect({"verify"}) == 3);
    CHECK(data.said("checksum"));
  }
  SECTION("the digests, under a manifest that is right") {
    const std::string root = data.dir / "snapshots";
    auto manifest = must(engine::read_manifest(Data::files(), root, "40-1"));
    manifest.projections.back().rows += 1;
    const auto bytes = wire::encode_snapshot_manifest(manifest);
    support::write_file(data.dir / "snapshots" / "40-1" / "manifest",
                        std::string(wire::as_text(bytes)));
    CHECK(data.inspect({"verify"}) == 0);
    CHECK(data.inspect({"verify", "--state"}) == 3);
    CHECK(data.said("digests"));
  }
}

}  // namespace bib::inspect
