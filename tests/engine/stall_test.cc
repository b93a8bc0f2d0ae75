// A leader whose disk stalls: a real log thread over a disk that holds its sync, the real driver
// and consensus of three nodes, the messages between them carried by hand.
#include <catch2/catch.hpp>

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>

#include "driver_sides.h"
#include "engine/node/disk_watch.h"
#include "engine/uv/log_thread.h"
#include "faulty_file_system.h"
#include "support/test_support.h"
#include "wire/base/check.h"
#include "wire/log/entry.h"
#include "wire/model/event.h"

namespace bib::engine {
namespace {

using namespace std::chrono_literals;
using consensus::Role;
using wire::LogIndex;
using wire::NodeId;

constexpr std::chrono::milliseconds kStallLimit{20};

wire::ClusterId cluster_id() {
  wire::ClusterId id;
  id.bytes[0] = 1;
  return id;
}

class NoSnapshots final : public SnapshotKeeper {
 public:
  void send_snapshot(NodeId, LogIndex) override { FAIL("no log is ever cut here"); }
  void receive_snapshot(NodeId, wire::LogPosition) override { FAIL("nobody sends one"); }
  void on_install_durable(wire::LogPosition) override { FAIL("nothing is installed"); }
};

// A disk in memory, behind the log thread that a node has; its sync can be held.
class Disk final : public LogSink {
 public:
  explicit Disk(NodeId node) {
    LogStoreOptions options;
    options.cluster = cluster_id();
    options.node = node;
    options.segment_bytes = wire::kSegmentSizeMin;
    options.schema = wire::event_schema();
    options.random = [] { return std::uint64_t{7}; };
    options.now_us = [] { return std::int64_t{1}; };
    BIB_CHECK(files_.make_directories("log").has_value());
    auto opened = LogStore::open(files_, "log", options);
    REQUIRE(opened);
    files_.before_sync([this] { pass(); });
    LogThreadOptions thread;
    thread.watermark_after = 1h;
    thread.on_durable = [this](const LogDurable& durable) {
      const std::lock_guard lock(mutex_);
      durable_ = durable.append_sequence;
    };
    thread_ = std::make_unique<LogThread>(std::move(opened->store), thread);
  }
  ~Disk() override { hold(false); }

  void hold(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  std::uint64_t durable() const {
    const std::lock_guard lock(mutex_);
    return durable_;
  }
  std::chrono::microseconds running() const { return thread_->metrics().append_running; }

  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes> entries) override {
    LogStoreWrite out;
    out.append_sequence = write.append_sequence;
    if (write.hard_state) {
      out.hard_state = wire::HardState{write.hard_state->term, write.hard_state->vote};
    }
    out.truncate_from = write.truncate_from;
    out.entries = std::move(entries);
    REQUIRE(thread_->submit(std::move(out)));
  }
  void read(std::uint64_t, LogIndex, LogIndex, std::size_t) override {
    FAIL("everything is in the cache");
  }

 private:
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !held_; });
  }

  FaultyFileSystem files_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  std::uint64_t durable_ = 0;
  std::unique_ptr<LogThread> thread_;
};

class Nodes final : public PeerSender {
 public:
  Nodes() {
    consensus::Restored restored;
    wire::Membership membership;
    for (std::uint64_t id = 1; id <= 3; ++id) {
      membership.voters.push_back(NodeId(id));
      membership.members.push_back({NodeId(id), "", "", true});
    }
    restored.memberships = {{LogIndex(), membership}};
    RaftDriverOptions options;
    options.cluster = cluster_id();
    for (const NodeId id : membership.voters) {
      Node& node = nodes_[id];
      node.disk = std::make_unique<Disk>(id);
      consensus::RaftConfig config;
      config.self = id;
      node.driver = std::make_unique<RaftDriver>(config, restored, options, *node.disk, *this,
                                                 rows_, snapshots_, clock_);
    }
  }

  RaftDriver& driver(NodeId id) { return *nodes_.at(id).driver; }
  const consensus::Raft& raft(NodeId id) { return driver(id).raft(); }
  Disk& disk(NodeId id) { return *nodes_.at(id).disk; }

  void send(const wire::PeerMessage& message) override { network_.push_back(message); }

  // Whatever the nodes can do now; each looks at its disk as a running node does.
  void turn() {
    for (auto& [id, node] : nodes_) {
      if (const auto stalled = node.watch.look(node.disk->running())) {
        node.driver->on_disk_stalled(*stalled);
      }
      const std::uint64_t durable = node.disk->durable();
      if (durable > node.told) node.driver->on_durable(node.told = durable);
      REQUIRE(node.driver->run_effects());
    }
    while (!network_.empty()) {
      wire::PeerMessage message = std::move(network_.front());
      network_.pop_front();
      RaftDriver& to = driver(message.to);
      to.on_message(std::move(message));
      REQUIRE(to.run_effects());
    }
  }
  bool happens(const std::function<bool()>& condition) {
    return support::wait_until(
        [&] {
          turn();
          return condition();
        },
        20s);
  }

