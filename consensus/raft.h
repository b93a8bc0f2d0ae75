// Raft: one node's consensus as a pure state machine, (state, input) -> effects.
//
// Owned by the driver, on the node loop. It has no clock (tick() is time), no I/O, no callbacks,
// no storage and no payload bytes, and its only chance is a seeded generator: the same inputs give
// the same effects, byte for byte. It is told what happens and answers with Effects; inputs may
// be collected over a turn of the loop, then the effects are taken once (a loop, `while
// (raft.has_effects())`, since answering an effect may produce more).
//
// Implemented: Raft (Ongaro and Ousterhout 2014) with pre-vote and check-quorum (dissertation §6.2
// and §9.6, always on), joint consensus with learners (§4.3), leadership transfer (§3.10),
// read-index (§6.4), pipelined appends (§10.2), the leader's disk write in parallel (§10.2.1), and
// suspicion: a closed connection to the leader, or a leader that does not answer, starts a pre-vote
// within a few ticks; a leader whose disk stalls hands over. No safety rule leans on suspicion.
//
// Invariants, checked always (our own bugs only): commit never moves back; nothing at or below
// commit is truncated; terms never fall. What a peer's message gets wrong is dropped and counted.
//
// Its body by subject: raft.cc (inputs, outputs, durability), election.cc, replication.cc
// (leader), append.cc (follower), membership.cc, transfer.cc, read_index.cc, snapshot.cc.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <tl/expected.hpp>
#include <vector>

#include "consensus/changer.h"
#include "consensus/effects.h"
#include "consensus/log_view.h"
#include "consensus/progress.h"
#include "consensus/quorum.h"
#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/base/prng.h"
#include "wire/base/result.h"
#include "wire/peer/peer_message.h"

namespace bib::consensus {

struct RaftConfig {
  wire::NodeId self;
  // The id of the log that this node has; 0: not known. A membership that names `self` with another
  // one means an earlier disk of this node: this one gains no vote from it (may_campaign()).
  std::uint64_t own_log = 0;
  unsigned heartbeat_ticks = 1;
  // The election timeout is drawn anew from [min, 2 * min) each time. Also how long a leader lasts
  // without a quorum, a pipeline without progress. Above heartbeat_ticks.
  unsigned election_ticks_min = 10;
  // A campaign without a result is repeated after [n, 2 * n) ticks, n twice as long each time, up
  // to the election timeout: short enough that a split vote after a crash costs little, and soon
  // longer than any round trip and any sync.
  unsigned election_retry_ticks = 5;
  // How long a transfer of the leadership may take, and proposals are refused; 0: the election
  // timeout.
  unsigned transfer_ticks_max = 0;
  // A peer to which nothing was sent for so long is told a new commit index by itself; 0: at once.
  unsigned commit_notify_ticks = 0;
  std::size_t append_entries_max = 1024;  // in one message; at least one entry always goes
  std::uint64_t append_bytes_max = 1U << 20;
  FlightLimits flight;                              // to each peer
  std::uint64_t uncommitted_bytes_max = 64U << 20;  // see bytes_under_way()
  std::size_t reads_waiting_max = 65536;
  std::uint64_t seed = 0;  // mixed with `self`: nodes may share one
};

// What a node finds on its disk at start; all of it is durable. Where a snapshot is newer than the
// log, or the log disagrees with it (another term at its index), the driver starts the log anew
// after the snapshot: base = the snapshot's last entry, no entries. Its term may then be above that
// of the hard state, which was to be written next when the node crashed.
struct Restored {
  wire::HardState hard_state;
  wire::LogPosition base;      // the entry before the log's first; (0, 0): none
  std::vector<TermRun> terms;  // runs of the log's entries; the first starts at base.index + 1
  std::vector<std::uint32_t> sizes;  // one for each entry
  wire::LogIndex applied;            // from base.index to the log's end; all of it is committed
  // Ascending. The first one is that of the base (its index at most base.index), if there is one,
  // then each membership entry of the log. None at all: a node that was told nothing yet.
  std::vector<MembershipAt> memberships;
};

// kCorrupt unless Raft may start from this: the outside of the constructor's assertions.
wire::Status check_restored(const RaftConfig& config, const Restored& restored);

using ProposedAt = wire::LogPosition;

enum class ProposeRefusal : std::uint8_t {
  kNotLeader,
  kOverloaded,    // uncommitted_bytes_max
  kTransferring,  // leadership is being handed over; ask again soon
  kPending,       // memberships only: the last change, or this leader's first entry, is uncommitted
  kUnsafe,        // memberships only: this one may not follow the one in effect
};

// What step() did with a kAppend's entries: entries[already_present .. already_present + appended)
// are new in the log, and the driver keeps their payload from now on (forgetting any other payload
// from the first of them on). The other entries' payload is not needed.
struct Accepted {
  std::size_t already_present = 0;
  std::size_t appended = 0;
};

enum class DropReason : std::uint8_t {
  kMisaddressed,   // not to this node, or from nobody
  kMalformed,      // a kind or fields that no correct peer sends
  kStaleTerm,      // from a term that has passed
  kUnexpected,     // not for this role, or an answer that nobody waits for
  kUnknownPeer,    // an answer from outside the membership
  kLeaderAlive,    // a vote wanted while this node hears a leader
  kContradiction,  // a second leader in one term, or against what is committed or proven
};
inline constexpr std::size_t kDropReasons = 7;

struct PeerStatus {
  wire::NodeId id;
  wire::LogIndex match;
  wire::LogIndex next;
  ProgressState state = ProgressState::kProbe;
  bool learner = false;
  bool departing = false;
  bool recently_active = false;
  bool reachable = false;  // and its connection has not closed, nor has it fallen silent, since
  unsigned ticks_since_heard = 0;
  std::size_t messages_in_flight = 0;
  std::uint64_t bytes_in_flight = 0;
};

class Raft {
 public:
  // Starts as a follower. check_restored() must have passed.
  Raft(const RaftConfig& config, const Restored& restored);

