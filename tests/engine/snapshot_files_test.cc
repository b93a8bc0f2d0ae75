// Snapshots on the disk, and their installation: whole or not there, whatever moment a crash picks.
#include <catch2/catch.hpp>

#include <algorithm>

#include "engine/storage/snapshot_files.h"
#include "engine/storage/state_install.h"
#include "engine/storage/state_recovery.h"
#include "projections/apply/rows_owner.h"
#include "snapshot_fixture.h"

namespace bib::engine {
namespace {

using wire::LogIndex;
using wire::Term;

FoundSnapshots find(FileSystem& files) {
  return must(find_snapshots(files, kSnapshotRoot, test_options().cluster));
}

std::string state_file(const wire::SnapshotManifest& manifest, std::size_t file) {
  return join_path(snapshot_state_directory(kSnapshotRoot, "30-1"), manifest.files[file].name);
}

}  // namespace

TEST_CASE("a snapshot that was made is found, whole, and its rows have its digests") {
  FaultyFileSystem files;
  const auto log = log_of(30);
  const wire::SnapshotManifest made = make_snapshot(files, kSnapshotRoot, log, 30);
  CHECK(made.index == LogIndex(30));
  CHECK(made.term == Term(1));
  CHECK(made.files.size() >= 4);
  const FoundSnapshots found = find(files);
  CHECK(found.problems.empty());
  REQUIRE(found.snapshots.size() == 1);
  CHECK(found.snapshots[0] == made);
  must(verify_snapshot_files(files, kSnapshotRoot, made));
  const auto mark = verified_state(files, snapshot_state_directory(kSnapshotRoot, "30-1"));
  must(projections::check_against_manifest(mark, made));
  // Nothing of the check is left behind.
  must(verify_snapshot_files(files, kSnapshotRoot, made));
}

TEST_CASE("a snapshot's rows that are not those of its manifest are noticed") {
  FaultyFileSystem files;
  const auto log = log_of(30);
  const wire::SnapshotManifest made = make_snapshot(files, kSnapshotRoot, log, 30);
  const auto mark = verified_state(files, snapshot_state_directory(kSnapshotRoot, "30-1"));
  wire::SnapshotManifest other = made;
  other.projections.back().digest_low ^= 1;
  CHECK(projections::check_against_manifest(mark, other).error().code == wire::ErrorCode::kCorrupt);
  other = made;
  other.index = LogIndex(31);
  CHECK(projections::check_against_manifest(mark, other).error().code == wire::ErrorCode::kCorrupt);
  other = made;
  other.projections.back().version += 1;
  CHECK(projections::check_against_manifest(mark, other).error().code ==
        wire::ErrorCode::kUnsupported);
}

TEST_CASE("damage to any of a snapshot's files is noticed") {
  FaultyFileSystem files;
  const wire::SnapshotManifest made = make_snapshot(files, kSnapshotRoot, log_of(30), 30);
  for (std::size_t file = 0; file < made.files.size(); ++file) {
    if (made.files[file].size == 0) continue;
    files.flip_bit(state_file(made, file), made.files[file].size / 2, 1);
    const auto status = verify_snapshot_files(files, kSnapshotRoot, made);
    REQUIRE_FALSE(status);
    CHECK(status.error().message.find(made.files[file].name) != std::string::npos);
    files.flip_bit(state_file(made, file), made.files[file].size / 2, 1);
  }
  must(verify_snapshot_files(files, kSnapshotRoot, made));
  files.set_content(join_path(snapshot_state_directory(kSnapshotRoot, "30-1"), "more"), {1});
  CHECK_FALSE(verify_snapshot_files(files, kSnapshotRoot, made));
  files.forget(join_path(snapshot_state_directory(kSnapshotRoot, "30-1"), "more"));
  files.forget(state_file(made, 0));
  CHECK_FALSE(verify_snapshot_files(files, kSnapshotRoot, made));
}

TEST_CASE("a snapshot with a damaged manifest, a wrong name or another cluster is set aside") {
  FaultyFileSystem files;
  make_snapshot(files, kSnapshotRoot, log_of(30), 30);
  SECTION("damaged") {
    files.flip_bit("/data/snapshots/30-1/manifest", 50, 0);
    const FoundSnapshots found = find(files);
    CHECK(found.snapshots.empty());
    REQUIRE(found.problems.size() == 1);
    CHECK(found.problems[0].find("checksum") != std::string::npos);
    CHECK(found.problems[0].find("it is set aside as 30-1.damaged") != std::string::npos);
    CHECK(found.set_aside == std::vector{wire::LogPosition{LogIndex(30), Term(1)}});
    CHECK(find(files).problems.empty());
    CHECK(find(files).set_aside == found.set_aside);
  }
  SECTION("without a manifest") {
    files.forget("/data/snapshots/30-1/manifest");
    CHECK(find(files).set_aside.size() == 1);
  }
  SECTION("under another's name") {
    must(files.rename("/data/snapshots/30-1", "/data/snapshots/31-1"));
    const FoundSnapshots found = find(files);
    CHECK(found.snapshots.empty());
    CHECK(found.problems.size() == 1);
  }
  SECTION("of another cluster") {
    wire::ClusterId other;
    other.bytes.fill(9);
    const auto found = must(find_snapshots(files, kSnapshotRoot, other));
    CHECK(found.snapshots.empty());
    CHECK(found.problems.size() == 1);
  }
}

TEST_CASE("a crash at any moment of making or removing a snapshot leaves it whole or not there") {
  const auto log = log_of(20);
  int whole = 0;
  for (std::uint64_t crash_after = 1;; crash_after += 3) {
    CAPTURE(crash_after);
    wire::Prng prng(crash_after);
    auto disk = std::make_unique<FaultyFileSystem>();
    const auto older = make_snapshot(*disk, kSnapshotRoot, log, 10);
    const auto newer = make_snapshot(*disk, kSnapshotRoot, log, 20);
    must(disk->rename("/data/snapshots/20-1", "/data/snapshots/making.tmp"));
    disk->forget("/data/snapshots/making.tmp/manifest");
    must(disk->sync_directory(kSnapshotRoot));
    disk->crash_after(crash_after);
    const auto sealed = seal_snapshot(*disk, kSnapshotRoot, kMakingName, newer);
    wire::Status removed;
    if (sealed) removed = remove_snapshot(*disk, kSnapshotRoot, "10-1");
    const bool crashed = disk->crashed();
    disk = disk->survivor(prng);
    const FoundSnapshots found = find(*disk);
    CHECK(found.problems.empty());
    for (const auto& snapshot : found.snapshots) {
      must(verify_snapshot_files(*disk, kSnapshotRoot, snapshot));
      if (snapshot.index == LogIndex(20)) ++whole;
    }
    if (sealed) CHECK(found.snapshots.back().index == LogIndex(20));
    if (!sealed) CHECK(found.snapshots.front().index == LogIndex(10));
    for (const std::string& path : disk->paths()) CHECK(path.find(".tmp") == std::string::npos);
    if (!crashed) {
      must(removed);
      CHECK(found.snapshots.size() == 1);
      break;
    }
  }
  CHECK(whole > 0);
}

TEST_CASE("a snapshot that a killed process left is durable once it was found") {
  const auto log = log_of(20);
  int found_whole = 0;
  for (std::uint64_t crash_after = 1;; ++crash_after) {
    CAPTURE(crash_after);
    wire::Prng prng(crash_after);
    FaultyFileSystem disk;
    const auto manifest = make_snapshot(disk, kSnapshotRoot, log, 20);
    must(disk.rename("/data/snapshots/20-1", "/data/snapshots/making.tmp"));
    disk.forget("/data/snapshots/making.tmp/manifest");
    must(disk.sync_directory(kSnapshotRoot));
    disk.crash_after(crash_after);
    const bool sealed = seal_snapshot(disk, kSnapshotRoot, kMakingName, manifest).has_value();
    disk.restart_process();
    const std::size_t found = find(disk).snapshots.size();
    found_whole += found == 1 && !sealed ? 1 : 0;
    for (int variant = 0; variant < 8; ++variant) {
      CHECK(find(*disk.survivor(prng)).snapshots.size() == found);
    }
    if (sealed) break;
  }
  CHECK(found_whole > 0);
}

TEST_CASE("an installation that a killed process has ended does not come back") {
  const InstallPlaces places(kDataDirectory);
  FaultyFileSystem disk;
  const auto snapshot = make_snapshot(disk, kSnapshotRoot, log_of(20), 20);
  must(decide_install(disk, places, snapshot));
  disk.crash_after(1);  // the note is gone, and its name not durably
  CHECK_FALSE(end_install(disk, places));
  disk.restart_process();
  static_cast<void>(find(disk));
  CHECK_FALSE(must(find_install(disk, places)));
  wire::Prng prng(1);
  for (int variant = 0; variant < 8; ++variant) {
    CHECK_FALSE(must(find_install(*disk.survivor(prng), places)));
  }
}

namespace {

// What a running node does; stops where the disk does.
wire::Status install(FileSystem& files, const wire::SnapshotManifest& snapshot) {
  const InstallPlaces places(kDataDirectory);
  BIB_TRY(auto log, LogStore::open(files, kLogDirectory, test_options()));
  BIB_TRY_VOID(prepare_install(files, places, snapshot));
  BIB_TRY_VOID(decide_install(files, places, snapshot));
  BIB_TRY_VOID(swap_state(files, places));
  {
    const auto env = make_rocks_env(files);
    projections::RocksOptions rocks;
    rocks.env = env.get();
    BIB_TRY(const auto store, projections::RocksStore::open(places.state, rocks));
    const wire::LogIdentity& own = log.store->identity();
    BIB_TRY_VOID(projections::adopt_rows(*store, {own.cluster, own.log_id}));
  }
  LogStoreWrite write;
  write.reset = LogReset{{snapshot.index, snapshot.term},
                         snapshot.membership_index,
                         wire::encode_membership(snapshot.membership)};
  BIB_TRY_VOID(log.store->append({&write, 1}));
  return end_install(files, places);
}

enum class Outcome { kOld, kNew };

// The node starts, with all as it was before the installation or all as after it.
Outcome check_start(FileSystem& files) {
  auto started = start(files);
  INFO((started ? std::string() : started.error().message));
  REQUIRE(started);
  must(projections::verify_state(*started->state.store->view()));
  const std::uint64_t applied = started->state.projector->applied_index().value();
  const auto& log = started->log.log;
  const wire::LogIdentity& own = started->log.store->identity();
  CHECK(must(projections::read_owner(*started->state.store)) ==
        wire::RowsOwner{own.cluster, own.log_id});
  CHECK(log.base().index.value() <= applied);
  CHECK(log.last_index().value() >= applied);
  CHECK(must(files.list("/data/state.new")).empty());
  CHECK(must(files.list("/data/state.old")).empty());
  CHECK_FALSE(must(find_install(files, InstallPlaces(kDataDirectory))));
  if (applied == 5) {
    CHECK(log.last_index() == LogIndex(8));
    return Outcome::kOld;
  }
  CHECK(applied == 30);
  CHECK(log.base() == wire::LogPosition{LogIndex(30), Term(1)});
  CHECK(log.last_index() == LogIndex(30));
  CHECK(started->log.memberships.front().membership.is_voter(wire::NodeId(0xfeed)));
  return Outcome::kNew;
}

}  // namespace

TEST_CASE("a snapshot that was installed is the state, and the log continues after it") {
  Scene scene;
  must(install(scene.files, scene.snapshot));
  CHECK(check_start(scene.files) == Outcome::kNew);
  // RocksDB opened and changed the state's directory; the snapshot is as it was.
  must(verify_snapshot_files(scene.files, kSnapshotRoot, scene.snapshot));
}

TEST_CASE("a crash at any moment of an installation leaves the old state or the new one") {
  const Scene scene;
  std::uint64_t operations = 0;
  {
    const auto disk = scene.files.copy();
    must(install(*disk, scene.snapshot));
    operations = disk->operations();
  }
  int old_states = 0;
  int new_states = 0;
  for (std::uint64_t crash_after = 1; crash_after <= operations;
       crash_after = next_crash(crash_after, operations)) {
    for (std::uint64_t variant = 0; variant < 3; ++variant) {
      CAPTURE(crash_after, operations, variant);
      wire::Prng prng(crash_after * 10 + variant);
      auto disk = scene.files.copy();
      disk->crash_after(crash_after);
      CHECK_FALSE(install(*disk, scene.snapshot));
      disk = disk->survivor(prng);
      // And while the start completes or undoes it.
      if (variant == 2) {
        disk->crash_after(1 + prng.below(30));
        static_cast<void>(start(*disk));
        disk = disk->survivor(prng);
      }
      ++(check_start(*disk) == Outcome::kOld ? old_states : new_states);
      must(verify_snapshot_files(*disk, kSnapshotRoot, scene.snapshot));
    }
  }
  CHECK(old_states > 0);
  CHECK(new_states > 0);
}

TEST_CASE("an installation that was decided is completed although the log has gone on meanwhile") {
  Scene scene;
  const InstallPlaces places(kDataDirectory);
  must(prepare_install(scene.files, places, scene.snapshot));
  must(decide_install(scene.files, places, scene.snapshot));
  SECTION("with the same entries, which stay") {
    {
      auto log = must(LogStore::open(scene.files, kLogDirectory, test_options()));
      LogStoreWrite write;
      write.entries.assign(scene.log.begin() + 8, scene.log.end());
      must(log.store->append({&write, 1}));
    }
    const auto started = must(start(scene.files));
    CHECK(started.log.log.base().index == LogIndex(0));
    CHECK(started.log.log.last_index() == LogIndex(30));
    CHECK(started.state.projector->applied_index() == LogIndex(30));
  }
  SECTION("with fewer, which the snapshot stands for") {
    CHECK(check_start(scene.files) == Outcome::kNew);
  }
}

TEST_CASE("rows ahead of the log that no installation explains are damage") {
  Scene scene;
  fill_state(scene.files, "/data/state", scene.log, 12);
  const auto started = start(scene.files);
  REQUIRE_FALSE(started);
  CHECK(started.error().code == wire::ErrorCode::kCorrupt);
  CHECK(started.error().message.find("are at entry 12") != std::string::npos);
  join_from_empty_directory(scene.files);
}

TEST_CASE("an installation whose snapshot is gone stops the start with an explanation") {
  Scene scene;
  const InstallPlaces places(kDataDirectory);
  must(decide_install(scene.files, places, scene.snapshot));
  SECTION("gone") {
    must(remove_snapshot(scene.files, kSnapshotRoot, "30-1"));
  }
  SECTION("its note is no snapshot's name") {
    scene.files.set_content("/data/snapshots/installing", {'x'});
  }
  const auto started = start(scene.files);
  REQUIRE_FALSE(started);
  CHECK(started.error().code == wire::ErrorCode::kCorrupt);
}

TEST_CASE("lost rows of a log that was cut come back from the newest snapshot that fits") {
  const auto log = log_of(60);
  FaultyFileSystem files;
  {
    LogStoreOptions options = test_options();
    auto store = must(LogStore::open(files, kLogDirectory, options));
    LogStoreWrite write;
    write.reset = LogReset{{LogIndex(20), Term(1)}, LogIndex(1), membership_of(0xfeed)};
    write.entries.assign(log.begin() + 20, log.begin() + 50);
    write.hard_state = wire::HardState{Term(1), wire::NodeId()};
    must(store.store->append({&write, 1}));
  }
  SECTION("there is one") {
    make_snapshot(files, kSnapshotRoot, log, 25);
    make_snapshot(files, kSnapshotRoot, log, 40);
    make_snapshot(files, kSnapshotRoot, log, 55);  // beyond the log's end: of no use
    const auto started = must(start(files));
    CHECK(started.state.projector->applied_index() == LogIndex(40));
    CHECK(started.state.snapshots.snapshots.size() == 3);
  }
  SECTION("there is none") {
    const auto started = start(files);
    REQUIRE_FALSE(started);
    CHECK(started.error().message.find("the log starts after entry 20") != std::string::npos);
    join_from_empty_directory(files);
  }
}

}  // namespace bib::engine
