// Whose rows a node has: those of another cluster or node are refused, and each next step leads to
// a node that starts.
#include "projections/apply/rows_owner.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "engine/storage/state_install.h"
#include "snapshot_fixture.h"

namespace bib::engine {
namespace {

using Catch::Matchers::Contains;
using wire::ErrorCode;
using wire::LogIndex;
using wire::RowsOwner;

const RowsOwner kOwn{test_options().cluster, test_options().random()};
const RowsOwner kOtherNode{kOwn.cluster, 0xbad};
const RowsOwner kOtherCluster{wire::ClusterId{{9}}, kOwn.log_id};

void set_owner(FileSystem& files, const RowsOwner& owner) {
  const auto env = make_rocks_env(files);
  projections::RocksOptions options;
  options.env = env.get();
  const auto store = must(projections::RocksStore::open("/data/state", options));
  must(projections::write_owner(owner, *store));
  must(store->flush());
}

void starts_at(FileSystem& files, std::uint64_t rows) {
  const auto started = must(start(files));
  CHECK(started.state.projector->applied_index() == LogIndex(rows));
  CHECK(must(projections::read_owner(*started.state.store)) == kOwn);
}

std::string refusal(FileSystem& files) {
  const auto started = start(files);
  REQUIRE_FALSE(started);
  CHECK(started.error().code == ErrorCode::kCorrupt);
  return started.error().message;
}

// A node whose log was cut after a snapshot at 20, with rows at 25.
void cut_log(FileSystem& files, const std::vector<wire::Bytes>& log) {
  auto store = must(LogStore::open(files, kLogDirectory, test_options()));
  LogStoreWrite write;
  write.reset = LogReset{{LogIndex(20), wire::Term(1)}, LogIndex(1), membership_of(0xfeed)};
  write.entries.assign(log.begin() + 20, log.begin() + 30);
  write.hard_state = wire::HardState{wire::Term(1), wire::NodeId()};
  must(store.store->append({&write, 1}));
  fill_state(files, "/data/state", log, 25);
}

}  // namespace

TEST_CASE("rows that do not say whose they are become the node's own, durably") {
  Scene scene;
  {
    const auto started = must(start(scene.files));
    CHECK(must(projections::read_owner(*started.state.store)) == kOwn);
    must(started.state.store->flush());
  }
  wire::Prng prng(1);
  const auto disk = scene.files.survivor(prng);
  const auto env = make_rocks_env(*disk);
  projections::RocksOptions options;
  options.env = env.get();
  const auto store = must(projections::RocksStore::open("/data/state", options));
  CHECK(must(projections::read_owner(*store)) == kOwn);
}

TEST_CASE("rows of another cluster or node are refused, and stay as they are") {
  Scene scene;
  const bool other_cluster = GENERATE(true, false);
  set_owner(scene.files, other_cluster ? kOtherCluster : kOtherNode);
  const std::string said = refusal(scene.files);
  CHECK_THAT(said, Contains("/data/state: the rows are"));
  CHECK_THAT(said, Contains(other_cluster ? "those of another cluster, 09" : "another node's"));
  CHECK_THAT(said, Contains("move this one away and start the node again"));
  CHECK(refusal(scene.files) == said);
  SECTION("its own are put back") {
    set_owner(scene.files, kOwn);
    starts_at(scene.files, 5);
  }
  SECTION("its own are lost, and it does what it is told") {
    must(scene.files.rename("/data/state", "/moved-away"));
    starts_at(scene.files, 0);
    starts_at(scene.files, 0);
  }
}

TEST_CASE(
    "rows of another node beside a log that was cut come from a snapshot, or from the others") {
  const auto log = log_of(30);
  FaultyFileSystem files;
  cut_log(files, log);
  set_owner(files, kOtherNode);
  SECTION("there is one") {
    make_snapshot(files, kSnapshotRoot, log, 25);
    CHECK_THAT(refusal(files), Contains("move this one away"));
    must(files.rename("/data/state", "/moved-away"));
    starts_at(files, 25);
    starts_at(files, 25);
  }
  SECTION("there is none") {
    const std::string said = refusal(files);
    CHECK_THAT(said, !Contains("move this one away") && Contains("bib cluster member remove"));
    join_from_empty_directory(files);
  }
}

TEST_CASE("a crash at any moment of taking lost rows from a snapshot leaves a node that starts") {
  const auto log = log_of(30);
  FaultyFileSystem disk;
  cut_log(disk, log);
  make_snapshot(disk, kSnapshotRoot, log, 25);
  must(disk.rename("/data/state", "/moved-away"));
  const auto whole = disk.copy();
  starts_at(*whole, 25);
  wire::Prng prng(1);
  for (std::uint64_t crash_after = 1; crash_after <= whole->operations();
       crash_after = next_crash(crash_after, whole->operations())) {
    CAPTURE(crash_after);
    const auto crashed = disk.copy();
    crashed->crash_after(crash_after);
    static_cast<void>(start(*crashed));
    starts_at(*crashed->survivor(prng), 25);
  }
}

TEST_CASE("a snapshot whose rows are another cluster's is not put in place") {
  Scene scene;
  const auto env = make_rocks_env(scene.files);
  projections::RocksOptions options;
  options.env = env.get();
  const std::string state = snapshot_state_directory(kSnapshotRoot, "30-1");
  must(projections::verify_checkpoint(state, options, kOwn.cluster));
  const auto refused = projections::verify_checkpoint(state, options, kOtherCluster.cluster);
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().message, Contains("those of another cluster"));
  const auto store = must(projections::RocksStore::open("/data/state", options));
  must(projections::write_owner(kOtherCluster, *store));
  CHECK_FALSE(projections::adopt_rows(*store, kOwn));
}

