// Raft's inputs and outputs: construction, the dispatch of messages, durability, effects.

#include "consensus/raft.h"

#include <algorithm>
#include <utility>

#include "consensus/rules.h"
#include "wire/base/check.h"

namespace bib::consensus {

using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

namespace {

LogView make_view(const RaftConfig& config, const Restored& restored) {
  const wire::Status status = check_restored(config, restored);
  BIB_CHECK(status, "{}", status.error().message);
  LogView log(restored.base);
  std::size_t run = 0;
  for (std::uint32_t size : restored.sizes) {
    const LogIndex index = log.last_index() + 1;
    while (run + 1 < restored.terms.size() && restored.terms[run + 1].first <= index) ++run;
    log.append(restored.terms[run].value, size);
  }
  return log;
}

bool nothing_in(const Effects& effects) {
  return effects.noop_entries.empty() && effects.send_now.empty() && !effects.write &&
         effects.send_after_sync.empty() && !effects.commit && !effects.role &&
         !effects.membership && !effects.committed_membership && effects.drop_peers.empty() &&
         !effects.wants_membership_entry && effects.reads_ready.empty() &&
         effects.reads_refused.empty() && effects.send_snapshots.empty() &&
         !effects.receive_snapshot && !effects.transfer && !effects.conflict;
}

}  // namespace

Raft::Raft(const RaftConfig& config, const Restored& restored)
    : config_(config),
      random_(config.seed + config.self.value() * 0xd1342543de82ef95ULL),
      term_(restored.hard_state.term),
      vote_(rules::vote_after_restart(restored.hard_state.vote)),
      log_(make_view(config, restored)),
      memberships_(restored.memberships),
      commit_(restored.known_committed()),
      applied_(restored.applied),
      disk_{.durable = log_.last_index(), .handed = log_.last_index()} {
  // A snapshot was durable before the term that came with it. No vote of that term can have left.
  if (term_ < log_.base().term) {
    term_ = log_.base().term;
    vote_ = NodeId();
    disk_.hard_state_is_pending = true;
  }
  restart_election_timer();
  told_ = {role_, term_, leader_};
}

// ---- inputs ----

void Raft::tick() {
  if (far_step_ticks_ > 0) --far_step_ticks_;
  if (role_ == Role::kLeader) {
    tick_leader();
  } else {
    tick_election();
  }
}

Accepted Raft::step(const PeerMessage& message) {
  if (message.to != config_.self || message.from == NodeId() || message.from == config_.self) {
    return drop(DropReason::kMisaddressed);
  }
  if (message.term == Term() || message.term > wire::kTermMax) return drop(DropReason::kMalformed);
  if (message.kind == MessageKind::kConflict) return drop(DropReason::kUnexpected);
  if (!may_be_reached(message)) return drop(DropReason::kTermJump);
  if (message.kind == MessageKind::kPreVoteReply) {
    on_pre_vote_reply(message);
    return {};
  }
  if (!admit_term(message)) return {};
  switch (message.kind) {
    case MessageKind::kPreVote:
      on_pre_vote(message);
      return {};
    case MessageKind::kPreVoteReply:
    case MessageKind::kConflict:
      return {};
    case MessageKind::kVote:
      on_vote(message);
      return {};
    case MessageKind::kVoteReply:
      on_vote_reply(message);
      return {};
    case MessageKind::kAppend:
    case MessageKind::kHeartbeat:
    case MessageKind::kSnapshot:
      return step_from_leader(message);
    case MessageKind::kAppendReply:
      on_append_reply(message);
      return {};
    case MessageKind::kHeartbeatReply:
      on_heartbeat_reply(message);
      return {};
    case MessageKind::kTimeoutNow:
      on_timeout_now(message);
      return {};
    case MessageKind::kReadIndex:
      on_read_index(message);
      return {};
    case MessageKind::kReadIndexReply:
      on_read_index_reply(message);
      return {};
    case MessageKind::kSnapshotReply:
      on_snapshot_reply(message);
      return {};
  }
  return drop(DropReason::kMalformed);
}

// A node that knows no voter yet believes the first that speaks to it.
bool Raft::may_be_reached(const PeerMessage& message) {
  const bool is_too_soon = far_step_ticks_ > 0 && rules::is_far_step(term_, message.term);
  if (rules::may_be_reached(message.term, term_) && !is_too_soon) return true;
  if (membership().voters.empty()) return true;
  // A pre-vote asks about a term that nobody has entered; so does the grant of one.
  const bool is_entered = message.kind != MessageKind::kPreVote &&
                          (message.kind != MessageKind::kPreVoteReply || message.rejected);
  if (is_entered && membership().is_voter(message.from)) {
    const auto known = std::find_if(far_terms_.begin(), far_terms_.end(),
                                    [&](const FarTerm& far) { return far.voter == message.from; });
    if (known == far_terms_.end()) {
      far_terms_.push_back({message.from, message.term});
    } else {
      known->term = std::max(known->term, message.term);
    }
  }
  const Term known = term_of_majority();
  return is_too_soon ? message.term <= known
                     : rules::may_be_reached(message.term, std::max(term_, known));
}

Term Raft::term_of_majority() {
  std::erase_if(far_terms_, [&](const FarTerm& far) { return !membership().is_voter(far.voter); });
  std::uint64_t result = kEverything;
  for (const std::vector<NodeId>* half : {&membership().voters, &membership().voters_outgoing}) {
    scratch_.assign(half->size(), 0);
    std::size_t place = 0;
    if (std::binary_search(half->begin(), half->end(), config_.self)) {
      scratch_[place++] = term_.value();
    }
    for (const FarTerm& far : far_terms_) {
      if (std::binary_search(half->begin(), half->end(), far.voter)) {
        scratch_[place++] = far.term.value();
      }
    }
    result = std::min(result, majority_value(scratch_));
  }
  return Term(result);
}

// Whether the message is of the current term, which it may have raised (Raft §5.1).
bool Raft::admit_term(const PeerMessage& message) {
  if (rules::is_stale(message.kind, message.term, term_)) {
    answer_stale(message);
    return false;
  }
  if (!rules::enters_term(message.kind, message.term, term_)) return true;
  // A node that hears a leader does not help to depose it (dissertation §4.2.3), unless the leader
  // itself asked for it.
  if (message.kind == MessageKind::kVote && hears_leader() && !message.transfer) {
    drop(DropReason::kLeaderAlive);
    return false;
  }
  adopt_term(message.term);
  vote_ = rules::vote_on_entering_term(message.from);
  return true;
}

// A node that is still in an old term must learn of the new one, or it could neither lead nor
// follow; pre-vote and check-quorum leave no other way.
void Raft::answer_stale(const PeerMessage& message) {
  drop(DropReason::kStaleTerm);
  if (message.kind == MessageKind::kHeartbeat &&
      rules::puts_election_off(rules::Heard::kDeposedLeader)) {
    election_.elapsed = 0;
  }
  MessageKind kind;
  switch (message.kind) {
    case MessageKind::kPreVote:
      kind = MessageKind::kPreVoteReply;
      break;
    case MessageKind::kVote:
      kind = MessageKind::kVoteReply;
      break;
    case MessageKind::kAppend:
    case MessageKind::kHeartbeat:
    case MessageKind::kSnapshot:
      kind = MessageKind::kAppendReply;
      break;
    default:
      return;
  }
  PeerMessage reply = message_to(message.from, kind);
  reply.rejected = true;
  send_when_durable(std::move(reply));
}

Accepted Raft::step_from_leader(const PeerMessage& message) {
  // Anything else is not a correct peer.
  if (!rules::may_follow(leader_, message.from)) return drop(DropReason::kContradiction);
  follow(message.from);
  switch (message.kind) {
    case MessageKind::kAppend:
      return on_append(message);
    case MessageKind::kHeartbeat:
      on_heartbeat(message);
      return {};
    default:
      on_snapshot(message);
      return {};
  }
}

void Raft::peer_disconnected(NodeId peer_id) {
  if (Progress* peer = find_peer(peer_id); peer != nullptr) {
    if (peer->state == ProgressState::kReplicate) peer->become_probe();
    // Until the peer is heard again.
    peer->paused = true;
    peer->probe_last = LogIndex(kEverything);
    peer->unreachable = true;
    return;
  }
  if (peer_id == leader_ && role_ == Role::kFollower) suspect_leader();
}

void Raft::peer_silent(NodeId peer_id) {
  if (Progress* peer = find_peer(peer_id); peer != nullptr) peer->unreachable = true;
  if (peer_id == leader_ && role_ == Role::kFollower) suspect_leader();
}

void Raft::disk_stalled(bool stalled) {
  disk_.is_stalled = stalled;
  transfer_.pause = 0;
  if (role_ == Role::kLeader) hand_over_if_stalled();
}

void Raft::stand_back(bool stands_back) {
  election_.stands_back = stands_back;
  election_.passed = 0;
}

void Raft::peer_connected(NodeId peer_id) {
  Progress* peer = find_peer(peer_id);
  if (peer == nullptr) return ask_who_came(peer_id);
  // What was under way on the old connection may be lost.
  if (peer->state == ProgressState::kReplicate) peer->become_probe();
  peer->paused = false;
  peer->unreachable = false;
  send_heartbeat(*peer);
  flush_is_wanted_ = true;
}

void Raft::applied(LogIndex index) {
  BIB_CHECK(index >= applied_ && index <= commit_, "applied {} after {}, commit is {}",
            index.value(), applied_.value(), commit_.value());
  applied_ = index;
}

void Raft::durable(const AppendDone& done) {
  BIB_CHECK(
      !disk_.outstanding.empty() && disk_.outstanding.front().sequence <= done.append_sequence,
      "write {} is not outstanding", done.append_sequence);
  while (!disk_.outstanding.empty() && disk_.outstanding.front().sequence <= done.append_sequence) {
    const OutstandingWrite& write = disk_.outstanding.front();
    // Less than `end` if the log was truncated since (rules::proven_by_write).
    disk_.durable = std::max(disk_.durable, write.durable);
    disk_.durable_sequence = write.sequence;
    if (write.sequence == done.append_sequence) {
      BIB_CHECK(write.end == (wire::LogPosition{done.index, done.term}),
                "write {} ended at {}, term {}; reported as {}, term {}", write.sequence,
                write.end.index.value(), write.end.term.value(), done.index.value(),
                done.term.value());
    }
    disk_.outstanding.pop_front();
  }
  BIB_CHECK(disk_.durable_sequence == done.append_sequence, "write {} was never handed out",
            done.append_sequence);
  // A candidate's own vote counts once it cannot be forgotten.
  if (role_ == Role::kCandidate && hard_state_is_durable()) count_ballot(config_.self, true);
  if (role_ == Role::kLeader) commit_what_a_quorum_has();
}

// ---- outputs ----

bool Raft::has_effects() const {
  return flush_is_wanted_ || write_is_wanted() || ack_can_go() ||
         told_ != RoleChange{role_, term_, leader_} || !nothing_in(effects_);
}

Effects Raft::take_effects() {
  if (role_ == Role::kLeader && flush_is_wanted_) flush_peers();
  flush_is_wanted_ = false;
  if (ack_can_go()) acknowledge_leader();
  if (write_is_wanted() || !effects_.send_after_sync.empty()) effects_.write = make_write();
  const RoleChange now{role_, term_, leader_};
  if (told_ != now) {
    effects_.role = now;
    told_ = now;
  }
  // A no-op that was truncated in the same turn need not be built.
  std::erase_if(effects_.noop_entries,
                [&](wire::LogPosition place) { return !log_.matches(place); });
  return std::exchange(effects_, Effects{});
}

bool Raft::write_is_wanted() const {
  return disk_.hard_state_is_pending || disk_.reset_to || disk_.truncate_from ||
         disk_.handed < log_.last_index();
}

LogWrite Raft::make_write() {
  LogWrite write;
  write.append_sequence = disk_.next_sequence++;
  if (disk_.hard_state_is_pending) {
    write.hard_state = wire::HardState{term_, vote_};
    disk_.hard_state_is_pending = false;
    disk_.hard_sequence = write.append_sequence;
  }
  write.reset_to = std::exchange(disk_.reset_to, std::nullopt);
  if (write.reset_to) write.reset_membership = memberships_.front();
  write.truncate_from = std::exchange(disk_.truncate_from, std::nullopt);
  write.first = disk_.handed + 1;
  write.last = log_.last_index();
  write.end = log_.last();
  disk_.handed = write.last;
  disk_.outstanding.push_back({write.append_sequence, write.end, write.end.index});
  return write;
}

bool Raft::hard_state_is_durable() const {
  return rules::may_promise(!disk_.hard_state_is_pending &&
                            disk_.durable_sequence >= disk_.hard_sequence);
}

PeerMessage Raft::message_to(NodeId to, MessageKind kind) const {
  PeerMessage message;
  message.kind = kind;
  message.from = config_.self;
  message.to = to;
  message.term = term_;
  return message;
}

void Raft::send(PeerMessage message) {
  effects_.send_now.push_back(std::move(message));
}

void Raft::send_when_durable(PeerMessage message) {
  if (hard_state_is_durable()) {
    send(std::move(message));
  } else {
    effects_.send_after_sync.push_back(std::move(message));
  }
}

Accepted Raft::drop(DropReason reason) {
  ++dropped_[static_cast<std::size_t>(reason)];
  return {};
}

// ---- the log's end and the commit index ----

void Raft::advance_commit(LogIndex index) {
  BIB_CHECK(index > commit_ && index <= log_.last_index(), "commit from {} to {}, log ends at {}",
            commit_.value(), index.value(), log_.last_index().value());
  const LogIndex before = std::exchange(commit_, index);
  effects_.commit = commit_;
  membership_committed(before);
}

void Raft::truncate_log(LogIndex from) {
  BIB_CHECK(rules::may_truncate(from, commit_), "truncate from {}, commit is {}", from.value(),
            commit_.value());
  const LogIndex kept = from - 1;
  log_.truncate_from(from);
  if (rules::truncates_disk(kept, {.durable = disk_.durable, .handed = disk_.handed})) {
    disk_.truncate_from = disk_.truncate_from ? std::min(*disk_.truncate_from, from) : from;
    disk_.handed = kept;
  }
  disk_.durable = std::min(disk_.durable, kept);
  for (OutstandingWrite& write : disk_.outstanding) {
    write.durable = rules::proven_by_write(write.durable, kept);
  }
  // The driver can no longer attach the bytes of what is gone.
  std::erase_if(effects_.send_now, [&](const PeerMessage& message) {
    return !message.entries.empty() && message.entries.back().index >= from;
  });
  bool reverted = false;
  while (!memberships_.empty() && rules::goes_with_its_entry(memberships_.back().index, from)) {
    memberships_.pop_back();
    reverted = true;
  }
  if (reverted) membership_changed();
}

}  // namespace bib::consensus
