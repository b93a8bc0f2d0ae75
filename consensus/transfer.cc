// Leadership transfer (Raft dissertation §3.10).
//
// Happy path: proposals stop; the target is brought up to the log's end; it is told to campaign at
// once, and its request for votes says so, which lets nodes answer that still hear this leader.
//
// A leader whose disk stalls starts one by itself: it could go on for a while, since its followers
// commit without it, but it would have to keep everything in memory.
//
// Failure modes: the target does not win in time, or is removed: the leader resumes. A late
// campaign of the target is an ordinary election. All disks stall together: no node has more than
// this leader, so it stays.

#include <algorithm>
#include <utility>

#include "consensus/raft.h"
#include "consensus/rules.h"
#include "wire/base/check.h"

namespace bib::consensus {

using wire::ErrorCode;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;

wire::Result<NodeId> Raft::transfer_leadership(std::optional<NodeId> target) {
  if (role_ != Role::kLeader) {
    return wire::fail(ErrorCode::kNotLeader, "this node does not lead; ask the leader");
  }
  if (target == config_.self) {
    return wire::fail(ErrorCode::kInvalid, "this node leads already; name another voter");
  }
  Progress* successor = target ? find_peer(*target) : best_successor();
  const std::vector<NodeId>& voters = membership().voters;
  if (successor == nullptr ||
      !rules::may_take_over(std::binary_search(voters.begin(), voters.end(), successor->id))) {
    return wire::fail(ErrorCode::kNotFound,
                      "there is no such voter to hand over to; see the list of members");
  }
  transfer_.target = successor->id;
  transfer_.elapsed = 0;
  flush_is_wanted_ = true;
  continue_transfer(*successor);
  return transfer_.target;
}

// The voter that is in reach and has most; of equals the first.
Progress* Raft::best_successor() {
  Progress* best = nullptr;
  for (NodeId id : membership().voters) {
    Progress* peer = find_peer(id);
    if (peer == nullptr || peer->unreachable ||
        peer->ticks_since_heard >= config_.election_ticks_min) {
      continue;
    }
    if (best == nullptr || peer->match > best->match) best = peer;
  }
  return best;
}

void Raft::continue_transfer(Progress& peer) {
  if (peer.id == transfer_.target && peer.match == log_.last_index()) send_timeout_now(peer);
}

void Raft::send_timeout_now(Progress& peer) {
  send(message_to(peer.id, MessageKind::kTimeoutNow));
}

void Raft::tick_transfer() {
  const unsigned limit =
      config_.transfer_ticks_max > 0 ? config_.transfer_ticks_max : config_.election_ticks_min;
  if (!is_transferring()) return;
  if (rules::transfer_has_failed(++transfer_.elapsed, limit)) {
    end_transfer(TransferOutcome::kTimedOut);
  }
}

// After an attempt that failed it waits for an election timeout, so that stalls here and there do
// not pass the leadership around in circles.
void Raft::hand_over_if_stalled() {
  if (transfer_.pause > 0) --transfer_.pause;
  if (!disk_.is_stalled || is_transferring() || transfer_.pause > 0) return;
  const Progress* successor = best_successor();
  if (successor == nullptr || !rules::relieves_stalled(successor->match, disk_.durable)) return;
  transfer_.pause = config_.election_ticks_min;
  BIB_CHECK(transfer_leadership(successor->id).has_value());
}

void Raft::end_transfer(TransferOutcome outcome) {
  transfer_.target = NodeId();
  effects_.transfer = outcome;
}

void Raft::on_timeout_now(const PeerMessage& message) {
  if (role_ != Role::kFollower || message.from != leader_ ||
      !rules::may_take_over(may_campaign())) {
    drop(DropReason::kUnexpected);
    return;
  }
  start_campaign(true);
}

}  // namespace bib::consensus
