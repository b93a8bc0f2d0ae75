// Snapshots, as far as consensus is concerned (Raft §7): who needs one, and what an installed one
// means for the log. The bytes are the driver's.
//
// Happy path: a peer's next entry is no longer in the log; the driver is asked for a snapshot,
// offers it, sends it; the peer installs it and says so; appends go on after it.
//
// Failure modes:
//   - it cannot be made or sent: the peer is probed again once it is heard, and a snapshot asked
//   for again;
//   - the log is compacted further meanwhile: the probe after it finds that, and asks for another;
//   - the peer has caught up by itself: the snapshot is of no use, and its answer says how far;
//   - a new leader: it knows nothing of the snapshot; the peer answers its appends.

#include <algorithm>
#include <utility>

#include "consensus/raft.h"
#include "consensus/rules.h"
#include "wire/base/check.h"

namespace bib::consensus {

using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;

// ---- leader ----

void Raft::want_snapshot(Progress& peer) {
  if (peer.ticks_since_heard >= config_.election_ticks_min) return;  // not to the dead
  peer.become_snapshot();
  effects_.send_snapshots.push_back({peer.id, log_.base().index});
}

void Raft::offer_snapshot(NodeId to, wire::LogPosition last) {
  Progress* peer = find_peer(to);
  if (peer == nullptr || peer->state != ProgressState::kSnapshot) return;
  BIB_CHECK(last.index >= log_.base().index && last.index <= applied_,
            "a snapshot at {}, applied is {}", last.index.value(), applied_.value());
  peer->snapshot_index = last.index;
  PeerMessage message = message_to(to, MessageKind::kSnapshot);
  message.log_index = last.index;
  message.log_term = last.term;
  send(std::move(message));
}

void Raft::report_snapshot_sent(NodeId to, bool ok) {
  Progress* peer = find_peer(to);
  if (peer == nullptr || peer->state != ProgressState::kSnapshot) return;
  if (!ok) peer->snapshot_index = LogIndex();
  peer->become_probe();
  // The peer's own answer, or its next heartbeat's, starts the probe.
  peer->paused = true;
  peer->probe_last = LogIndex(kEverything);
}

void Raft::on_snapshot_reply(const PeerMessage& message) {
  Progress* peer = find_peer(message.from);
  if (peer == nullptr || role_ != Role::kLeader) {
    drop(role_ == Role::kLeader ? DropReason::kUnknownPeer : DropReason::kUnexpected);
    return;
  }
  if (message.match > log_.last_index()) {
    drop(DropReason::kMalformed);
    return;
  }
  peer->hear();
  if (message.rejected) {
    report_snapshot_sent(message.from, false);
  } else {
    acknowledge(*peer, message.match);
  }
}

// ---- follower ----

void Raft::on_snapshot(const PeerMessage& message) {
  if (message.log_index == LogIndex() || message.log_term == wire::Term() ||
      message.log_term > message.term) {
    drop(DropReason::kMalformed);
    return;
  }
  const wire::LogPosition last{message.log_index, message.log_term};
  const bool is_known = last.index <= commit_ && last.index >= log_.base().index;
  if (is_known && log_.term_at(last.index) != last.term) {
    note_conflict(message.from, last);
    drop(DropReason::kContradiction);
    return;
  }
  if (is_contradicted()) return;  // it would take the place of what the cluster has lost
  if (last.index > commit_) {
    effects_.receive_snapshot = ReceiveSnapshot{message.from, last};
    return;
  }
  following_.proved = std::max(following_.proved, last.index);
  PeerMessage reply = message_to(message.from, MessageKind::kSnapshotReply);
  reply.match = acknowledged();
  send_when_durable(std::move(reply));
}

bool Raft::installed_snapshot(wire::LogPosition last, const MembershipAt& membership) {
  if (last.index <= commit_) return false;
  if (last.term > term_) adopt_term(last.term);
  BIB_CHECK(membership.index <= last.index, "a membership of {} in a snapshot of {}",
            membership.index.value(), last.index.value());
  BIB_CHECK(role_ != Role::kLeader, "a leader installed a snapshot at {}", last.index.value());
  if (rules::log_goes_on(
          {.snapshot = last.index, .last = log_.last_index(), .log_has_it = log_.matches(last)})) {
    // After a crash the snapshot replaces what the log had not written yet.
    disk_.durable = std::max(disk_.durable, last.index);
    following_.proved = std::max(following_.proved, last.index);
    advance_commit(last.index);
  } else {
    log_.reset(last);
    for (OutstandingWrite& write : disk_.outstanding) write.durable = LogIndex();
    disk_.reset_to = last;
    disk_.truncate_from.reset();
    disk_.handed = last.index;
    disk_.durable = last.index;
    following_.proved = last.index;
    commit_ = last.index;
    effects_.commit = commit_;
    memberships_.assign(1, membership);
    effects_.committed_membership = memberships_.front();
    membership_changed();
  }
  applied_ = last.index;
  if (leader_ != NodeId()) {
    PeerMessage reply = message_to(leader_, MessageKind::kSnapshotReply);
    reply.match = last.index;
    send_when_durable(std::move(reply));
  }
  return true;
}

void Raft::compacted_to(LogIndex index) {
  if (index <= log_.base().index) return;
  BIB_CHECK(index <= applied_ && index <= disk_.durable, "compacted to {}, applied {}, durable {}",
            index.value(), applied_.value(), disk_.durable.value());
  log_.compact_to(index);
  while (memberships_.size() > 1 && memberships_[1].index <= index) {
    memberships_.erase(memberships_.begin());
  }
}

}  // namespace bib::consensus