  void propose(NodeId leader) {
    const wire::LogPosition place = raft(leader).next_proposal();
    const wire::EntryStamp stamp{cluster_id(), place.term, place.index, 1};
    REQUIRE(driver(leader).propose(wire::make_noop_entry(stamp)));
  }

 private:
  struct Node {
    std::unique_ptr<Disk> disk;
    std::unique_ptr<RaftDriver> driver;
    DiskWatch watch{kStallLimit};
    std::uint64_t told = 0;
  };
  QuietClock clock_;
  QuietApplier rows_;
  NoSnapshots snapshots_;
  std::map<NodeId, Node> nodes_;
  std::deque<wire::PeerMessage> network_;
};

}  // namespace

TEST_CASE("a stall is told once when it begins and once when it ends") {
  DiskWatch watch(500ms);
  CHECK_FALSE(watch.look(0us));
  CHECK_FALSE(watch.look(499ms));
  CHECK(watch.look(500ms) == true);
  CHECK_FALSE(watch.look(700ms));
  CHECK(watch.is_stalled());
  CHECK(watch.look(0us) == false);
  CHECK_FALSE(watch.look(3ms));
}

TEST_CASE(
    "a leader whose disk stalls hands over, and does not ask for votes until it has recovered") {
  constexpr NodeId kFirst{1};
  Nodes nodes;
  for (int i = 0; i < 30 && nodes.raft(kFirst).role() == Role::kFollower; ++i) {
    nodes.driver(kFirst).tick();
  }
  REQUIRE(nodes.happens([&] { return nodes.raft(kFirst).has_committed_own_term(); }));
  nodes.propose(kFirst);
  REQUIRE(nodes.happens([&] { return nodes.raft(kFirst).durable_index() == LogIndex(2); }));

  nodes.disk(kFirst).hold(true);
  nodes.propose(kFirst);
  const auto another_leads = [&] {
    return nodes.raft(NodeId(2)).role() == Role::kLeader ||
           nodes.raft(NodeId(3)).role() == Role::kLeader;
  };
  REQUIRE(nodes.happens(another_leads));
  const NodeId next = nodes.raft(NodeId(2)).role() == Role::kLeader ? NodeId(2) : NodeId(3);
  // What was under way is committed without that disk.
  REQUIRE(nodes.happens([&] { return nodes.raft(next).commit() >= LogIndex(3); }));
  CHECK(nodes.raft(kFirst).durable_index() == LogIndex(2));
  CHECK(nodes.raft(kFirst).role() == Role::kFollower);

  // It hears nobody for many election timeouts: it asks for no votes.
  const wire::Term term = nodes.raft(kFirst).term();
  for (int i = 0; i < 200; ++i) nodes.driver(kFirst).tick();
  CHECK(nodes.raft(kFirst).role() == Role::kFollower);
  CHECK(nodes.raft(kFirst).term() == term);

  nodes.disk(kFirst).hold(false);
  nodes.propose(next);
  REQUIRE(nodes.happens([&] {
    nodes.driver(next).tick();
    return nodes.raft(kFirst).durable_index() == nodes.raft(next).last_index();
  }));
  CHECK(nodes.raft(next).role() == Role::kLeader);
}

TEST_CASE("when every disk stalls the leader stays") {
  constexpr NodeId kFirst{1};
  Nodes nodes;
  for (int i = 0; i < 30 && nodes.raft(kFirst).role() == Role::kFollower; ++i) {
    nodes.driver(kFirst).tick();
  }
  REQUIRE(nodes.happens([&] { return nodes.raft(kFirst).has_committed_own_term(); }));
  REQUIRE(nodes.happens([&] {
    return nodes.raft(NodeId(2)).durable_index() == LogIndex(1) &&
           nodes.raft(NodeId(3)).durable_index() == LogIndex(1);
  }));
  const wire::Term term = nodes.raft(kFirst).term();
  for (std::uint64_t id = 1; id <= 3; ++id) nodes.disk(NodeId(id)).hold(true);
  nodes.propose(kFirst);
  nodes.turn();
  REQUIRE(nodes.happens([&] {
    for (std::uint64_t id = 1; id <= 3; ++id) {
      if (nodes.disk(NodeId(id)).running() < 2 * kStallLimit) return false;
    }
    return true;
  }));
  nodes.turn();
  CHECK(nodes.raft(kFirst).role() == Role::kLeader);
  CHECK_FALSE(nodes.raft(kFirst).is_transferring());
  for (std::uint64_t id = 1; id <= 3; ++id) nodes.disk(NodeId(id)).hold(false);
  REQUIRE(nodes.happens([&] { return nodes.raft(kFirst).commit() == LogIndex(2); }));
  CHECK(nodes.raft(kFirst).term() == term);
}

}  // namespace bib::engine
