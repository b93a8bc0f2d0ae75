// Votes and campaigns of one Raft: by whose vote, when, and what a crash leaves of them.
#include <catch2/catch.hpp>
#include <utility>

#include "one_raft.h"

namespace bib::consensus::test {

using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

TEST_CASE("A node does not campaign by the vote of a disk that it no longer has") {
  Restored restored = fresh({1});
  restored.memberships.back().membership.members.front().log_id = 7;
  const auto role_with = [&](std::uint64_t own_log) {
    RaftConfig config = config_of(1);
    config.own_log = own_log;
    Raft raft(config, restored);
    for (unsigned i = 0; i < 3 * config.election_ticks_min; ++i) raft.tick();
    drain(raft);
    if (raft.role() == Role::kFollower) CHECK(raft.term() == Term());
    return raft.role();
  };
  CHECK(role_with(7) == Role::kLeader);
  CHECK(role_with(8) == Role::kFollower);
  CHECK(role_with(0) == Role::kFollower);
  restored.memberships.back().membership.members.front().log_id = 0;
  CHECK(role_with(8) == Role::kLeader);
}

TEST_CASE("Nor by the membership before an uncommitted one, nor when it is handed the leadership") {
  Restored restored = fresh({1, 2});
  restored.memberships.back().membership.members.front().log_id = 7;
  // Its own removal, which it does not know to be committed.
  restored.terms = {{LogIndex(1), Term(3)}};
  restored.sizes = {100};
  restored.hard_state.term = Term(3);
  restored.memberships.push_back({LogIndex(1), of_voters({2})});
  PeerMessage hand_over = from_leader(MessageKind::kTimeoutNow);
  PeerMessage heartbeat = from_leader(MessageKind::kHeartbeat);
  const auto term_after = [&](std::uint64_t own_log, bool is_handed) {
    RaftConfig config = config_of(1);
    config.own_log = own_log;
    Raft raft(config, restored);
    if (is_handed) {
      raft.step(heartbeat);
      raft.step(hand_over);
      drain(raft);
      return raft.term();
    }
    for (unsigned i = 0; i < 3 * config.election_ticks_min; ++i) raft.tick();
    const std::vector<PeerMessage> asked = drain(raft);
    return asked.empty() ? Term() : asked.front().term;
  };
  for (const bool is_handed : {false, true}) {
    CHECK(term_after(7, is_handed) == Term(4));
    CHECK(term_after(8, is_handed) < Term(4));
  }
}

TEST_CASE("Hard state that a vote depends on comes back from the disk") {
  Restored restored = fresh({1, 2, 3});
  restored.hard_state = {Term(5), NodeId(3)};
  Raft raft(config_of(1), restored);
  PeerMessage vote = from_leader(MessageKind::kVote);
  vote.term = Term(5);
  raft.step(vote);
  auto answers = drain(raft);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].rejected);
  vote.from = NodeId(3);
  raft.step(vote);
  answers = drain(raft);
  REQUIRE(answers.size() == 1);
  CHECK_FALSE(answers[0].rejected);
}

TEST_CASE("A vote is neither given nor its term entered while the leader is heard") {
  Raft raft = follower();
  PeerMessage vote = from_leader(MessageKind::kVote);
  vote.from = NodeId(3);
  vote.term = Term(8);
  vote.log_index = LogIndex(90);
  vote.log_term = Term(3);
  raft.step(vote);
  CHECK(drain(raft).empty());
  CHECK(raft.term() == Term(3));
  CHECK(raft.leader() == NodeId(2));
  CHECK(raft.dropped(DropReason::kLeaderAlive) == 1);
  // Unless the leader itself wants it.
  vote.transfer = true;
  raft.step(vote);
  const auto answers = drain(raft);
  REQUIRE(answers.size() == 1);
  CHECK_FALSE(answers[0].rejected);
  CHECK(raft.term() == Term(8));
}

TEST_CASE("A pre-vote changes no term, no vote and no timer") {
  Raft raft(config_of(1), fresh({1, 2, 3}));
  PeerMessage ask = from_leader(MessageKind::kPreVote);
  ask.term = Term(9);
  raft.step(ask);
  const Effects effects = raft.take_effects();
  REQUIRE(effects.send_now.size() == 1);
  CHECK_FALSE(effects.send_now[0].rejected);
  CHECK(effects.send_now[0].term == Term(9));
  CHECK_FALSE(effects.write);
  CHECK(raft.term() == Term(0));
  CHECK(raft.vote() == NodeId());
  // It asks by itself no later than otherwise.
  Raft other(config_of(1), fresh({1, 2, 3}));
  for (int i = 0; i < 40; ++i) {
    raft.tick();
    other.tick();
    CHECK(raft.role() == other.role());
    raft.step(ask);
  }
}

TEST_CASE("Who has given its vote waits a whole election timeout before it asks itself") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    RaftConfig config = config_of(1);
    config.seed = seed;
    Raft raft(config, fresh({1, 2, 3}));
    for (unsigned i = 1; i < config.election_ticks_min; ++i) raft.tick();
    PeerMessage vote = from_leader(MessageKind::kVote);
    raft.step(vote);
    CHECK(raft.vote() == NodeId(2));
    for (unsigned i = 1; i < config.election_ticks_min; ++i) raft.tick();
    CHECK(raft.role() == Role::kFollower);
    // A vote that is refused leaves the timer alone.
    vote.from = NodeId(3);
    for (int i = 0; i < 11 && raft.role() == Role::kFollower; ++i) {
      raft.step(vote);
      raft.tick();
    }
    CHECK(raft.role() == Role::kPreCandidate);
  }
}

}  // namespace bib::consensus::test
