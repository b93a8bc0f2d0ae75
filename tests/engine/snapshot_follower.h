// Snapshots alone, beside the driver of a node that follows: what its ports hear is kept, jobs wait
// until they are let go.
#pragma once

#include <catch2/catch.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "driver_sides.h"
#include "engine/node/snapshots.h"
#include "snapshot_fixture.h"

namespace bib::engine {

using wire::LogIndex;
using wire::NodeId;
using wire::SnapshotManifest;
using wire::Term;

inline const NodeId kSelf(1);
inline const NodeId kLeader(2);

inline wire::Membership two_voters() {
  wire::Membership membership;
  for (const NodeId id : {kSelf, kLeader}) {
    membership.voters.push_back(id);
    membership.members.push_back({id, "a:1", "a:2", true, 0});
  }
  return membership;
}

inline SnapshotManifest snapshot_at(std::uint64_t index) {
  SnapshotManifest manifest;
  manifest.cluster = test_options().cluster;
  manifest.node = kSelf;
  manifest.index = LogIndex(index);
  manifest.term = Term(1);
  manifest.membership = two_voters();
  return manifest;
}

// A follower with ten durable entries, of which `commit` are committed and applied; snapshots of
// `found` are on its disk.
class Follower final : public LogSink,
                       public QuietPeers,
                       public QuietApplier,
                       public SnapshotHost,
                       public SnapshotPort {
 public:
  static constexpr std::uint64_t kEntries = 10;
  static constexpr std::uint64_t kThreshold = 100;

  Follower(
      std::uint64_t commit, const std::vector<std::uint64_t>& found,
      std::uint64_t threshold = kThreshold, std::uint64_t trailing_logs = 0,
      const std::function<void(SnapshotsOptions&)>& adjust = [](SnapshotsOptions&) {}) {
    consensus::RaftConfig config;
    config.self = kSelf;
    consensus::Restored restored;
    restored.hard_state.term = Term(1);
    restored.memberships = {{LogIndex(), two_voters()}};
    SnapshotsOptions options;
    options.data_directory = kDataDirectory;
    options.cluster = test_options().cluster;
    options.node = kSelf;
    options.threshold = threshold;
    options.trailing_logs = trailing_logs;
    options.retry_ticks = 5;
    adjust(options);
    FoundSnapshots on_disk;
    for (const std::uint64_t index : found) on_disk.snapshots.push_back(snapshot_at(index));
    snapshots = std::make_unique<Snapshots>(options, std::move(on_disk), files, executor, *this,
                                            *this, clock);
    RaftDriverOptions driving;
    driving.cluster = options.cluster;
    driver = std::make_unique<RaftDriver>(config, restored, driving, *this, *this, *this,
                                          *snapshots, clock);
    snapshots->attach(*driver);
    append_all(commit);
    REQUIRE(driver->raft().applied() == LogIndex(commit));
  }

  void append_all(std::uint64_t commit) {
    driver->on_message(append_of(kLeader, kSelf, 1, kEntries, commit));
    REQUIRE(driver->run_effects());
    for (const std::uint64_t sequence : std::exchange(writes, {})) driver->on_durable(sequence);
    REQUIRE(driver->run_effects());
  }

  // ---- LogSink
  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes>) override {
    writes.push_back(write.append_sequence);
  }
  void read(std::uint64_t, LogIndex, LogIndex, std::size_t) override { FAIL("a read"); }
  // ---- SnapshotHost, SnapshotPort
  void checkpoint(const std::string&,
                  std::function<void(wire::Result<projections::StateMark>)> done) override {
    checkpoints.push_back(std::move(done));
  }
  void exchange_state(std::function<wire::Status()>, std::function<void(wire::Status)>) override {
    FAIL("an exchange");
  }
  void compact_log(LogIndex index) override { cuts.push_back(index.value()); }
  void on_snapshot_failure(const wire::Error& error) override { FAIL(error.message); }
  void on_state_damage(const wire::Error& error) override { damage.push_back(error.message); }
  void log_snapshot_event(const std::string&, bool is_problem) override { problems += is_problem; }
  void send(const wire::SnapshotRequest& request) override { requests.push_back(request); }
  void send(const wire::SnapshotPart& part) override { parts.push_back(part); }

  // `from` asks for the manifest of the snapshot at `index`, or says that it is busy with it.
  void ask(NodeId from, std::uint64_t index,
           wire::SnapshotRequestKind kind = wire::SnapshotRequestKind::kManifest) {
    wire::SnapshotRequest request;
    request.from = from;
    request.to = kSelf;
    request.index = LogIndex(index);
    request.term = Term(1);
    request.kind = kind;
    snapshots->on_request(request);
  }
  std::uint64_t entry_bytes() const { return driver->raft().log().size_of(LogIndex(1)); }

  QuietClock clock;
  FaultyFileSystem files;
  ManualExecutor executor;
  std::vector<std::uint64_t> writes;
  std::vector<std::uint64_t> cuts;
  std::vector<wire::SnapshotRequest> requests;
  std::vector<wire::SnapshotPart> parts;
  std::vector<std::function<void(wire::Result<projections::StateMark>)>> checkpoints;
  std::vector<std::string> damage;
  int problems = 0;
  std::unique_ptr<Snapshots> snapshots;
  std::unique_ptr<RaftDriver> driver;
};

}  // namespace bib::engine
