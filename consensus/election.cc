// Elections (Raft §5.2, §5.4.1), pre-vote (dissertation §9.6), suspicion.
//
// Happy path: a follower hears nothing for its election timeout, or sees the connection to its
// leader close, or learns that its leader does not answer; it asks whether it could win (pre-vote:
// no term, vote or timer changes anywhere); a quorum says yes; it enters the next term, makes term
// and vote durable, asks for votes, and leads.
//
// Failure modes:
//   - others still hear the leader: they refuse, and one broken link does not disturb the cluster;
//   - the other log is newer, or the other node is in a later term: its refusal carries its term;
//     the asker enters that term and tries again soon (a long log of an old term and a short log of
//     a new one cannot block each other);
//   - a split vote, or an answer that does not come: the node that asked tries again after a short
//     random time, and a longer one each time after that;
//   - the own disk stalls: this node does not ask, since it could not even keep its own vote;
//   - it is not fit to lead, and has the only log with which anybody could: it asks when nobody
//   else
//     has won for a while;
//   - a crash between vote and reply: the vote is durable before the reply leaves.

#include <algorithm>
#include <utility>

#include "consensus/raft.h"
#include "consensus/rules.h"
#include "wire/base/check.h"

namespace bib::consensus {

using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

// ---- timers ----

void Raft::tick_election() {
  tick_conflict();
  ++election_.elapsed;
  const bool suspicion_is_due = election_.suspicion_ticks > 0 && --election_.suspicion_ticks == 0;
  const bool is_alone = role_ == Role::kFollower && membership().voters_outgoing.empty() &&
                        membership().voters == std::vector<NodeId>{config_.self};
  if (!suspicion_is_due && !is_alone && election_.elapsed < election_.timeout) return;
  if (may_campaign()) {
    start_pre_vote();
  } else {
    ++election_.passed;
    leader_ = NodeId();
    restart_election_timer();
  }
}

void Raft::restart_election_timer() {
  election_.elapsed = 0;
  election_.timeout = static_cast<unsigned>(
      random_.between(config_.election_ticks_min, 2ULL * config_.election_ticks_min - 1));
}

// A pre-vote disturbs no other node, so the first rounds are short.
void Raft::start_round_timer() {
  constexpr unsigned kDoublingsMax = 16;
  const std::uint64_t wanted = std::uint64_t{std::max(1U, config_.election_retry_ticks)}
                               << std::min(election_.rounds, kDoublingsMax);
  const std::uint64_t span = std::min<std::uint64_t>(wanted, config_.election_ticks_min);
  ++election_.rounds;
  election_.elapsed = 0;
  election_.timeout = static_cast<unsigned>(random_.between(span, 2 * span - 1));
}

// After a refusal, which tells something: another place in the queue, within the same time.
void Raft::retry_election_soon() {
  election_.elapsed = 0;
  election_.timeout = static_cast<unsigned>(random_.between(1, std::max(1U, election_.timeout)));
}

// A closed connection is stronger evidence than silence.
void Raft::suspect_leader() {
  ask_soon();
  leader_ = rules::leader_after_suspicion(leader_);
}

// The delay gives each voter a place in the queue, another one in each term, so that they do not
// split the vote.
void Raft::ask_soon() {
  std::size_t place = 0;
  std::size_t voters = 0;
  for (NodeId id : all_ids(membership())) {
    if (id == leader_ || !membership().is_voter(id)) continue;
    if (id < config_.self) ++place;
    ++voters;
  }
  if (voters > 0) place = (place + term_.value()) % voters;
  election_.suspicion_ticks =
      std::min(config_.election_ticks_min, static_cast<unsigned>(1 + 2 * place));
}

// A voter has come into reach while nobody is known to lead: after a start, or when a network has
// healed. Whoever hears a leader refuses the pre-vote, and the leader speaks to who has come.
void Raft::ask_who_came(NodeId peer) {
  const bool waits = role_ == Role::kFollower || role_ == Role::kPreCandidate;
  if (!waits || leader_ != NodeId() || election_.suspicion_ticks > 0) return;
  if (membership().is_voter(peer)) ask_soon();
}

bool Raft::hears_leader() const {
  return leader_ != NodeId() &&
         (role_ == Role::kLeader || election_.elapsed < config_.election_ticks_min);
}

// ---- roles ----

void Raft::adopt_term(Term term) {
  BIB_CHECK(term > term_, "term from {} to {}", term_.value(), term.value());
  stop_leading_or_asking();
  if (rules::is_far_step(term_, term)) far_step_ticks_ = config_.election_ticks_min;
  term_ = term;
  vote_ = NodeId();
  disk_.hard_state_is_pending = true;
  following_.proved = wire::LogIndex();
  following_.acked = wire::LogIndex();
  following_.ack_is_due = false;
  following_.conflict.reset();
}

void Raft::stop_leading_or_asking() {
  if (role_ == Role::kLeader) leave_leadership();
  role_ = Role::kFollower;
  leader_ = NodeId();
  ballots_.clear();
}

void Raft::leave_leadership() {
  if (is_transferring()) end_transfer(TransferOutcome::kDone);
  refuse_waiting_reads();
  peers_.clear();
  effects_.wants_membership_entry.reset();
  restart_election_timer();
}

void Raft::follow(NodeId leader) {
  if (role_ != Role::kFollower || leader_ != leader) {
    stop_leading_or_asking();
    leader_ = leader;
    restart_election_timer();
  }
  if (rules::puts_election_off(rules::Heard::kLeader)) election_.elapsed = 0;
  election_.suspicion_ticks = 0;
  election_.rounds = 0;
  election_.passed = 0;
}

void Raft::become_leader() {
  role_ = Role::kLeader;
  leader_ = config_.self;
  election_.suspicion_ticks = 0;
  election_.rounds = 0;
  transfer_.pause = 0;
  heartbeat_elapsed_ = 0;
  leave_joint_was_asked_ = false;
  reads_.round_is_new = false;
  peers_.clear();
  rebuild_peers();
  for (const Ballot& ballot : ballots_) {
    if (Progress* peer = find_peer(ballot.voter); peer != nullptr) peer->hear();
  }
  ballots_.clear();
  // Commits what is left of earlier terms (Raft §5.4.2, §8).
  const wire::LogPosition noop = append_own(static_cast<std::uint32_t>(wire::kEntryHeaderSize));
  term_start_ = noop.index;
  effects_.noop_entries.push_back(noop);
}

// ---- asking ----

bool Raft::may_campaign() const {
  return rules::may_campaign({.self = config_.self,
                              .own_log = config_.own_log,
                              .in_effect = membership(),
                              .before = membership_before_last(),
                              .change_is_committed = latest_membership_is_committed(),
                              .disk_is_stalled = disk_.is_stalled,
                              .stands_back = election_.stands_back,
                              .passed = election_.passed});
}

void Raft::start_pre_vote() {
  role_ = Role::kPreCandidate;
  leader_ = NodeId();
  election_.suspicion_ticks = 0;
  ballots_.clear();
  start_round_timer();
  count_ballot(config_.self, true);
  if (role_ == Role::kPreCandidate) ask_for_votes(MessageKind::kPreVote, false);
}

void Raft::start_campaign(bool transfer) {
  adopt_term(term_ + 1);
  role_ = Role::kCandidate;
  vote_ = config_.self;
  election_.suspicion_ticks = 0;
  start_round_timer();
  // The own ballot follows when the vote is durable.
  ask_for_votes(MessageKind::kVote, transfer);
}

void Raft::ask_for_votes(MessageKind kind, bool transfer) {
  for (NodeId id : all_ids(membership())) {
    if (id == config_.self || !membership().is_voter(id)) continue;
    PeerMessage message = message_to(id, kind);
    message.log_index = log_.last_index();
    message.log_term = log_.last_term();
    message.transfer = transfer;
    if (kind == MessageKind::kPreVote) {
      message.term = term_ + 1;
      send(std::move(message));
    } else {
      send_when_durable(std::move(message));
    }
  }
}

void Raft::count_ballot(NodeId voter, bool granted) {
  auto known = std::find_if(ballots_.begin(), ballots_.end(),
                            [&](const Ballot& ballot) { return ballot.voter == voter; });
  if (known == ballots_.end()) {
    if (!membership().is_voter(voter)) return;
    ballots_.push_back({voter, granted});
  } else {
    // A refusal may be a late answer to an earlier question; a grant never is.
    known->granted = known->granted || granted;
  }
  auto count = [&](const std::vector<NodeId>& voters) {
    VoteCount result{.voters = voters.size()};
    for (const Ballot& ballot : ballots_) {
      if (!std::binary_search(voters.begin(), voters.end(), ballot.voter)) continue;
      ++(ballot.granted ? result.granted : result.refused);
    }
    return majority_vote(result);
  };
  const VoteResult result =
      joint_vote(count(membership().voters), count(membership().voters_outgoing));
  if (result == VoteResult::kPending) return;
  if (result == VoteResult::kLost) {
    stop_leading_or_asking();
    retry_election_soon();
  } else if (role_ == Role::kPreCandidate) {
    start_campaign(false);
  } else {
    become_leader();
  }
}

// ---- answering ----

bool Raft::may_vote_for(const PeerMessage& message) const {
  return rules::grants_vote(message, {.hard_state = {term_, vote_},
                                      .leader = leader_,
                                      .last = log_.last(),
                                      .is_voter = membership().is_voter(config_.self)});
}

void Raft::on_pre_vote(const PeerMessage& message) {
  const bool granted = !hears_leader() && may_vote_for(message);
  PeerMessage reply = message_to(message.from, MessageKind::kPreVoteReply);
  if (granted) {
    // Echoes the term that was asked about; promises nothing.
    reply.term = message.term;
    send(std::move(reply));
    if (rules::puts_election_off(rules::Heard::kPreVoteGranted)) restart_election_timer();
    return;
  }
  if (hears_leader()) drop(DropReason::kLeaderAlive);
  reply.rejected = true;
  send_when_durable(std::move(reply));
}

void Raft::on_pre_vote_reply(const PeerMessage& message) {
  if (role_ != Role::kPreCandidate) {
    drop(DropReason::kUnexpected);
    return;
  }
  if (!message.rejected) {
    if (message.term == term_ + 1) {
      count_ballot(message.from, true);
    } else {
      drop(DropReason::kStaleTerm);
    }
    return;
  }
  if (rules::refusal_teaches_term(message.term, term_)) {
    adopt_term(message.term);
    retry_election_soon();
    return;
  }
  count_ballot(message.from, false);
}

void Raft::on_vote(const PeerMessage& message) {
  const bool granted = may_vote_for(message);
  // A repeated question gets the same answer and changes nothing.
  if (granted && vote_ != message.from) {
    stop_leading_or_asking();
    vote_ = message.from;
    disk_.hard_state_is_pending = true;
    election_.suspicion_ticks = 0;
    election_.rounds = 0;
    if (rules::puts_election_off(rules::Heard::kVoteGranted)) restart_election_timer();
  }
  PeerMessage reply = message_to(message.from, MessageKind::kVoteReply);
  reply.rejected = !granted;
  send_when_durable(std::move(reply));
}

void Raft::on_vote_reply(const PeerMessage& message) {
  if (role_ != Role::kCandidate) {
    drop(DropReason::kUnexpected);
    return;
  }
  count_ballot(message.from, !message.rejected);
}

}  // namespace bib::consensus
