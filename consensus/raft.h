// Raft: one node's consensus as a pure state machine, (state, input) -> effects.
//
// Owned by the driver, on the node loop. It has no clock (tick() is time), no I/O, no callbacks,
// no storage and no payload bytes, and its only randomness is a seeded generator: the same inputs
// give the same effects, byte for byte. It is told what happens and answers with Effects; inputs
// may be collected over a turn of the loop, then the effects are taken once (a loop, `while
// (raft.has_effects())`, since answering an effect may produce more).
//
// Implemented: Raft (Ongaro and Ousterhout 2014) with pre-vote and check-quorum (dissertation §6.2
// and §9.6, always on), joint consensus with learners (§4.3), leadership transfer (§3.10),
// read-index (§6.4), pipelined appends (§10.2), the leader's disk write in parallel (§10.2.1), and
// suspicion: a closed connection to the leader, or a leader that does not answer, starts a pre-vote
// within a few ticks; a leader whose disk stalls hands over.
//
// What makes it safe is in rules.h, rule by rule; the files below are what happens in which order.
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
#include <optional>
#include <span>
#include <tl/expected.hpp>
#include <vector>

#include "consensus/changer.h"
#include "consensus/effects.h"
#include "consensus/log_view.h"
#include "consensus/progress.h"
#include "consensus/quorum.h"
#include "consensus/raft_state.h"
#include "consensus/raft_types.h"
#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/base/prng.h"
#include "wire/base/result.h"
#include "wire/peer/peer_message.h"

namespace bib::consensus {

class Raft {
 public:
  // Starts as a follower. check_restored() must have passed.
  Raft(const RaftConfig& config, const Restored& restored);

  // ---- time and peers ----

  void tick();
  Accepted step(const wire::PeerMessage& message);
  // Of a message's entries, how many of its last ones step() would take into the log, at most:
  // only these need be read. None of what is past, not from this term's leader, or does not follow
  // what this log has.
  std::size_t count_new_entries(const wire::PeerMessage& message) const;
  // The peer's last connection under its current boot id has closed. (The late end of a connection
  // of an earlier boot is not told.) Of the leader: suspicion.
  void peer_disconnected(wire::NodeId peer);
  // Messages reach the peer again.
  void peer_connected(wire::NodeId peer);
  // The peer, under its current boot id, has answered none of several probes, nor been heard
  // otherwise. Of the leader: suspicion, as if its connection had closed.
  void peer_silent(wire::NodeId peer);
  // Leader: its appends to `to` from entry `from` on have not left; they are sent again.
  void take_back_appends(wire::NodeId to, wire::LogIndex from);
  // A write to the own disk is taking far too long; or (false) that is over. Until then this node
  // does not campaign, and a leader hands over to a voter whose disk has more.
  void disk_stalled(bool stalled);
  // This node is not fit to lead, whatever its log; or (false) it is again. Until then it takes no
  // leadership that is handed to it, and campaigns only when nobody else has led for some election
  // timeouts: its log may be the only one with which anybody can. Handing over is the caller's.
  void stand_back(bool stands_back);

  // ---- proposals (leader) ----

  // Where the next proposal will be; the driver stamps an entry with it before proposing.
  ProposedAt next_proposal() const { return {log_.last_index() + 1, term_}; }
  wire::LogIndex next_index() const { return log_.last_index() + 1; }
  // An entry of `size` bytes is now in the log, at the returned place.
  tl::expected<ProposedAt, ProposeRefusal> propose(std::uint32_t size);

  // The membership that the changes lead to, to be encoded and proposed in the same turn; without
  // any, the one after the joint phase. kNotLeader, kRefused (not now, or not this change),
  // kInvalid.
  wire::Result<wire::Membership> prepare_membership_change(
      std::span<const MembershipChange> changes, JointLeave leave = JointLeave::kAutomatic) const;
  // Also the answer to Effects::wants_membership_entry. In effect at once.
  tl::expected<ProposedAt, ProposeRefusal> propose_membership(const wire::Membership& membership,
                                                              std::uint32_t size);
  // A learner that could become a voter now: in reach, and it lacks no more than one message.
  bool learner_is_caught_up(wire::NodeId learner) const;

  // To `target`, or to the voter that has most. Answers the target; kNotLeader, kNotFound (no such
  // voter). How it ends comes as Effects::transfer.
  wire::Result<wire::NodeId> transfer_leadership(std::optional<wire::NodeId> target);

  // ---- linearizable reads (any node) ----

  // Answered by reads_ready or reads_refused. `token` is unique among the node's reads since its
  // start. A follower's question may be lost: the driver keeps a deadline, ignores late answers.
  void request_read(std::uint64_t token);

  // ---- durability, applying, compaction ----

  void durable(const AppendDone& done);
  void applied(wire::LogIndex index);
  // The driver's log now begins after `index` (applied and durable).
  void compacted_to(wire::LogIndex index);

  // ---- snapshots ----

  // Leader, in answer to SendSnapshot.
  void offer_snapshot(wire::NodeId to, wire::LogPosition last);
  // Leader: its bytes have arrived (or it could not be made, or sent: then it is asked for again).
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
  wire::LogIndex durable_index() const { return disk_.durable; }
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
    return log_.bytes_in(std::min(commit_, std::max(disk_.durable, log_.base().index)),
                         log_.last_index());
  }
  bool is_transferring() const { return transfer_.target != wire::NodeId(); }
  wire::NodeId transferee() const { return transfer_.target; }
  // A leader that has committed an entry of its own term (reads and changes are allowed).
  bool has_committed_own_term() const;
  std::vector<PeerStatus> peers() const;
  std::uint64_t dropped(DropReason reason) const {
    return dropped_[static_cast<std::size_t>(reason)];
  }
  std::uint64_t pipelines_restarted() const { return pipelines_restarted_; }
  // The leader contradicts what is committed here (Effects::conflict).
  bool is_contradicted() const { return following_.conflict.has_value(); }

