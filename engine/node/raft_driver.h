// RaftDriver: turns the consensus core's effects into work, through four small interfaces, so that
// a simulator drives this same file.
//
// Lives on the node loop. Inputs (ticks, messages, completions, proposals) are recorded as they
// come; run_effects() is called once per turn and does everything that they asked for, in this
// order: messages to the peers, then the disk, then applying. Owns the core and the cache of recent
// entries. A failure that the node must not survive is returned by run_effects(): the caller stops.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "consensus/raft.h"
#include "engine/node/append_backlog.h"
#include "engine/node/entry_cache.h"
#include "engine/node/freshness.h"
#include "engine/ports/clock.h"
#include "engine/ports/peer_port.h"
#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/mutant.h"
#include "wire/base/result.h"

namespace bib::engine {

// The log, for what must be durable. Asynchronous: answers come as on_durable() and on_log_read().
class LogSink {
 public:
  virtual ~LogSink() = default;
  // Strictly in order. `entries` are write.first .. write.last; write.reset_membership belongs to
  // write.reset_to.
  virtual void submit(const consensus::LogWrite& write, std::vector<wire::Bytes> entries) = 0;
  // Reads durable entries first .. last, at least one and then up to about `bytes_max`.
  virtual void read(std::uint64_t token, wire::LogIndex first, wire::LogIndex last,
                    std::size_t bytes_max) = 0;
};

// Who asks for a confirmed read, and is told how it went.
enum class ReadAsker : std::uint8_t { kQueries, kCommands, kMembershipChanges };

// What the log is for.
class Applier {
 public:
  virtual ~Applier() = default;
  // Every committed entry, once, in order. An error stops the node.
  virtual wire::Status apply(const wire::Bytes& entry) = 0;
  // False: what was applied has to be stored first. Entries are written and acknowledged meanwhile,
  // and applied in the turn that follows the store's answer.
  virtual bool takes_more() const { return true; }
  // A heartbeat or its reply leaves now: what consensus does not know of may be added to it.
  virtual void on_heartbeat(wire::PeerMessage&) {}
  virtual void on_role(const consensus::RoleChange& change) = 0;
  virtual void on_membership(const wire::Membership& membership) = 0;
  virtual void on_membership_committed(const consensus::MembershipAt&) {}
  // Nothing may be read here any more (Effects::conflict).
  virtual void on_conflict(const consensus::CommittedConflict&) {}
  // Applied far enough for the read that `asker` asked for: RaftDriver::request_read returned this
  // token.
  virtual void on_read_ready(ReadAsker asker, std::uint64_t token) = 0;
  virtual void on_read_refused(ReadAsker asker, std::uint64_t token,
                               consensus::ReadRefusal reason) = 0;
};

// Where snapshots are made, kept, sent, fetched and put in place, in their own time: each call
// returns at once, and the answers come back through the driver's functions for snapshots.
class SnapshotKeeper {
 public:
  virtual ~SnapshotKeeper() = default;
  // Leader: `to` needs entries that the log no longer has. Answered by offer_snapshot() with one at
  // `at_least` or above, and by snapshot_sent() when that has ended; or by snapshot_sent() alone.
  virtual void send_snapshot(wire::NodeId to, wire::LogIndex at_least) = 0;
  // Follower: `from` offers a snapshot that is ahead of this node. It is fetched, and then put in
  // place between begin_install() and finish_install(); or ignored, where one is under way.
  virtual void receive_snapshot(wire::NodeId from, wire::LogPosition last) = 0;
  // The log durably is at or after the installed snapshot: whatever would complete the
  // installation after a crash is not needed any more.
  virtual void on_install_durable(wire::LogPosition last) = 0;
};

struct RaftDriverOptions {
  wire::ClusterId cluster;
  std::size_t cache_bytes = 16U << 20;
  // A turn applies until it has applied so many bytes, or until so much time has passed since it
  // began to apply, whichever is first, and one entry in any case: a heartbeat is never late,
  // however long the rows take to read that an entry names. The next turn goes on.
  std::size_t apply_bytes_per_turn = 512U << 10;
  std::uint64_t apply_us_per_turn = 20'000;
  // The same for the confirmed reads that a turn answers, each of which may read a cold row.
  std::uint64_t reads_us_per_turn = 20'000;
  std::size_t read_bytes = 1U << 20;  // one read from the log's files
  // Per peer, waiting for such a read; more are taken back, and sent when these have left.
  std::size_t waiting_appends_max = 256;
  unsigned promote_every_ticks = 10;  // how often learners are looked at
  // Confirmed, and waiting for an entry to be applied or for a turn that has time.
  std::size_t reads_waiting_max = 65536;
  // Random in each run: what answers an earlier run of this node (a read that a leader confirms
  // late, the echo of a clock) fits nothing that this one has asked.
  std::uint64_t run_base = 0;
};

class RaftDriver {
 public:
  RaftDriver(const consensus::RaftConfig& config, const consensus::Restored& restored,
             RaftDriverOptions options, LogSink& log, PeerSender& peers, Applier& applier,
             SnapshotKeeper& snapshots, Clock& clock);