  // ---- time and peers ----

  void tick();
  Accepted step(const wire::PeerMessage& message);
  // The peer's last connection under its current boot id has closed. (The belated end of a
  // connection of an earlier boot is not told.) Of the leader: suspicion.
  void peer_disconnected(wire::NodeId peer);
  // Messages reach the peer again.
  void peer_connected(wire::NodeId peer);
  // The peer, under its current boot id, has answered none of several probes, nor been heard
  // otherwise. Of the leader: suspicion, as if its connection had closed.
  void peer_silent(wire::NodeId peer);
  // A write to the own disk is taking far too long; or (false) that is over. Until then this node
  // does not campaign, and a leader hands over to a voter whose disk has more.
  void disk_stalled(bool stalled);

  // ---- proposals (leader) ----

  // Where the next proposal will stand; the driver stamps an entry with it before proposing.
  ProposedAt next_proposal() const { return {log_.last_index() + 1, term_}; }
  wire::LogIndex next_index() const { return log_.last_index() + 1; }
  // An entry of `size` bytes now stands at the returned place.
  tl::expected<ProposedAt, ProposeRefusal> propose(std::uint32_t size);

  // The membership that the changes lead to, to be encoded and proposed in the same turn; without
  // any, the one behind the joint phase. kNotLeader, kRefused (not now, or not this change),
  // kInvalid.
  wire::Result<wire::Membership> prepare_membership_change(
      std::span<const MembershipChange> changes, JointLeave leave = JointLeave::kAutomatic) const;
  // Also the answer to Effects::wants_membership_entry. In effect at once.
  tl::expected<ProposedAt, ProposeRefusal> propose_membership(const wire::Membership& membership,
                                                              std::uint32_t size);
  // A learner that could become a voter now: in reach, and no more than one message behind.
  bool learner_is_caught_up(wire::NodeId learner) const;

  // To `target`, or to the voter that has most. Answers the target; kNotLeader, kNotFound (no such
  // voter). How it ends comes as Effects::transfer.
  wire::Result<wire::NodeId> transfer_leadership(std::optional<wire::NodeId> target);

  // ---- linearizable reads (any node) ----

  // Answered by reads_ready or reads_refused. `token` is the driver's, unique among the node's
  // reads since its start. On a follower the question travels to the leader and may be lost: the
  // driver keeps a deadline, and ignores answers that it no longer waits for.
  void request_read(std::uint64_t token);

  // ---- durability, applying, compaction ----

  void durable(const AppendDone& done);
  void applied(wire::LogIndex index);
  // The driver's log now begins after `index` (applied and durable).
  void compacted_to(wire::LogIndex index);

  // ---- snapshots ----

  // Leader, in answer to SendSnapshot: this snapshot goes to `to`.
  void offer_snapshot(wire::NodeId to, wire::LogPosition last);
  // Leader: its bytes have arrived (or it could not be made, or sent: then it is asked for anew).
  void report_snapshot_sent(wire::NodeId to, bool ok);
  // Follower: the snapshot is durable and the state is that of `last`; `membership` was in effect
  // there. False when the node has meanwhile committed as much by itself: nothing changed.
  bool installed_snapshot(wire::LogPosition last, const MembershipAt& membership);

  // ---- effects ----

  bool has_effects() const;
  Effects take_effects();

  // ---- introspection ----