 private:
  // raft.cc: inputs, outputs, durability, the log's end
  bool may_be_reached(const wire::PeerMessage& message);
  wire::Term term_of_majority();
  bool admit_term(const wire::PeerMessage& message);
  void answer_stale(const wire::PeerMessage& message);
  Accepted step_from_leader(const wire::PeerMessage& message);
  bool write_is_wanted() const;
  LogWrite make_write();
  bool hard_state_is_durable() const;
  wire::PeerMessage message_to(wire::NodeId to, wire::MessageKind kind) const;
  void send(wire::PeerMessage message);
  // For what promises the current term or vote: leaves only once these are durable.
  void send_when_durable(wire::PeerMessage message);
  Accepted drop(DropReason reason);
  void advance_commit(wire::LogIndex index);
  void truncate_log(wire::LogIndex from);

  // election.cc: timers, roles, asking, answering
  void tick_election();
  void restart_election_timer();
  void start_round_timer();
  void retry_election_soon();
  void suspect_leader();
  void ask_soon();
  void ask_who_came(wire::NodeId peer);
  bool hears_leader() const;
  void adopt_term(wire::Term term);
  void stop_leading_or_asking();
  void leave_leadership();
  void follow(wire::NodeId leader);
  void become_leader();
  bool may_campaign() const;
  void start_pre_vote();
  void start_campaign(bool transfer);
  void ask_for_votes(wire::MessageKind kind, bool transfer);
  void count_ballot(wire::NodeId voter, bool granted);
  bool may_vote_for(const wire::PeerMessage& message) const;
  void on_pre_vote(const wire::PeerMessage& message);
  void on_pre_vote_reply(const wire::PeerMessage& message);
  void on_vote(const wire::PeerMessage& message);
  void on_vote_reply(const wire::PeerMessage& message);

  // replication.cc: the leader's peers, proposals, appends, commit, time
  Progress* find_peer(wire::NodeId id);
  const Progress* find_peer(wire::NodeId id) const;
  // What a majority has reached, in both halves: `mine` for this node, `of(peer)` for the others.
  std::uint64_t quorum_value(std::uint64_t mine, std::uint64_t (*of)(const Progress& peer));
  ProposedAt append_own(std::uint32_t size);
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
  void tick_leader();
  void tick_peer(Progress& peer);
  bool has_active_quorum();

  // append.cc: the follower's side
  Accepted on_append(const wire::PeerMessage& message);
  std::optional<wire::LogPosition> contradiction_in(const wire::PeerMessage& message) const;
  void note_conflict(wire::NodeId leader, wire::LogPosition leaders);
  void tick_conflict();
  bool follows_own_log(const wire::PeerMessage& message) const;
  std::size_t count_present(const wire::PeerMessage& message) const;
  Accepted take_entries(const wire::PeerMessage& message);
  void refuse_append(const wire::PeerMessage& message);
  void on_heartbeat(const wire::PeerMessage& message);
  void learn_commit(wire::LogIndex commit, wire::LogIndex proved);
  wire::LogIndex acknowledged() const;
  bool ack_can_go() const;
  void acknowledge_leader();

  // membership.cc: proposing, taking effect, committed
  const wire::Membership& membership_before_last() const;
  bool latest_membership_is_committed() const { return membership_index() <= commit_; }
  std::optional<ProposeRefusal> membership_refusal() const;
  void ask_to_leave_joint();
  void use_membership(wire::LogIndex index, const wire::Membership& membership);
  void membership_changed();
  void rebuild_peers();
  void membership_committed(wire::LogIndex before);
  void release_departed();
  void resign_after_removal();

  // transfer.cc
  Progress* best_successor();
  void continue_transfer(Progress& peer);
  void send_timeout_now(Progress& peer);
  void tick_transfer();
  void hand_over_if_stalled();
  void end_transfer(TransferOutcome outcome);
  void on_timeout_now(const wire::PeerMessage& message);

  // read_index.cc
  void on_read_index(const wire::PeerMessage& message);
  void on_read_index_reply(const wire::PeerMessage& message);
  void enqueue_read(wire::NodeId from, std::uint64_t token);
  void refuse_read(wire::NodeId from, std::uint64_t token, ReadRefusal reason);
  void refuse_waiting_reads();
  void confirm_reads();

  // snapshot.cc
  void want_snapshot(Progress& peer);
  void on_snapshot_reply(const wire::PeerMessage& message);
  void on_snapshot(const wire::PeerMessage& message);

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
  ElectionTimer election_;
  OwnDisk disk_;

  FollowerState following_;
  std::vector<Ballot> ballots_;     // candidates
  std::vector<FarTerm> far_terms_;  // one for each voter, at most
  unsigned far_step_ticks_ = 0;     // until the next far step at one node's word

  // Leader.
  std::vector<Progress> peers_;  // sorted by id, without this node
  wire::LogIndex term_start_;    // this leader's no-op
  unsigned heartbeat_elapsed_ = 0;
  bool leave_joint_was_asked_ = false;
  Transfer transfer_;
  Reads reads_;

  // Effects on their way out.
  Effects effects_;
  RoleChange told_;  // the last one that went out
  bool flush_is_wanted_ = false;

  std::vector<std::uint64_t> scratch_;
  std::array<std::uint64_t, kDropReasons> dropped_{};
  std::uint64_t pipelines_restarted_ = 0;
};

}  // namespace bib::consensus