  // ---- inputs
  void tick();
  void on_message(wire::PeerMessage&& message);
  void on_peer_connected(wire::NodeId peer) { raft_.peer_connected(peer); }
  void on_peer_disconnected(wire::NodeId peer) { raft_.peer_disconnected(peer); }
  void on_peer_silent(wire::NodeId peer) { raft_.peer_silent(peer); }
  void on_disk_stalled(bool stalled) { raft_.disk_stalled(stalled); }
  // This node is not fit to decide or to lead; or (false) it is again.
  void stand_back(bool stands_back) {
    stands_back_ = stands_back;
    raft_.stand_back(stands_back);
  }
  bool stands_back() const { return stands_back_; }
  void on_durable(std::uint64_t append_sequence);
  void on_log_read(std::uint64_t token, wire::Result<std::vector<wire::Bytes>> entries);

  // ---- proposals (leader)
  // An entry that was built for raft().next_proposal().
  tl::expected<consensus::ProposedAt, consensus::ProposeRefusal> propose(wire::Bytes entry);
  // An empty list leaves the joint phase.
  wire::Status change_membership(std::span<const consensus::MembershipChange> changes,
                                 consensus::JointLeave leave = consensus::JointLeave::kAutomatic);
  // The token comes back to the Applier, in a later turn of the effects. Tokens ascend.
  std::uint64_t request_read(ReadAsker asker);
  wire::Result<wire::NodeId> transfer_leadership(
      std::optional<wire::NodeId> target = std::nullopt) {
    return raft_.transfer_leadership(target);
  }

  // ---- snapshots and compaction (SnapshotKeeper's answers)
  // Leader: this one goes to `to`. Where the log has been cut above it meanwhile, it is as if it
  // could not be sent.
  void offer_snapshot(wire::NodeId to, wire::LogPosition last);
  void snapshot_sent(wire::NodeId to, bool ok) { raft_.report_snapshot_sent(to, ok); }
  // Follower: false when this node has meanwhile committed as much by itself, leads, or installs
  // already.
  // After true nothing is applied until finish_install() or cancel_install(): the state may be
  // exchanged.
  bool begin_install(wire::LogPosition last);
  // The state is as it was.
  void cancel_install();
  // The state is at `last`, durably, and a crash from now on is completed at the next start:
  // the log is reset after it where it does not continue from there.
  void finish_install(wire::LogPosition last, const consensus::MembershipAt& membership);
  // The log's files now begin after `base` (applied, durable, and in a snapshot).
  void on_log_compacted(wire::LogIndex base) { raft_.compacted_to(base); }

  // ---- once per turn
  wire::Status run_effects();
  // run_effects() stopped at a limit: call it again in the next turn, do not wait for an input.
  bool has_more_work() const { return more_to_apply_ || has_read_to_answer(); }
  // The disk, or a quorum of the peers, will answer soon: a write is under way.
  bool awaits_answer() const {
    return !writes_.empty() ||
           (raft_.role() == consensus::Role::kLeader && raft_.commit() < raft_.last_index());
  }

