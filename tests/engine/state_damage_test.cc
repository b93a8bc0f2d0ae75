// Rows whose files are damaged: a snapshot of them is not sealed, and the next start restores them
// from what is whole, or says what is not.
#include "engine/storage/state_damage.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "engine/storage/snapshot_files.h"
#include "snapshot_fixture.h"

namespace bib::engine {
namespace {

using Catch::Matchers::Contains;
using wire::ErrorCode;
using wire::LogIndex;
using wire::SnapshotManifest;
using wire::Term;

// The files of rows in a directory.
std::vector<std::string> tables_in(FaultyFileSystem& files, const std::string& directory) {
  std::vector<std::string> tables;
  for (const std::string& name : must(files.list(directory))) {
    if (is_rows_file(name)) tables.push_back(name);
  }
  REQUIRE_FALSE(tables.empty());
  return tables;
}

// A state at 20 in /data/state, and a checkpoint of it that is about to be sealed.
struct Making {
  Making() {
    fill_state(files, "/data/state", log, 20);
    must(begin_partial_snapshot(files, kSnapshotRoot, kMakingName));
    projections::RocksOptions options;
    options.env = env.get();
    const auto store = must(projections::RocksStore::open("/data/state", options));
    const auto mark = must(projections::create_checkpoint(
        *store, snapshot_state_directory(kSnapshotRoot, kMakingName)));
    manifest.cluster = test_options().cluster;
    manifest.node = wire::NodeId(1);
    manifest.index = mark.applied_index;
    manifest.term = mark.applied_term;
    manifest.membership_index = LogIndex(1);
    manifest.membership = must(wire::decode_membership(membership_of(1)));
    manifest.projections = projections::snapshot_projections(mark);
  }

  SealChecks checks() {
    SealChecks checks;
    checks.state = "/data/state";
    checks.verify_table = [this](const std::string& path) {
      ++verified;
      projections::RocksOptions options;
      options.env = env.get();
      return projections::RocksStore::verify_table(path, options);
    };
    return checks;
  }
  wire::Result<SnapshotManifest> seal(const SealChecks& checks) {
    return seal_snapshot(files, kSnapshotRoot, kMakingName, manifest, checks);
  }

  std::vector<wire::Bytes> log = log_of(20);
  FaultyFileSystem files;
  std::unique_ptr<rocksdb::Env> env = make_rocks_env(files);
  SnapshotManifest manifest;
  int verified = 0;
};

}  // namespace

TEST_CASE("a bit that flips in a file of rows is noticed when a snapshot of them is sealed") {
  Making making;
  const std::string making_state = snapshot_state_directory(kSnapshotRoot, kMakingName);
  const auto tables = tables_in(making.files, making_state);
  for (const std::string& table : tables) {
    const std::string path = join_path("/data/state", table);
    const std::size_t size = making.files.content(path).size();
    for (const std::size_t offset : {std::size_t{0}, size / 3, size / 2}) {
      CAPTURE(table, offset);
      making.files.flip_bit(path, offset, 3);
      const auto sealed = making.seal(making.checks());
      REQUIRE_FALSE(sealed);
      CHECK(sealed.error().code == ErrorCode::kCorrupt);
      CHECK_THAT(sealed.error().message, Contains(path + " is damaged"));
      making.files.flip_bit(path, offset, 3);
    }
  }
  const auto sealed = must(making.seal(making.checks()));
  must(verify_snapshot(making.files, kSnapshotRoot, sealed));
}

TEST_CASE("files that the last snapshot had are compared with it, and not verified again") {
  Making making;
  const std::string table = tables_in(making.files, "/data/state").front();
  SealChecks checks = making.checks();
  const auto before = making.files.content(join_path("/data/state", table));
  wire::SnapshotFileMeasure measure;
  measure.add(before);
  checks.known = {measure.file(table)};
  SECTION("whole") {
    must(making.seal(checks));
    CHECK(making.verified + 1 ==
          static_cast<int>(tables_in(making.files, "/data/snapshots/20-1/state").size()));
  }
  SECTION("damaged since, wherever it is") {
    making.files.flip_bit(join_path("/data/state", table), before.size() - 1, 0);
    const auto sealed = making.seal(checks);
    REQUIRE_FALSE(sealed);
    CHECK(sealed.error().code == ErrorCode::kCorrupt);
    CHECK_THAT(sealed.error().message, Contains("such a file never changes"));
  }
}

TEST_CASE("damage in the copy of a file is no damage of the rows") {
  Making making;
  const std::string directory = snapshot_state_directory(kSnapshotRoot, kMakingName);
  const std::string path = join_path(directory, tables_in(making.files, directory).front());
  auto bytes = making.files.content(path);
  bytes[bytes.size() / 2] ^= 1;
  making.files.forget(path);
  making.files.set_content(path, bytes);
  const auto sealed = making.seal(making.checks());
  REQUIRE_FALSE(sealed);
  CHECK(sealed.error().code == ErrorCode::kIo);
  CHECK_THAT(sealed.error().message, Contains(path + " is damaged"));
}

namespace {

// A node whose rows are at 8, noted to be damaged; its log goes from `base` to 50.
struct DamagedNode {
  explicit DamagedNode(std::uint64_t base) {
    auto store = must(LogStore::open(files, kLogDirectory, test_options()));
    LogStoreWrite write;
    if (base > 0) write.reset = LogReset{{LogIndex(base), Term(1)}, LogIndex(1), membership_of(1)};
    write.entries.assign(log.begin() + static_cast<std::ptrdiff_t>(base), log.begin() + 50);
    write.hard_state = wire::HardState{Term(1), wire::NodeId()};
    must(store.store->append({&write, 1}));
    store.store.reset();
    fill_state(files, "/data/state", log, 45);
  }
  void note() {
    must(note_state_damage(files, InstallPlaces(kDataDirectory), "The rows are damaged (a test)."));
  }