  wire::NodeId self() const { return config_.self; }
  Role role() const { return role_; }
  wire::Term term() const { return term_; }
  wire::NodeId vote() const { return vote_; }
  wire::NodeId leader() const { return leader_; }
  wire::LogIndex commit() const { return commit_; }
  wire::LogIndex applied() const { return applied_; }
  wire::LogIndex durable_index() const { return durable_; }
  wire::LogIndex last_index() const { return log_.last_index(); }
  const LogView& log() const { return log_; }
  // The one in effect; empty on a node that was told nothing yet.
  const wire::Membership& membership() const;
  wire::LogIndex membership_index() const;
  // The latest one that is known to be committed; null: none.
  const MembershipAt* committed_membership() const { return membership_at(commit_); }
  // The one that was in effect at `index`, for a snapshot there; null below the base, and where
  // there was none.
  const MembershipAt* membership_at(wire::LogIndex index) const;
  std::uint64_t uncommitted_bytes() const { return log_.bytes_in(commit_, log_.last_index()); }
  // What must stay in memory: not committed yet, or, where the other voters' disks are faster, not
  // yet on this node's own.
  std::uint64_t bytes_under_way() const {
    return log_.bytes_in(std::min(commit_, std::max(durable_, log_.base().index)),
                         log_.last_index());
  }
  bool is_transferring() const { return transferee_ != wire::NodeId(); }
  wire::NodeId transferee() const { return transferee_; }
  // A leader that has committed an entry of its own term (reads and changes are allowed).
  bool has_committed_own_term() const;
  std::vector<PeerStatus> peers() const;
  std::uint64_t dropped(DropReason reason) const {
    return dropped_[static_cast<std::size_t>(reason)];
  }
  std::uint64_t pipelines_restarted() const { return pipelines_restarted_; }

 private:
  struct Ballot {
    wire::NodeId voter;
    bool granted = false;
  };
  struct OutstandingWrite {
    std::uint64_t sequence = 0;
    wire::LogPosition end;   // as it was handed out
    wire::LogIndex durable;  // what its completion proves: `end`, less what was truncated since
  };
  struct WaitingRead {
    std::uint64_t round = 0;  // confirmed by heartbeat replies of this round or a later one
    std::uint64_t token = 0;
    wire::NodeId from;
    wire::LogIndex index;
  };

  // raft.cc
  Accepted drop(DropReason reason);
  wire::PeerMessage message_to(wire::NodeId to, wire::MessageKind kind) const;
  void send(wire::PeerMessage message);
  // For what promises the current term or vote: leaves only once these are durable.
  void send_when_durable(wire::PeerMessage message);
  bool hard_state_is_durable() const;
  bool write_is_wanted() const;
  LogWrite make_write();
  void advance_commit(wire::LogIndex index);
  void truncate_log(wire::LogIndex from);
  bool admit_term(const wire::PeerMessage& message);
  Accepted step_from_leader(const wire::PeerMessage& message);
  void answer_stale(const wire::PeerMessage& message);

  // election.cc
  void tick_election();
  void suspect_leader();
  void adopt_term(wire::Term term);
  void stop_leading_or_asking();
  void leave_leadership();
  void become_leader();
  void follow(wire::NodeId leader);
  void restart_election_timer();
  void start_round_timer();
  void retry_election_soon();
  void start_pre_vote();
  void start_campaign(bool transfer);
  void ask_for_votes(wire::MessageKind kind, bool transfer);
  void count_ballot(wire::NodeId voter, bool granted);
  void on_pre_vote(const wire::PeerMessage& message);
  void on_pre_vote_reply(const wire::PeerMessage& message);
  void on_vote(const wire::PeerMessage& message);
  void on_vote_reply(const wire::PeerMessage& message);
  bool hears_leader() const;
  bool may_vote_for(const wire::PeerMessage& message) const;
  bool may_campaign() const;

  // replication.cc
  void tick_leader();
  void tick_peer(Progress& peer);
  bool has_active_quorum();
  void flush_peers();
  void send_appends(Progress& peer);
  bool has_news_for(const Progress& peer) const;
  void send_append(Progress& peer);
  void send_heartbeat(Progress& peer);
  void on_append_reply(const wire::PeerMessage& message);
  void on_heartbeat_reply(const wire::PeerMessage& message);
  void acknowledge(Progress& peer, wire::LogIndex match);
  void commit_what_a_quorum_has();
  void leader_committed();
  void resign_after_removal();
  ProposedAt append_own(std::uint32_t size);
  Progress* find_peer(wire::NodeId id);
  const Progress* find_peer(wire::NodeId id) const;
  // What a majority has reached, in both halves: `mine` for this node, `of(peer)` for the others.
  std::uint64_t quorum_value(std::uint64_t mine, std::uint64_t (*of)(const Progress& peer));