  const consensus::Raft& raft() const { return raft_; }
  // A leader decides against all of the log before it: true once everything that it inherited is
  // applied.
  bool is_ready_to_decide() const;
  // The projections have forgotten what is on its way (a proposal failed): not ready again until
  // everything that is in the log now is applied.
  void decide_only_after_log();
  // The members' contact lines of the membership in effect.
  const std::vector<wire::Member>& members() const { return raft_.membership().members; }
  // Appends taken back because of waiting_appends_max.
  std::uint64_t appends_dropped() const { return appends_dropped_; }
  // What the log's files have of the log; nothing while a snapshot is put in place and until what
  // it does to the log is durable: the files may still have entries that it replaces.
  wire::LogIndex readable_index() const {
    if (BIB_MUTANT(kFeedsReplacedLog)) return raft_.durable_index();
    return installing_ || installed_ ? wire::LogIndex() : raft_.durable_index();
  }
  // How old the rows are at most; nullopt: not known (freshness.h).
  std::optional<std::uint64_t> age_us() const;

 private:
  struct AfterSync {
    std::uint64_t append_sequence;
    std::vector<wire::PeerMessage> messages;
  };

  void take_effects();
  void build_noops(const std::vector<wire::LogPosition>& places);
  void send(wire::PeerMessage&& message);
  void send_append(wire::PeerMessage&& message);
  bool attach_from_cache(wire::PeerMessage& message) const;
  void enqueue_after_read(wire::PeerMessage&& message);
  void read_for(wire::NodeId peer, AppendBacklog& backlog);
  void continue_backlog(wire::NodeId peer, const std::vector<wire::Bytes>& entries);
  void take_back_backlog(wire::NodeId peer);
  void submit(const consensus::LogWrite& write);
  void handle_notices(consensus::Effects& effects);
  wire::Status propose_membership_entry(const wire::Membership& membership);
  void promote_learners();
  bool keeps_quorum_in_reach(const wire::Membership& next) const;
  wire::Status apply_committed();
  bool take_entry_to_apply(wire::LogIndex index, wire::Bytes& entry);
  bool has_read_to_answer() const {
    return !reads_waiting_.empty() && reads_waiting_.begin()->first <= applied_;
  }
  void answer_reads();
  void report_exchanged_state();
  void report_durable_install();
  wire::EntryStamp stamp_for(wire::LogPosition place) const;
  std::uint64_t steady_us() const;

  RaftDriverOptions options_;
  LogSink& log_;
  PeerSender& peers_;
  Applier& applier_;
  SnapshotKeeper& snapshots_;
  Clock& clock_;
  consensus::Raft raft_;
  EntryCache cache_;
  Freshness freshness_;
  std::deque<AfterSync> after_sync_;
  std::deque<consensus::AppendDone> writes_;  // handed out, not yet durable
  std::map<wire::NodeId, AppendBacklog> backlogs_;
  std::map<std::uint64_t, wire::NodeId> reads_for_peers_;  // read token -> peer
  std::uint64_t next_read_token_ = 1;                      // of the log's reads
  std::uint64_t last_read_ = 0;                            // of those that a leader confirms
  std::uint64_t appends_dropped_ = 0;
  std::uint64_t apply_read_token_ = 0;
  std::deque<wire::Bytes> apply_buffer_;  // from the log's files; the first is apply_buffer_first_
  wire::LogIndex apply_buffer_first_;
  wire::LogIndex applied_;
  std::multimap<wire::LogIndex, std::uint64_t> reads_waiting_;  // by the index to be applied
  // The snapshot that is being put in place; then, until its reset (or what the log had not written
  // of it yet) is durable, the last write that this takes; 0: not handed out yet.
  struct Exchanged {
    wire::LogPosition last;
    consensus::MembershipAt membership;
  };
  std::optional<wire::LogPosition> installing_;
  std::optional<Exchanged> exchanged_;  // the state is there; consensus is not told yet
  std::optional<wire::LogPosition> installed_;
  std::uint64_t installed_sequence_ = 0;
  std::uint64_t last_sequence_ = 0;  // handed out last
  std::optional<wire::Error> failure_;
  bool more_to_apply_ = false;
  bool reads_are_late_ = false;  // this turn has had its time for them
  wire::LogIndex decide_after_;  // leader: decides once this is applied
  bool stands_back_ = false;
  unsigned ticks_since_promotion_ = 0;
};

}  // namespace bib::engine
