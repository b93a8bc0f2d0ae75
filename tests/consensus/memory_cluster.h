// MemoryCluster: several Raft instances in one process, with a disk that forgets what was not
// synced, a network that one moves by hand, and checkers that watch every step.
//
// A test's own object; single-threaded and deterministic. A violated promise throws
// std::runtime_error with what, where and when. Watched, after every single input:
//   - one leader in a term, also across crashes (Raft figure 3: election safety);
//   - one vote of a node in a term, also across crashes;
//   - a new leader has everything that was ever committed (leader completeness);
//   - what is committed is on the disks of a quorum, stays, and is the same everywhere (state
//     machine safety);
//   - an acknowledged entry is on the acknowledging node's disk;
//   - equal (index, term) means equal logs up to there (log matching; check_logs());
//   - a linearizable read sees all that was committed anywhere when it was asked.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "consensus/raft.h"

namespace bib::consensus::test {

using wire::LogIndex;
using wire::Membership;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

// What stands for an entry's bytes: no two entries ever made have the same tag.
struct Content {
  Term term;
  std::uint64_t tag = 0;
  std::uint32_t size = 0;
  std::optional<Membership> membership;
};

struct Snapshot {
  wire::LogPosition last;
  Membership membership;
  std::vector<std::uint64_t> history;  // the tags of entries 1 .. last.index
};

struct Packet {
  PeerMessage message;
  std::vector<Content> contents;
  std::optional<Snapshot> snapshot;
  std::uint64_t acknowledged_tag = 0;  // of the entry at `match`, when the effects were taken
  bool is_late = false;                // made in an earlier term than that
};

// A LogWrite with its bytes, on its way to the disk.
struct PendingWrite {
  LogWrite write;
  std::vector<Content> contents;
  Membership reset_membership;
  std::vector<Packet> after_sync;
};

struct Disk {
  wire::HardState hard_state;
  wire::LogPosition base;
  Membership base_membership;
  std::deque<Content> entries;
  std::optional<Snapshot> snapshot;

  LogIndex last() const { return base.index + entries.size(); }
  const Content* at(LogIndex index) const;
  // Whether the entry, or a snapshot that includes it, survives a crash.
  bool holds(LogIndex index, std::uint64_t tag) const;
  // `steps` of the write's parts in order; all of them when it is large.
  void apply(const PendingWrite& pending, std::size_t steps);
};

struct MemoryNode {
  NodeId id;
  Disk disk;
  bool disk_is_stalled = false;     // settle() leaves it alone
  std::unique_ptr<Raft> raft;       // none: crashed
  std::deque<PendingWrite> writes;  // handed to the disk, not durable yet
  wire::LogPosition cache_base;
  std::deque<Content> cache;           // the log's contents after cache_base
  std::vector<std::uint64_t> history;  // the tags of what is applied
  LogIndex commit_checked;
  Term leader_checked;
  // Outcomes, for stories.
  std::map<std::uint64_t, LogIndex> reads_ready;
  std::map<std::uint64_t, ReadRefusal> reads_refused;
  std::set<NodeId> dropped_peers;
  std::optional<TransferOutcome> transfer;
  std::vector<NodeId> snapshots_under_way;  // to these

  bool is_up() const { return raft != nullptr; }
  const Content* at(LogIndex index) const;
};

struct ClusterOptions {
  RaftConfig config;
  std::uint64_t seed = 1;
  // pump() after every input; otherwise the test decides when a turn ends.
  bool pump_at_once = true;
};

class MemoryCluster {
 public:
  using Link = std::pair<NodeId, NodeId>;

  explicit MemoryCluster(const ClusterOptions& options) : options_(options) {}

  // A node that starts with this membership, and nothing in its log.
  void add_node(NodeId id, const Membership& membership);
  MemoryNode& node(NodeId id);
  Raft& raft(NodeId id) { return *node(id).raft; }
  std::vector<NodeId> ids() const;
  std::vector<NodeId> ids_up() const;

  // ---- inputs ----
  void tick(NodeId id);
  tl::expected<ProposedAt, ProposeRefusal> propose(NodeId id, std::uint32_t size = 100);
  wire::Status change(NodeId id, const std::vector<MembershipChange>& changes);
  void request_read(NodeId id, std::uint64_t token);
  void disconnect(NodeId at, NodeId peer);
  void connect(NodeId at, NodeId peer);
  void silence(NodeId at, NodeId peer);  // `at` is told that `peer` answers no probe
  void notice_stall(NodeId id, bool stalled);
  void transfer(NodeId id, std::optional<NodeId> target);
  void compact(NodeId id, LogIndex index);
  void report_snapshot_sent(NodeId id, NodeId to, bool ok);

  // Takes the node's effects and works them off, up to the disk and the network.
  void pump(NodeId id);

  // ---- the disk ----
  // The oldest write becomes durable. False when there is none.
  bool sync_one(NodeId id);
  // Of the writes under way the first `writes` have reached the disk, and `parts` of the next.
  void crash(NodeId id, std::size_t writes = 0, std::size_t parts = 0);
  void restart(NodeId id);

  // ---- the network ----
  std::deque<Packet>& link(NodeId from, NodeId to) { return network_[{from, to}]; }
  std::map<Link, std::deque<Packet>>& network() { return network_; }
  void cut(NodeId a, NodeId b) { cut_.insert(std::minmax(a, b)); }
  void mend(NodeId a, NodeId b) { cut_.erase(std::minmax(a, b)); }
  void mend_all() { cut_.clear(); }
  bool is_cut(NodeId a, NodeId b) const { return cut_.count(std::minmax(a, b)) > 0; }
  // Delivers the packet at a place in the link's queue, and takes it out (or leaves a copy).
  void deliver(NodeId from, NodeId to, std::size_t place = 0, bool keep = false);
  // Delivers and syncs until nothing moves.
  void settle();

  // ---- checks ----
  void check_logs() const;
  LogIndex committed_anywhere() const { return LogIndex(committed_.size()); }
  std::uint64_t leaders_elected() const { return leaders_.size(); }
  std::optional<NodeId> leader() const;  // of the latest term
  // One line for each node.
  std::string describe() const;
  // Over every message ever sent: equal runs, equal numbers.
  std::uint64_t trace() const { return trace_; }

 private:
  void make_raft(MemoryNode& node);
  void after_input(MemoryNode& node);
  void take_effects(MemoryNode& node);
  void work_off(MemoryNode& node, Effects effects);
  void accept(MemoryNode& node, const Packet& packet);
  void install(MemoryNode& node, const Snapshot& snapshot);
  Packet pack(MemoryNode& node, PeerMessage message);
  void put_on_network(Packet packet);
  Content make_content(Term term, std::uint32_t size);

  void check_packet(const Packet& packet);
  void check_commit(MemoryNode& node);
  void check_leader(MemoryNode& node);
  [[noreturn]] void violated(const std::string& what) const;

  ClusterOptions options_;
  std::map<NodeId, MemoryNode> nodes_;
  std::map<Link, std::deque<Packet>> network_;
  std::set<std::pair<NodeId, NodeId>> cut_;
  std::uint64_t next_tag_ = 1;
  std::uint64_t boots_ = 0;
  std::uint64_t trace_ = 14695981039346656037ULL;

  std::map<Term, NodeId> leaders_;
  std::map<std::pair<NodeId, Term>, NodeId> votes_;  // (voter, term) -> candidate
  std::vector<std::uint64_t> committed_;             // tags, from index 1
  std::map<std::pair<NodeId, std::uint64_t>, LogIndex> reads_asked_;
};

}  // namespace bib::consensus::test
