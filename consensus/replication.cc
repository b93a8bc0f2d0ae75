// The leader's side of replication (Raft §5.3, dissertation §10.2): proposals, appends, their
// answers, commit, heartbeats, check-quorum.
//
// Happy path: a proposal enters the log; at the end of the turn every peer gets what it has not
// been sent (flush_peers), without waiting for earlier answers; the own disk and the peers
// acknowledge; what a quorum holds is committed, and the next message tells the peers so.
//
// Failure modes:
//   - a message is lost: the next one is refused, or heartbeats show that it has not arrived; the
//     peer is probed from where it is known to match;
//   - a peer's log differs: its refusal names a place to try, a whole term at a time;
//   - a peer needs what the log no longer has: a snapshot;
//   - a peer's disk is slow: heartbeat answers show that all has arrived; nothing is sent twice;
//   - no quorum answers for an election timeout: the leader steps down and falls silent.

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

// ---- peers ----

Progress* Raft::find_peer(NodeId id) {
  auto place =
      std::lower_bound(peers_.begin(), peers_.end(), id,
                       [](const Progress& peer, NodeId wanted) { return peer.id < wanted; });
  return place != peers_.end() && place->id == id ? &*place : nullptr;
}

const Progress* Raft::find_peer(NodeId id) const {
  return const_cast<Raft*>(this)->find_peer(id);
}

std::uint64_t Raft::quorum_value(std::uint64_t mine, std::uint64_t (*of)(const Progress& peer)) {
  std::uint64_t result = kEverything;
  for (const std::vector<NodeId>* half : {&membership().voters, &membership().voters_outgoing}) {
    scratch_.clear();
    for (NodeId id : *half) {
      if (id == config_.self) continue;
      const Progress* peer = find_peer(id);
      BIB_CHECK(peer != nullptr);
      scratch_.push_back(of(*peer));
    }
    if (rules::counts_towards_quorum(config_.self, *half)) scratch_.push_back(mine);
    result = std::min(result, majority_value(scratch_));
  }
  return result;
}

std::vector<PeerStatus> Raft::peers() const {
  std::vector<PeerStatus> result;
  result.reserve(peers_.size());
  for (const Progress& peer : peers_) {
    const bool is_active = rules::is_active(peer, config_.election_ticks_min);
    result.push_back({.id = peer.id,
                      .match = peer.match,
                      .next = peer.next,
                      .state = peer.state,
                      .learner = !membership().is_voter(peer.id),
                      .departing = peer.departing,
                      .recently_active = is_active,
                      .unknown = !peer.heard && peer.ticks_since_heard < config_.election_ticks_min,
                      .reachable = is_active && !peer.unreachable,
                      .ticks_since_heard = peer.ticks_since_heard,
                      .messages_in_flight = peer.in_flight.count(),
                      .bytes_in_flight = peer.in_flight.bytes()});
  }
  return result;
}

// ---- proposals ----

tl::expected<ProposedAt, ProposeRefusal> Raft::propose(std::uint32_t size) {
  BIB_CHECK(size >= wire::kEntryHeaderSize && size <= wire::kEntrySizeMax, "an entry of {} bytes",
            size);
  if (role_ != Role::kLeader) return tl::unexpected(ProposeRefusal::kNotLeader);
  if (!rules::takes_proposals(is_transferring())) {
    return tl::unexpected(ProposeRefusal::kTransferring);
  }
  // One entry may always be under way, however large it is.
  const std::uint64_t under_way = bytes_under_way();
  if (under_way > 0 && under_way + size > config_.uncommitted_bytes_max) {
    return tl::unexpected(ProposeRefusal::kOverloaded);
  }
  return append_own(size);
}

ProposedAt Raft::append_own(std::uint32_t size) {
  log_.append(term_, size);
  flush_is_wanted_ = true;
  return log_.last();
}

// ---- sending ----

void Raft::flush_peers() {
  for (Progress& peer : peers_) {
    if (reads_.round_is_new && membership().is_voter(peer.id)) send_heartbeat(peer);
    send_appends(peer);
    if (config_.commit_notify_ticks == 0 && peer.commit_sent < std::min(commit_, peer.match)) {
      send_heartbeat(peer);
    }
  }
  reads_.round_is_new = false;
  confirm_reads();
}