  // append.cc
  Accepted on_append(const wire::PeerMessage& message);
  bool contradicts(const wire::PeerMessage& message) const;
  Accepted take_entries(const wire::PeerMessage& message);
  void refuse_append(const wire::PeerMessage& message);
  void on_heartbeat(const wire::PeerMessage& message);
  void learn_commit(wire::LogIndex commit, wire::LogIndex proved);
  wire::LogIndex acknowledged() const;
  bool ack_can_go() const;
  void acknowledge_leader();

  // membership.cc
  const wire::Membership& membership_before_last() const;
  bool latest_membership_is_committed() const { return membership_index() <= commit_; }
  void use_membership(wire::LogIndex index, const wire::Membership& membership);
  void membership_changed();
  void membership_committed(wire::LogIndex before);
  void rebuild_peers();
  void release_departed();
  void ask_to_leave_joint();
  std::optional<ProposeRefusal> membership_refusal() const;

  // transfer.cc
  void on_timeout_now(const wire::PeerMessage& message);
  void send_timeout_now(Progress& peer);
  void continue_transfer(Progress& peer);
  void tick_transfer();
  void end_transfer(TransferOutcome outcome);
  void hand_over_if_stalled();
  Progress* best_successor();

  // read_index.cc
  void on_read_index(const wire::PeerMessage& message);
  void on_read_index_reply(const wire::PeerMessage& message);
  void enqueue_read(wire::NodeId from, std::uint64_t token);
  void refuse_read(wire::NodeId from, std::uint64_t token, ReadRefusal reason);
  void confirm_reads();
  void refuse_waiting_reads();

  // snapshot.cc
  void want_snapshot(Progress& peer);
  void on_snapshot(const wire::PeerMessage& message);
  void on_snapshot_reply(const wire::PeerMessage& message);

  RaftConfig config_;
  wire::Prng random_;

  // Persistent (Raft figure 2).
  wire::Term term_;
  wire::NodeId vote_;
  LogView log_;
  std::vector<MembershipAt> memberships_;  // ascending; at most one at or below the base

  // Volatile, everywhere. applied_ <= commit_ <= log_.last_index().
  Role role_ = Role::kFollower;
  wire::NodeId leader_;
  wire::LogIndex commit_;
  wire::LogIndex applied_;
  unsigned election_elapsed_ = 0;  // ticks since this term's leader was heard, or a vote granted
  unsigned election_timeout_ = 0;
  unsigned suspicion_ticks_ = 0;  // until a pre-vote for suspicion; 0: none
  unsigned election_rounds_ = 0;  // campaigns since a leader was heard, or a vote given
  bool disk_is_stalled_ = false;

  // Durability. durable_ <= handed_ <= log_.last_index(); entries after handed_, and what is
  // pending below, go into the next write.
  wire::LogIndex durable_;
  wire::LogIndex handed_;
  std::deque<OutstandingWrite> outstanding_;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t durable_sequence_ = 0;
  std::uint64_t hard_sequence_ = 0;  // the last write that carried the hard state
  bool hard_state_is_pending_ = false;
  std::optional<wire::LogPosition> pending_reset_;
  std::optional<wire::LogIndex> pending_truncate_;

  // Follower. proved_: this log is the same as the log of this term's leader up to here. It starts
  // at commit_, which every later leader has (Raft §5.4.3), and only messages move it.
  wire::LogIndex proved_;
  wire::LogIndex acked_;     // the last position that was acknowledged to the leader
  bool ack_is_due_ = false;  // an append was accepted and not yet acknowledged in full

  // Candidate.
  std::vector<Ballot> ballots_;

  // Leader.
  std::vector<Progress> peers_;  // sorted by id, without this node
  wire::LogIndex term_start_;    // this leader's no-op
  unsigned heartbeat_elapsed_ = 0;
  wire::NodeId transferee_;
  unsigned transfer_elapsed_ = 0;
  unsigned handover_pause_ = 0;  // ticks until a stalled leader tries again to hand over
  bool leave_joint_was_asked_ = false;
  std::uint64_t read_round_ = 0;
  bool read_round_is_new_ = false;  // to be sent with the next flush
  std::deque<WaitingRead> reads_;   // rounds ascending

  // On their way out.
  Effects effects_;
  RoleChange told_;  // the last one that went out
  bool flush_is_wanted_ = false;

  std::vector<std::uint64_t> scratch_;
  std::array<std::uint64_t, kDropReasons> dropped_{};
  std::uint64_t pipelines_restarted_ = 0;
};

}  // namespace bib::consensus
