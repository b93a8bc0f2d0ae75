// A node's snapshots that are damaged, where it has them and where it fetches them.
#include <catch2/catch.hpp>
#include <string>

#include "engine/node/snapshots.h"
#include "snapshot_follower.h"

namespace bib::engine {
namespace {

// Its newest snapshot has no files on the disk.
struct UselessSnapshot {
  UselessSnapshot() {
    follower.files.set_content("/data/snapshots/6-1/state/CURRENT", {1});
    follower.ask(kLeader, 6);
    REQUIRE(follower.executor.step());  // the manifest cannot be read
    REQUIRE(follower.parts.size() == 1);
    CHECK(follower.parts.front().status == wire::SnapshotPartStatus::kFailed);
  }
  Follower follower{8, {3, 6}};
};

}  // namespace

TEST_CASE("a snapshot that cannot be read is set aside, offered to nobody, and another is made") {
  UselessSnapshot useless;
  Follower& follower = useless.follower;
  CHECK(follower.snapshots->store().list().size() == 2);
  CHECK(follower.executor.waiting() == 1);  // it is being looked at
  follower.snapshots->on_tick();
  follower.snapshots->on_tick();
  CHECK(follower.executor.waiting() == 1);
  REQUIRE(follower.executor.step());  // it is damaged, indeed
  REQUIRE(follower.executor.step());  // and has another name
  REQUIRE(follower.snapshots->store().newest()->index == LogIndex(3));
  CHECK(follower.problems == 1);
  CHECK(follower.executor.waiting() == 1);
  follower.executor.run_all();
  CHECK(follower.checkpoints.size() == 1);  // though the threshold is far away
  follower.ask(kLeader, 6);
  CHECK(follower.parts.back().status == wire::SnapshotPartStatus::kGone);
  CHECK(follower.problems == 1);
}

TEST_CASE("damage in the state's files that a snapshot shows is the node's end, not a snapshot's") {
  Follower follower(8, {}, 5, 0, [](SnapshotsOptions& options) {
    options.verify_table = [](const std::string& path) -> wire::Status {
      return wire::fail(wire::ErrorCode::kCorrupt, "a block of {} is wrong", path);
    };
  });
  follower.snapshots->on_tick();
  follower.executor.run_all();
  REQUIRE(follower.checkpoints.size() == 1);
  const std::string table = "/data/state/000001.sst";
  must(follower.files.make_directories("/data/state"));
  must(follower.files.make_directories("/data/snapshots/making.tmp/state"));
  follower.files.set_content(table, {1, 2, 3});
  must(follower.files.link(table, "/data/snapshots/making.tmp/state/000001.sst"));
  projections::StateMark mark;
  mark.applied_index = LogIndex(8);
  mark.applied_term = Term(1);
  follower.checkpoints.front()(mark);
  follower.executor.run_all();
  REQUIRE(follower.damage.size() == 1);
  CHECK(follower.damage[0].find("The rows in /data/state are damaged") == 0);
  CHECK(follower.damage[0].find(table) != std::string::npos);
  CHECK(follower.snapshots->store().list().empty());
}

namespace {

// A snapshot comes with a manifest that is damaged; how often it is asked for while the leader
// offers it at each tick.
int fetches_of_damaged(Follower& follower, std::uint64_t index, int ticks) {
  int fetches = 0;
  for (int i = 0; i < ticks; ++i) {
    follower.requests.clear();
    follower.snapshots->receive_snapshot(kLeader, {LogIndex(index), Term(1)});
    REQUIRE_FALSE(follower.requests.empty());
    const wire::SnapshotRequest asked = follower.requests.front();
    if (asked.kind == wire::SnapshotRequestKind::kManifest) {
      ++fetches;
      wire::SnapshotPart part;
      part.from = kLeader;
      part.id = asked.id;
      part.index = asked.index;
      part.term = asked.term;
      part.kind = asked.kind;
      SnapshotManifest manifest = snapshot_at(index);
      manifest.files.push_back({.name = "000001.sst", .size = 1, .checksum = 1});
      auto bytes = wire::encode_snapshot_manifest(manifest);
      bytes.back() ^= 1;
      part.bytes = wire::Bytes::copy_of(bytes);
      follower.snapshots->on_part(std::move(part));
      CHECK(follower.requests.back().kind == wire::SnapshotRequestKind::kGivenUp);
      CHECK(follower.requests.back().problem == wire::SnapshotProblem::kManifest);
      follower.executor.run_all();
    }
    follower.snapshots->on_tick();
  }
  return fetches;
}

}  // namespace

TEST_CASE("a snapshot that comes damaged is fetched again after pauses that grow, told of once") {
  Follower follower(8, {}, Follower::kThreshold, 0, [](SnapshotsOptions& options) {
    options.fetch_pause_ticks_min = 10;
    options.fetch_pause_ticks_max = 40;
  });
  CHECK(fetches_of_damaged(follower, 20, 10) == 1);
  CHECK(fetches_of_damaged(follower, 20, 20) == 1);
  CHECK(fetches_of_damaged(follower, 20, 40) == 1);
  CHECK(follower.problems == 1);
  // Another one is news, and waits as long.
  CHECK(fetches_of_damaged(follower, 21, 40) == 1);
  CHECK(follower.problems == 2);
}

}  // namespace bib::engine