void Raft::send_appends(Progress& peer) {
  while (has_news_for(peer) && peer.may_send(config_.flight)) {
    if (rules::needs_snapshot(peer.next, log_.base().index)) {
      want_snapshot(peer);
      return;
    }
    send_append(peer);
  }
}

// Entries, or, after the log's end, the question whether the peer has what is before it. Also to a
// peer that has acknowledged everything: after a restart it does not know how far its log is the
// leader's, and follows no commit index before an append has proven it.
bool Raft::has_news_for(const Progress& peer) const {
  const bool asks = peer.state == ProgressState::kProbe;
  return asks || peer.next <= log_.last_index();
}

// Everything that fits in one message, from `next`; an empty message where there is nothing.
void Raft::send_append(Progress& peer) {
  const LogIndex previous = peer.next - 1;
  PeerMessage message = message_to(peer.id, MessageKind::kAppend);
  message.log_index = previous;
  message.log_term = *log_.term_at(previous);
  message.commit = commit_;
  const std::uint64_t available = log_.last_index() - previous;
  message.entries.reserve(
      static_cast<std::size_t>(std::min<std::uint64_t>(available, config_.append_entries_max)));
  std::uint64_t bytes = 0;
  LogIndex last = previous;
  while (last < log_.last_index() && message.entries.size() < config_.append_entries_max) {
    const LogIndex index = last + 1;
    const std::uint32_t size = log_.size_of(index);
    if (!message.entries.empty() && bytes + size > config_.append_bytes_max) break;
    message.entries.push_back({index, *log_.term_at(index), size, std::nullopt});
    bytes += size;
    last = index;
  }
  peer.commit_sent = std::max(peer.commit_sent, std::min(commit_, last));
  peer.ticks_since_append = 0;
  if (peer.state == ProgressState::kReplicate) {
    if (last > previous) peer.in_flight.add(last, bytes);
    peer.next = last + 1;
  } else {
    peer.paused = true;
    peer.probe_last = last;
  }
  send(std::move(message));
}

// Says who leads, what is committed of what the peer holds, and asks for the read round.
void Raft::send_heartbeat(Progress& peer) {
  PeerMessage message = message_to(peer.id, MessageKind::kHeartbeat);
  message.commit = rules::commit_to_tell(commit_, peer.match);
  message.context = reads_.round;
  peer.commit_sent = std::max(peer.commit_sent, message.commit);
  send(std::move(message));
}

void Raft::take_back_appends(NodeId to, LogIndex from) {
  Progress* peer = find_peer(to);
  if (peer == nullptr || role_ != Role::kLeader) return;
  peer->take_back(from);
  flush_is_wanted_ = true;
}

// ---- answers ----

void Raft::on_append_reply(const PeerMessage& message) {
  Progress* peer = find_peer(message.from);
  if (peer == nullptr || role_ != Role::kLeader) {
    drop(role_ == Role::kLeader ? DropReason::kUnknownPeer : DropReason::kUnexpected);
    return;
  }
  peer->hear();
  if (!message.rejected) {
    if (!rules::may_have(message.match, log_.last_index())) {
      drop(DropReason::kMalformed);
      return;
    }
    acknowledge(*peer, message.match);
    return;
  }
  // The peer's log has, up to the hint, only terms up to the hint's; so this log cannot match it
  // after the last entry of such a term (Raft §5.3, last paragraphs, taken from both sides).
  const std::optional<wire::LogPosition> meeting =
      log_.last_at_or_below(message.hint_index, message.hint_term);
  const LogIndex retry = meeting ? meeting->index + 1 : log_.base().index;
  if (peer->reject(message.log_index, retry)) flush_is_wanted_ = true;
}

