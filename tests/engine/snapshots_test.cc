// Snapshots alone, beside a follower's driver: when it makes a snapshot, and how far it
// cuts the log.
#include "engine/node/snapshots.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "snapshot_follower.h"

namespace bib::engine {
namespace {

using wire::LogIndex;
using wire::NodeId;
using wire::SnapshotManifest;
using wire::Term;

using Cuts = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("the log is cut up to the newest snapshot, less what is kept, and once") {
  Follower all(8, {3, 6});
  all.snapshots->on_tick();
  all.snapshots->on_tick();
  CHECK(all.cuts == Cuts{6});
  Follower some(8, {3, 6}, Follower::kThreshold, 5);
  some.snapshots->on_tick();
  CHECK(some.cuts == Cuts{5});
  Follower enough(8, {3, 6}, Follower::kThreshold, Follower::kEntries);
  enough.snapshots->on_tick();
  CHECK(enough.cuts.empty());
}

TEST_CASE("a fetched snapshot that is ahead of what is applied is no reason to cut the log") {
  Follower lags(8, {9});
  lags.snapshots->on_tick();
  CHECK(lags.cuts.empty());
  Follower has_older(8, {3, 9});
  has_older.snapshots->on_tick();
  CHECK(has_older.cuts == Cuts{3});
  // Not even one whose place the log has: nobody has said yet that it is committed.
  Follower has_nothing(0, {9});
  has_nothing.snapshots->on_tick();
  CHECK(has_nothing.cuts.empty());
}

TEST_CASE("a snapshot is made when enough was applied since the last one") {
  Follower enough(8, {3}, 5);
  enough.snapshots->on_tick();
  CHECK(enough.executor.waiting() == 1);
  Follower too_little(8, {3}, 6);
  too_little.snapshots->on_tick();
  CHECK(too_little.executor.waiting() == 0);
  Follower ahead(8, {9}, 1);
  ahead.snapshots->on_tick();
  CHECK(ahead.executor.waiting() == 0);
}

TEST_CASE("one snapshot is made at a time, and one that fails is tried again after a pause") {
  Follower follower(8, {}, 5);
  for (int i = 0; i < 3; ++i) follower.snapshots->on_tick();
  CHECK(follower.executor.waiting() == 1);
  follower.executor.run_all();
  REQUIRE(follower.checkpoints.size() == 1);
  std::vector<wire::ErrorCode> told;
  follower.snapshots->make([&](const wire::Result<SnapshotPtr>& made) {
    REQUIRE_FALSE(made);
    told.push_back(made.error().code);
  });
  CHECK(follower.executor.waiting() == 0);  // the one under way is its answer, too
  follower.checkpoints.front()(wire::fail(wire::ErrorCode::kIo, "no"));
  CHECK(told == std::vector{wire::ErrorCode::kIo});
  CHECK(follower.problems == 1);
  CHECK(follower.cuts.empty());
  for (int i = 0; i < 4; ++i) follower.snapshots->on_tick();
  CHECK(follower.executor.waiting() == 0);
  follower.snapshots->on_tick();
  CHECK(follower.executor.waiting() == 1);
}

TEST_CASE(
    "a snapshot is refused while nothing is applied, and the newest one answers for its place") {
  Follower empty(0, {});
  bool is_refused = false;
  empty.snapshots->make([&](const wire::Result<SnapshotPtr>& made) {
    is_refused = !made && made.error().code == wire::ErrorCode::kRefused;
  });
  CHECK(is_refused);
  Follower has(8, {8});
  std::uint64_t index = 0;
  has.snapshots->make(
      [&](const wire::Result<SnapshotPtr>& made) { index = (*made)->index.value(); });
  CHECK(index == 8);
  CHECK(has.executor.waiting() == 0);
}

TEST_CASE("no snapshot is made of rows that are not to be believed, also where one was begun") {
  Follower follower(8, {}, 5);
  follower.snapshots->on_tick();
  follower.executor.run_all();
  REQUIRE(follower.checkpoints.size() == 1);
  follower.snapshots->withhold(wire::Error{wire::ErrorCode::kRefused, "other rows"});
  projections::StateMark mark;
  mark.applied_index = wire::LogIndex(8);
  follower.checkpoints.front()(mark);
  follower.executor.run_all();
  CHECK(follower.snapshots->store().list().empty());
  std::string told;
  follower.snapshots->make(
      [&](const wire::Result<SnapshotPtr>& made) { told = made ? "" : made.error().message; });
  CHECK(told == "other rows");
  for (int i = 0; i < 20; ++i) follower.snapshots->on_tick();
  CHECK(follower.executor.waiting() == 0);
  CHECK(follower.cuts.empty());
  follower.snapshots->withhold(std::nullopt);
  follower.snapshots->on_tick();
  CHECK(follower.executor.waiting() == 1);
}

// All entries of these tests are of one size.
std::uint64_t bytes_of(std::uint64_t entries) {
  return entries * Follower(8, {}).entry_bytes();
}

TEST_CASE("the log is cut by entries or by bytes, whichever keeps less") {
  const auto keep_bytes = [](std::uint64_t bytes) {
    return [bytes](SnapshotsOptions& options) { options.trailing_bytes = bytes; };
  };
  Follower by_bytes(8, {7}, Follower::kThreshold, Follower::kEntries, keep_bytes(bytes_of(4)));
  by_bytes.snapshots->on_tick();
  CHECK(by_bytes.cuts == Cuts{6});
  // What is not whole is not kept.
  Follower less(8, {7}, Follower::kThreshold, Follower::kEntries, keep_bytes(bytes_of(5) - 1));
  less.snapshots->on_tick();
  CHECK(less.cuts == Cuts{6});
  Follower by_entries(8, {7}, Follower::kThreshold, 5, keep_bytes(bytes_of(6)));
  by_entries.snapshots->on_tick();
  CHECK(by_entries.cuts == Cuts{5});
  // Never beyond the snapshot.
  Follower none(8, {7}, Follower::kThreshold, Follower::kEntries, keep_bytes(0));
  none.snapshots->on_tick();
  CHECK(none.cuts == Cuts{7});
}

TEST_CASE("a snapshot by entries waits for its bytes, and by bytes for no entries") {
  const auto with = [](std::uint64_t bytes_min, std::uint64_t bytes_max) {
    return [=](SnapshotsOptions& options) {
      options.bytes_min = bytes_min;
      options.bytes_max = bytes_max;
    };
  };
  const auto is_made = [](const Follower& follower) { return follower.executor.waiting() == 1; };
  Follower small(8, {3}, 2, 0, with(bytes_of(5) + 1, UINT64_MAX));
  small.snapshots->on_tick();
  CHECK_FALSE(is_made(small));
  Follower enough(8, {3}, 2, 0, with(bytes_of(5), UINT64_MAX));
  enough.snapshots->on_tick();
  CHECK(is_made(enough));
  Follower large(8, {3}, Follower::kThreshold, 0, with(0, bytes_of(5)));
  large.snapshots->on_tick();
  CHECK(is_made(large));
  Follower not_large(8, {3}, Follower::kThreshold, 0, with(0, bytes_of(5) + 1));
  not_large.snapshots->on_tick();
  CHECK_FALSE(is_made(not_large));
}

TEST_CASE("after a snapshot that took long there is a pause, unless the log outgrows it") {
  constexpr int kTicksMaking = 20;
  const auto ticks_until_next = [](std::uint64_t bytes_max) {
    Follower follower(8, {3}, Follower::kThreshold, 0,
                      [&](SnapshotsOptions& options) { options.bytes_max = bytes_max; });
    follower.snapshots->on_tick();
    follower.executor.run_all();
    REQUIRE(follower.checkpoints.size() == 1);
    for (int i = 0; i < kTicksMaking; ++i) follower.snapshots->on_tick();
    projections::StateMark mark;  // the rows are those of the snapshot that it has
    mark.applied_index = LogIndex(3);
    mark.applied_term = Term(1);
    follower.checkpoints.front()(mark);
    for (int ticks = 1; ticks < 1000; ++ticks) {
      follower.snapshots->on_tick();
      if (follower.executor.waiting() == 1) return ticks;
    }
    return 0;
  };
  CHECK(ticks_until_next(bytes_of(5)) == 4 * kTicksMaking);
  CHECK(ticks_until_next(bytes_of(5) / 4) == 1);
}

TEST_CASE("a snapshot that is fetched holds the log back, up to its bound") {
  const auto hold = [](std::uint64_t bytes) {
    return [bytes](SnapshotsOptions& options) { options.held_bytes_max = bytes; };
  };
  Follower holds(8, {3, 7}, Follower::kThreshold, 0, hold(bytes_of(4)));
  holds.ask(kLeader, 3);
  holds.snapshots->on_tick();
  CHECK(holds.cuts == Cuts{3});

  Follower too_much(8, {3, 7}, Follower::kThreshold, 0, hold(bytes_of(4) - 1));
  too_much.ask(kLeader, 3);
  too_much.executor.run_all();
  too_much.snapshots->on_tick();
  CHECK(too_much.cuts == Cuts{7});
  // The other side is told when it asks again, and may have the newer one.
  too_much.parts.clear();
  too_much.ask(kLeader, 3);
  REQUIRE(too_much.parts.size() == 1);
  CHECK(too_much.parts.front().status == wire::SnapshotPartStatus::kGone);
  too_much.ask(kLeader, 7);
  CHECK(too_much.executor.waiting() == 1);
}

TEST_CASE("who says that it is busy, and gets no further, holds the log back for a while only") {
  Follower follower(8, {3, 7}, Follower::kThreshold, 0, [](SnapshotsOptions& options) {
    options.sender.silent_ticks = 10;
    options.sender.stuck_ticks = 100;
  });
  follower.ask(kLeader, 3);
  for (int i = 0; i < 99; ++i) {
    follower.ask(kLeader, 3, wire::SnapshotRequestKind::kStillBusy);
    follower.snapshots->on_tick();
  }
  CHECK(follower.cuts == Cuts{3});
  for (int i = 0; i < 2; ++i) {
    follower.ask(kLeader, 3, wire::SnapshotRequestKind::kStillBusy);
    follower.snapshots->on_tick();
  }
  CHECK(follower.cuts == Cuts{3, 7});
  follower.ask(kLeader, 3, wire::SnapshotRequestKind::kStillBusy);  // changes nothing any more
  follower.snapshots->on_tick();
  CHECK(follower.cuts == Cuts{3, 7});
}

TEST_CASE("who is no member is sent no snapshot, and holds nothing back") {
  Follower follower(8, {3, 7});
  follower.ask(NodeId(9), 3, wire::SnapshotRequestKind::kStillBusy);
  CHECK(follower.parts.empty());
  follower.ask(NodeId(9), 3);
  REQUIRE(follower.parts.size() == 1);
  CHECK(follower.parts.front().status == wire::SnapshotPartStatus::kGone);
  CHECK(follower.executor.waiting() == 0);
  follower.snapshots->on_tick();
  CHECK(follower.cuts == Cuts{7});
}

namespace {

// The leader offers a snapshot, and its manifest says that it is far larger than the disk.
struct SmallDisk {
  SmallDisk()
      : follower(8, {}, Follower::kThreshold, 0, [](SnapshotsOptions& options) {
          options.fetch_pause_ticks_min = 10;
          options.fetch_pause_ticks_max = 40;
        }) {
    follower.files.limit_space(1000);
    manifest.files.push_back({.name = "000001.sst", .size = 2000, .checksum = 1});
  }

