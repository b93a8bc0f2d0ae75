#include "consensus/rules.h"

#include <catch2/catch.hpp>
#include <optional>
#include <utility>
#include <vector>

namespace bib::consensus::rules {

namespace {

constexpr NodeId kA(1);
constexpr NodeId kB(2);
constexpr NodeId kC(3);

LogIndex at(std::uint64_t index) {
  return LogIndex(index);
}

LogPosition log_to(std::uint64_t index, std::uint64_t term) {
  return {LogIndex(index), Term(term)};
}

wire::PeerMessage question(MessageKind kind, Term term, LogPosition last) {
  wire::PeerMessage message;
  message.kind = kind;
  message.from = kA;
  message.term = term;
  message.log_index = last.index;
  message.log_term = last.term;
  return message;
}

wire::Membership voters(std::vector<NodeId> ids) {
  wire::Membership membership;
  membership.voters = std::move(ids);
  for (NodeId id : membership.voters) membership.members.push_back({.id = id});
  return membership;
}

}  // namespace

// ---- elections ----

TEST_CASE("rules: a term is reached in steps of a limited size") {
  CHECK(may_be_reached(Term(2), Term(9)));
  CHECK(may_be_reached(Term(9 + kTermStepMax), Term(9)));
  CHECK_FALSE(may_be_reached(Term(10 + kTermStepMax), Term(9)));
}

TEST_CASE("Term and vote are durable before they are told, and outlive a restart") {
  CHECK(may_promise(true));
  CHECK_FALSE(may_promise(false));
  CHECK(vote_after_restart(kB) == kB);
}

TEST_CASE(
    "rules: an earlier term has no effect, a later one is entered, and no vote comes with it") {
  CHECK(is_stale(MessageKind::kVoteReply, Term(2), Term(3)));
  CHECK(is_stale(MessageKind::kHeartbeat, Term(2), Term(3)));
  CHECK_FALSE(is_stale(MessageKind::kVoteReply, Term(3), Term(3)));
  CHECK(enters_term(MessageKind::kVote, Term(4), Term(3)));
  CHECK_FALSE(enters_term(MessageKind::kVote, Term(3), Term(3)));
  CHECK_FALSE(enters_term(MessageKind::kPreVote, Term(4), Term(3)));
  CHECK(vote_on_entering_term(kA) == NodeId());
}

TEST_CASE("A term has one leader") {
  CHECK(may_follow(NodeId(), kA));
  CHECK(may_follow(kA, kA));
  CHECK_FALSE(may_follow(kB, kA));
}

TEST_CASE("A log is as new by its last term, and only then by its length") {
  for (MessageKind kind : {MessageKind::kPreVote, MessageKind::kVote}) {
    CHECK(is_up_to_date(kind, log_to(1, 3), log_to(9, 2)));
    CHECK_FALSE(is_up_to_date(kind, log_to(9, 2), log_to(1, 3)));
    CHECK(is_up_to_date(kind, log_to(5, 2), log_to(5, 2)));
    CHECK_FALSE(is_up_to_date(kind, log_to(4, 2), log_to(5, 2)));
  }
}

TEST_CASE("A vote is given once in a term, and not beside the term's leader") {
  const wire::PeerMessage vote = question(MessageKind::kVote, Term(3), log_to(5, 2));
  const Voter free{.hard_state = {Term(3), NodeId()}, .last = log_to(5, 2), .is_voter = true};
  CHECK(grants_vote(vote, free));
  Voter own = free;
  own.is_voter = false;
  CHECK(grants_vote(vote, own));
  own = free;
  own.hard_state.vote = kA;
  CHECK(grants_vote(vote, own));
  own.hard_state.vote = kB;
  CHECK_FALSE(grants_vote(vote, own));
  // A pre-vote is about the next term, in which that vote binds no one.
  CHECK(grants_vote(question(MessageKind::kPreVote, Term(4), log_to(5, 2)), own));
  own = free;
  own.leader = kB;
  CHECK_FALSE(grants_vote(vote, own));
  own = free;
  own.last = log_to(6, 2);
  CHECK_FALSE(grants_vote(vote, own));
}

TEST_CASE("The own leader and a vote put an election off, nothing else") {
  CHECK(puts_election_off(Heard::kLeader));
  CHECK(puts_election_off(Heard::kVoteGranted));
  CHECK_FALSE(puts_election_off(Heard::kDeposedLeader));
  CHECK_FALSE(puts_election_off(Heard::kPreVoteGranted));
  CHECK(refusal_teaches_term(Term(3), Term(2)));
  CHECK_FALSE(refusal_teaches_term(Term(2), Term(2)));
}

TEST_CASE("A leader that no quorum answers stops after an election timeout") {
  CHECK(keeps_leading(9, 10));
  CHECK_FALSE(keeps_leading(10, 10));
}

// ---- replication and the own disk ----

TEST_CASE("Only an entry that differs cuts a log, and never what is committed") {
  CHECK(conflicts({.fresh = at(4), .end = at(6), .last = at(9)}));
  CHECK(conflicts({.fresh = at(6), .end = at(6), .last = at(6)}));
  CHECK_FALSE(conflicts({.fresh = at(7), .end = at(8), .last = at(6)}));  // all of it is new
  CHECK_FALSE(conflicts({.fresh = at(7), .end = at(6), .last = at(9)}));  // all of it is known
  CHECK(may_truncate(at(5), at(4)));
  CHECK_FALSE(may_truncate(at(4), at(4)));
}

TEST_CASE("A refusal takes no acknowledgement back") {
  CHECK(match_after({.refused = at(3), .retry = at(1)}, at(5)) == at(5));
  CHECK(match_after({.refused = at(8), .retry = at(1)}, at(5)) == at(5));
}

TEST_CASE("An append that does not arrive for an election timeout is missed") {
  Progress peer;
  peer.in_flight.add(at(7), 10);
  peer.received = at(6);
  peer.ticks_without_match = 9;
  CHECK_FALSE(is_stuck(peer, 10));
  peer.ticks_without_match = 10;
  CHECK(is_stuck(peer, 10));
  peer.received = at(7);
  CHECK_FALSE(is_stuck(peer, 10));
}

TEST_CASE("What is acknowledged is durable, and proven, and still there") {
  CHECK(acknowledged(at(5), at(7)) == at(5));
  CHECK(acknowledged(at(7), at(5)) == at(5));
  CHECK(proven_by_write(at(7), at(5)) == at(5));
  CHECK(proven_by_write(at(4), at(5)) == at(4));
  // Also what was only handed out has to go from the disk.
  CHECK(truncates_disk(at(5), {.durable = at(3), .handed = at(6)}));
  CHECK_FALSE(truncates_disk(at(5), {.durable = at(3), .handed = at(5)}));
}

// ---- commitment ----

TEST_CASE("A leader counts only for entries of its term, where it votes, by its disk") {
  CHECK(may_commit_by_counting(Term(3), Term(3)));
  CHECK_FALSE(may_commit_by_counting(Term(2), Term(3)));
  CHECK_FALSE(may_commit_by_counting(std::nullopt, Term(3)));
  CHECK(own_match(at(4), at(9)) == at(4));
  CHECK(counts_towards_quorum(kA, {kA, kB}));
  CHECK_FALSE(counts_towards_quorum(kC, {kA, kB}));
  CHECK_FALSE(counts_towards_quorum(kA, {}));
}

TEST_CASE("A follower commits what is proven, not what its log has") {
  CHECK(commit_to_tell(at(9), at(4)) == at(4));
  CHECK(commit_to_tell(at(3), at(4)) == at(3));
  CHECK(commit_to_learn({.commit = at(9), .proved = at(4), .last = at(7)}) == at(4));
  CHECK(commit_to_learn({.commit = at(3), .proved = at(4), .last = at(7)}) == at(3));
}

// ---- membership ----

TEST_CASE("One change at a time, and none before the leader's first commit") {
  CHECK(may_propose_change({.commit = at(5), .latest_change = at(5), .term_start = at(5)}));
  CHECK_FALSE(may_propose_change({.commit = at(5), .latest_change = at(6), .term_start = at(4)}));
  CHECK_FALSE(may_propose_change({.commit = at(5), .latest_change = at(4), .term_start = at(6)}));
  CHECK(goes_with_its_entry(at(6), at(6)));
  CHECK_FALSE(goes_with_its_entry(at(5), at(6)));
  CHECK(must_resign(false));
  CHECK_FALSE(must_resign(true));
}

TEST_CASE("A node campaigns where it is a voter, or was before an uncommitted change") {
  const wire::Membership with = voters({kA, kB});
  const wire::Membership without = voters({kB});
  auto may = [](const wire::Membership& now, const wire::Membership& before, bool committed) {
    return may_campaign({.self = kA,
                         .own_log = 7,
                         .in_effect = now,
                         .before = before,
                         .change_is_committed = committed});
  };
  CHECK(may(with, without, true));
  CHECK(may(with, without, false));
  CHECK(may(without, with, false));
  CHECK_FALSE(may(without, with, true));
  CHECK_FALSE(may(without, without, false));
  // The line speaks of an earlier disk.
  wire::Membership other_disk = with;
  other_disk.members[0].log_id = 8;
  CHECK_FALSE(may(other_disk, with, false));
  CHECK_FALSE(may(without, other_disk, false));
}

TEST_CASE("A node whose disk stalls does not campaign") {
  const wire::Membership all = voters({kA, kB});
  CHECK_FALSE(may_campaign({.self = kA, .in_effect = all, .before = all, .disk_is_stalled = true}));
}

TEST_CASE("A node that stands back campaigns only when others have had the time to") {
  const wire::Membership all = voters({kA, kB});
  Candidacy candidacy{.self = kA, .in_effect = all, .before = all, .stands_back = true};
  CHECK_FALSE(may_campaign(candidacy));
  candidacy.passed = kPassesMax - 1;
  CHECK_FALSE(may_campaign(candidacy));
  candidacy.passed = kPassesMax;
  CHECK(may_campaign(candidacy));
}

TEST_CASE("A learner is promoted when it is near enough to count") {
  const Learner ready{
      .is_learner = true, .is_replicating = true, .is_in_reach = true, .has_nearly_all = true};
  CHECK(may_be_promoted(ready));
  for (bool Learner::*condition : {&Learner::is_learner, &Learner::is_replicating,
                                   &Learner::is_in_reach, &Learner::has_nearly_all}) {
    Learner learner = ready;
    learner.*condition = false;
    CHECK_FALSE(may_be_promoted(learner));
  }
}

// ---- snapshots, reads, transfer, suspicion ----

TEST_CASE("A log continues after a snapshot if it has the snapshot's last entry") {
  CHECK(log_goes_on({.snapshot = at(5), .last = at(9), .log_has_it = true}));
  CHECK(log_goes_on({.snapshot = at(5), .last = at(5), .log_has_it = true}));
  CHECK_FALSE(log_goes_on({.snapshot = at(5), .last = at(9), .log_has_it = false}));
  CHECK_FALSE(log_goes_on({.snapshot = at(5), .last = at(3), .log_has_it = false}));
  CHECK(needs_snapshot(at(5), at(5)));
  CHECK_FALSE(needs_snapshot(at(6), at(5)));
}

TEST_CASE("A peer is there when it has answered this leader, and lately") {
  Progress peer;
  CHECK_FALSE(is_active(peer, 10));
  peer.hear();
  CHECK(is_active(peer, 10));
  peer.ticks_since_heard = 9;
  CHECK(is_active(peer, 10));
  peer.ticks_since_heard = 10;
  CHECK_FALSE(is_active(peer, 10));
}

TEST_CASE("A read waits for the leader's first commit and for a quorum's answer") {
  CHECK(may_answer_reads(at(6), at(6)));
  CHECK_FALSE(may_answer_reads(at(5), at(6)));
  CHECK(answers_read(4, 4));
  CHECK_FALSE(answers_read(5, 4));
}

TEST_CASE("A transfer stops proposals, goes to a voter, and ends") {
  CHECK(takes_proposals(false));
  CHECK_FALSE(takes_proposals(true));
  CHECK(may_take_over(true));
  CHECK_FALSE(may_take_over(false));
  CHECK(transfer_has_failed(10, 10));
  CHECK_FALSE(transfer_has_failed(9, 10));
  CHECK(relieves_stalled(at(6), at(5)));
  CHECK_FALSE(relieves_stalled(at(5), at(5)));
}

TEST_CASE("A leader that is suspected is forgotten") {
  CHECK(leader_after_suspicion(kA) == NodeId());
}

}  // namespace bib::consensus::rules