void Raft::on_heartbeat_reply(const PeerMessage& message) {
  Progress* peer = find_peer(message.from);
  if (peer == nullptr || role_ != Role::kLeader) {
    drop(role_ == Role::kLeader ? DropReason::kUnknownPeer : DropReason::kUnexpected);
    return;
  }
  // What this leader has proven to it, or an earlier one committed: this log has all of it.
  if (message.match > log_.last_index() || message.hint_index > log_.last_index() ||
      message.context > reads_.round) {
    drop(DropReason::kMalformed);
    return;
  }
  peer->hear();
  peer->received = std::max(message.hint_index, peer->match);
  // The message out is lost, unless it has arrived and waits for the peer's disk.
  if (peer->paused && message.hint_index < peer->probe_last) {
    peer->paused = false;
    flush_is_wanted_ = true;
  }
  // It has restarted, and nothing is under way that would prove anything to it.
  if (peer->state == ProgressState::kReplicate && peer->in_flight.empty() &&
      message.hint_index < peer->match) {
    peer->become_probe();
    flush_is_wanted_ = true;
  }
  if (message.context > peer->acked_round) {
    peer->acked_round = message.context;
    confirm_reads();
  }
  // Makes up for a lost acknowledgement. A probe asks about its own place and waits for that.
  const bool is_news = peer->state == ProgressState::kProbe ? message.match + 1 >= peer->next
                                                            : message.match > peer->match;
  if (is_news) {
    acknowledge(*peer, message.match);
  } else {
    continue_transfer(*peer);
  }
}

// `peer` may be gone afterwards: a commit can end this leadership.
void Raft::acknowledge(Progress& peer, LogIndex match) {
  const bool moved = peer.acknowledge(match);
  switch (peer.state) {
    case ProgressState::kProbe:
      if (match >= peer.match) peer.become_replicate();
      break;
    case ProgressState::kReplicate:
      break;
    case ProgressState::kSnapshot:
      // The peer has come so far, by the snapshot or in spite of it, that the log will do.
      if (peer.match >= log_.base().index && peer.match >= peer.snapshot_index) {
        peer.become_replicate();
      }
      break;
  }
  flush_is_wanted_ = true;
  continue_transfer(peer);
  if (moved) commit_what_a_quorum_has();
}

// ---- commit ----

void Raft::commit_what_a_quorum_has() {
  const LogIndex mine = rules::own_match(disk_.durable, log_.last_index());
  const LogIndex index(
      quorum_value(mine.value(), [](const Progress& peer) { return peer.match.value(); }));
  if (index <= commit_ || !rules::may_commit_by_counting(log_.term_at(index), term_)) return;
  advance_commit(index);
  leader_committed();
}

void Raft::leader_committed() {
  flush_is_wanted_ = true;
  if (!latest_membership_is_committed()) return;
  release_departed();
  if (rules::must_resign(membership().is_voter(config_.self))) {
    resign_after_removal();
    return;
  }
  ask_to_leave_joint();
}

bool Raft::has_committed_own_term() const {
  return role_ == Role::kLeader && commit_ >= term_start_;
}

// ---- time ----

void Raft::tick_leader() {
  for (Progress& peer : peers_) tick_peer(peer);
  if (!has_active_quorum()) {
    stop_leading_or_asking();
    return;
  }
  tick_transfer();
  hand_over_if_stalled();
  if (++heartbeat_elapsed_ < config_.heartbeat_ticks) return;
  heartbeat_elapsed_ = 0;
  for (Progress& peer : peers_) send_heartbeat(peer);
  flush_is_wanted_ = true;
  leave_joint_was_asked_ = false;
  ask_to_leave_joint();
}

void Raft::tick_peer(Progress& peer) {
  ++peer.ticks_since_heard;
  ++peer.ticks_since_append;
  if (peer.state == ProgressState::kReplicate && !peer.in_flight.empty()) {
    ++peer.ticks_without_match;
    if (rules::is_stuck(peer, config_.election_ticks_min)) {
      peer.become_probe();
      ++pipelines_restarted_;
      flush_is_wanted_ = true;
    }
  }
  if (peer.commit_sent < std::min(commit_, peer.match) &&
      peer.ticks_since_append >= config_.commit_notify_ticks) {
    send_heartbeat(peer);
    peer.ticks_since_append = 0;
  }
}

// The latest tick at which a majority had been heard from, as "so long before the end of time".
bool Raft::has_active_quorum() {
  const std::uint64_t heard = quorum_value(
      kEverything, [](const Progress& peer) { return kEverything - peer.ticks_since_heard; });
  return rules::keeps_leading(kEverything - heard, config_.election_ticks_min);
}

}  // namespace bib::consensus