  std::vector<wire::Bytes> log = log_of(50);
  FaultyFileSystem files;
};

void damage_snapshot(FaultyFileSystem& files, const SnapshotManifest& snapshot) {
  const std::string name = wire::snapshot_name(snapshot.index, snapshot.term);
  const std::string path =
      join_path(snapshot_state_directory(kSnapshotRoot, name), snapshot.files.back().name);
  auto bytes = files.content(path);
  bytes[bytes.size() / 2] ^= 1;
  files.forget(path);  // the other snapshots share it
  files.set_content(path, bytes);
}

}  // namespace

TEST_CASE("rows that a run found damaged come back at the next start, from what is whole") {
  DamagedNode node(20);
  make_snapshot(node.files, kSnapshotRoot, node.log, 25);
  const SnapshotManifest newest = make_snapshot(node.files, kSnapshotRoot, node.log, 40);
  node.note();
  SECTION("the newest snapshot") {
    const auto started = must(start(node.files));
    CHECK(started.state.projector->applied_index() == LogIndex(40));
    CHECK_THAT(started.news,
               Contains("The rows are damaged (a test); taking the rows from snapshot 40-1"));
    CHECK(started.state.snapshots.set_aside.empty());
  }
  SECTION("one before it, where that is damaged, too") {
    damage_snapshot(node.files, newest);
    const auto started = must(start(node.files));
    CHECK(started.state.projector->applied_index() == LogIndex(25));
    CHECK_THAT(started.news, Contains("set aside as 40-1.damaged"));
    CHECK(started.state.snapshots.snapshots.size() == 1);
  }
  // And that was it.
  CHECK_FALSE(must(find_state_damage(node.files, InstallPlaces(kDataDirectory))));
  const auto again = must(start(node.files));
  CHECK(again.news.empty());
}

TEST_CASE("damaged rows of a log that has its first entry come back from it alone") {
  DamagedNode node(0);
  damage_snapshot(node.files, make_snapshot(node.files, kSnapshotRoot, node.log, 40));
  node.note();
  const auto started = must(start(node.files));
  CHECK(started.state.projector->applied_index() == LogIndex(0));
  CHECK_THAT(started.news, Contains("rebuilding the rows from the log"));
}

TEST_CASE("rows that cannot be opened come back as those that were noted") {
  DamagedNode node(20);
  make_snapshot(node.files, kSnapshotRoot, node.log, 25);
  for (const std::string& path : node.files.paths()) {
    if (path.rfind("/data/state/MANIFEST", 0) == 0) node.files.flip_bit(path, 20, 1);
  }
  const auto started = must(start(node.files));
  CHECK(started.state.projector->applied_index() == LogIndex(25));
}

TEST_CASE("where nothing has the rows whole, a start says what is whole and removes nothing") {
  DamagedNode node(20);
  const SnapshotManifest newest = make_snapshot(node.files, kSnapshotRoot, node.log, 40);
  damage_snapshot(node.files, newest);
  node.note();
  for (int round = 0; round < 3; ++round) {
    const auto started = start(node.files);
    REQUIRE_FALSE(started);
    CHECK(started.error().code == ErrorCode::kCorrupt);
    CHECK_THAT(
        started.error().message,
        Contains("The rows are damaged (a test). The log is whole, but starts at entry 21") &&
            Contains("no snapshot to continue from that is whole (40-1.damaged)") &&
            Contains("bib cluster member remove ID") && Contains("Keep that directory"));
    CHECK(must(has_name(node.files, kSnapshotRoot, "40-1.damaged")));
    CHECK_FALSE(tables_in(node.files, "/data/state").empty());
  }
  join_from_empty_directory(node.files);
}

TEST_CASE("a snapshot that was damaged before its installation ended is not put in place") {
  Scene scene;
  const InstallPlaces places(kDataDirectory);
  must(prepare_install(scene.files, places, scene.snapshot));
  must(decide_install(scene.files, places, scene.snapshot));
  damage_snapshot(scene.files, scene.snapshot);
  const auto started = start(scene.files);
  REQUIRE_FALSE(started);
  CHECK(started.error().code == ErrorCode::kCorrupt);
  CHECK_THAT(started.error().message,
             Contains("snapshot 30-1 was being put in place") && Contains("can no longer be used"));
  join_from_empty_directory(scene.files);
}

}  // namespace bib::engine