  // How many manifests were asked for, one offer a tick.
  int fetches_in(int ticks) {
    int fetches = 0;
    for (int i = 0; i < ticks; ++i) {
      follower.requests.clear();
      follower.snapshots->receive_snapshot(kLeader, manifest.position());
      REQUIRE(follower.requests.size() == 1);
      const wire::SnapshotRequest asked = follower.requests.front();
      if (asked.kind == wire::SnapshotRequestKind::kManifest) {
        ++fetches;
        answer(asked);
      } else {
        CHECK(asked.kind == wire::SnapshotRequestKind::kGivenUp);
      }
      follower.snapshots->on_tick();
    }
    return fetches;
  }

  void answer(const wire::SnapshotRequest& asked) {
    wire::SnapshotPart part;
    part.from = kLeader;
    part.id = asked.id;
    part.index = asked.index;
    part.term = asked.term;
    part.kind = asked.kind;
    part.bytes = wire::Bytes::copy_of(wire::encode_snapshot_manifest(manifest));
    follower.snapshots->on_part(std::move(part));
    follower.executor.run_all();
  }

  Follower follower;
  SnapshotManifest manifest = snapshot_at(20);
};

}  // namespace

TEST_CASE("a snapshot for which there is no room is asked for less and less often, told of once") {
  SmallDisk small;
  CHECK(small.fetches_in(10) == 1);
  CHECK(small.follower.snapshots->fetches_failed() == 1);
  CHECK(small.fetches_in(20) == 1);
  CHECK(small.fetches_in(40) == 1);
  CHECK(small.fetches_in(79) == 2);
  CHECK(small.follower.snapshots->waits_to_fetch());
  CHECK(small.follower.snapshots->fetches_failed() == 5);
  CHECK(small.follower.problems == 1);
}

TEST_CASE("who gives up its snapshots again and again is known") {
  Follower follower(8, {3});
  for (int i = 0; i < 2; ++i) {
    CHECK_FALSE(follower.snapshots->fails_to_fetch(kLeader));
    follower.ask(kLeader, 3);
    follower.ask(kLeader, 3, wire::SnapshotRequestKind::kGivenUp);
  }
  CHECK(follower.snapshots->fails_to_fetch(kLeader));
  follower.ask(kLeader, 3);
  follower.ask(kLeader, 3, wire::SnapshotRequestKind::kInstalled);
  CHECK_FALSE(follower.snapshots->fails_to_fetch(kLeader));
}

}  // namespace bib::engine