TEST_CASE("a state without CURRENT is rebuilt at once, from the log or a snapshot") {
  const auto log = log_of(30);
  FaultyFileSystem files;
  SECTION("the log is whole") {
    Scene scene;
    scene.files.forget("/data/state/CURRENT");
    starts_at(scene.files, 0);
    starts_at(scene.files, 0);
  }
  SECTION("there is a snapshot") {
    cut_log(files, log);
    make_snapshot(files, kSnapshotRoot, log, 25);
    files.forget("/data/state/CURRENT");
    starts_at(files, 25);
    starts_at(files, 25);
  }
  SECTION("the newest snapshot is damaged, and an older one is whole") {
    cut_log(files, log);
    make_snapshot(files, kSnapshotRoot, log, 22);
    make_snapshot(files, kSnapshotRoot, log, 25);
    const auto names = must(files.list("/data/snapshots/25-1/state"));
    const auto own = std::find_if(names.begin(), names.end(), [](const std::string& name) {
      return name.starts_with("MANIFEST-");  // tables may be the other one's, too
    });
    REQUIRE(own != names.end());
    files.flip_bit(join_path("/data/snapshots/25-1/state", *own), 10, 1);
    files.forget("/data/state/CURRENT");
    starts_at(files, 22);
  }
  SECTION("neither: the node says so, removes nothing, and joins again as it is told") {
    cut_log(files, log);
    files.forget("/data/state/CURRENT");
    const auto before = must(files.list("/data/state"));
    const std::string said = refusal(files);
    CHECK_THAT(said, Contains("CURRENT is missing") && Contains("bib cluster member remove"));
    CHECK(must(files.list("/data/state")) == before);
    join_from_empty_directory(files);
  }
}

TEST_CASE("damaged rows are rebuilt from what is whole, or it is said that nothing is") {
  const auto log = log_of(30);
  FaultyFileSystem files;
  const auto damage = [](FaultyFileSystem& disk) {
    for (const std::string& path : disk.paths()) {
      if (path.starts_with("/data/state/MANIFEST-")) disk.flip_bit(path, 20, 1);
    }
  };
  SECTION("the log is whole") {
    Scene scene;
    damage(scene.files);
    starts_at(scene.files, 0);
  }
  SECTION("there is a snapshot") {
    cut_log(files, log);
    make_snapshot(files, kSnapshotRoot, log, 25);
    damage(files);
    starts_at(files, 25);
  }
  SECTION("neither") {
    cut_log(files, log);
    damage(files);
    CHECK_THAT(refusal(files), Contains("The log is whole, but starts at entry 21") &&
                                   Contains("bib cluster member remove"));
    join_from_empty_directory(files);
  }
}

}  // namespace bib::engine
