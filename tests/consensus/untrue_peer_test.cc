// What a peer says that cannot be true: dropped and counted, whatever its number is.
#include <catch2/catch.hpp>

#include "consensus/raft.h"
#include "consensus/rules.h"
#include "one_raft.h"

namespace bib::consensus::test {

using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

namespace {

constexpr MessageKind kOwnTerm[] = {MessageKind::kAppend,       MessageKind::kHeartbeat,
                                    MessageKind::kVote,         MessageKind::kVoteReply,
                                    MessageKind::kAppendReply,  MessageKind::kHeartbeatReply,
                                    MessageKind::kSnapshotReply};

// Leads term 6 by the vote of 2, which has its first entry.
Raft leader_of_term_six() {
  Restored restored = fresh({1, 2, 3});
  restored.hard_state.term = Term(5);
  Raft raft(config_of(1), restored);
  elect(raft, Term(6));
  PeerMessage has = from_leader(MessageKind::kAppendReply);
  has.term = Term(6);
  has.match = LogIndex(1);
  raft.step(has);
  drain(raft);
  REQUIRE(raft.role() == Role::kLeader);
  REQUIRE(raft.commit() == LogIndex(1));
  return raft;
}

}  // namespace

TEST_CASE("A term that is too far ahead is not entered at one node's word, in no kind of message") {
  for (const MessageKind kind : kOwnTerm) {
    Raft raft = follower();
    PeerMessage untrue = from_leader(kind);
    untrue.term = Term(3 + rules::kTermStepMax + 1);
    for (int i = 0; i < 3; ++i) raft.step(untrue);
    CHECK(raft.term() == Term(3));
    CHECK(raft.dropped(DropReason::kTermJump) == 3);
    untrue.term = Term(3 + rules::kTermStepMax);
    raft.step(untrue);
    CHECK(raft.dropped(DropReason::kTermJump) == 3);
  }
  // One that refuses a pre-vote teaches its term.
  Raft raft = follower();
  for (int i = 0; i < 30 && raft.role() != Role::kPreCandidate; ++i) raft.tick();
  PeerMessage refusal = from_leader(MessageKind::kPreVoteReply);
  refusal.rejected = true;
  refusal.term = wire::kTermMax;
  raft.step(refusal);
  CHECK(raft.term() == Term(3));
}

TEST_CASE("A term that a majority of the voters has reached is entered however far it is") {
  const Term far(9 * rules::kTermStepMax);
  Raft raft = follower();
  PeerMessage heartbeat = from_leader(MessageKind::kHeartbeat);
  heartbeat.term = far;
  raft.step(heartbeat);
  // Who is no voter says nothing, and a pre-vote asks about a term that nobody has entered.
  heartbeat.from = NodeId(9);
  raft.step(heartbeat);
  PeerMessage other = from_leader(MessageKind::kPreVote);
  other.from = NodeId(3);
  other.term = far;
  raft.step(other);
  CHECK(raft.term() == Term(3));
  other.kind = MessageKind::kHeartbeatReply;
  raft.step(other);
  CHECK(raft.term() == far);
  heartbeat.from = NodeId(2);
  raft.step(heartbeat);
  CHECK(raft.leader() == NodeId(2));
}

TEST_CASE("Nobody walks a node to the end of all terms: a far step at one's word has its time") {
  Raft raft = follower();
  PeerMessage untrue = from_leader(MessageKind::kHeartbeat);
  const auto says = [&](std::uint64_t term) {
    untrue.term = Term(term);
    raft.step(untrue);
    return raft.term() == untrue.term;
  };
  const std::uint64_t far = 3 + rules::kTermStepMax;
  REQUIRE(says(far));
  CHECK_FALSE(says(far + rules::kFarStep + 1));
  // What elections can have made is entered at once.
  CHECK(says(far + rules::kFarStep));
  const std::uint64_t next = far + 2 * rules::kFarStep + 1;
  for (unsigned i = 1; i < config_of(1).election_ticks_min; ++i) raft.tick();
  CHECK_FALSE(says(next));
  raft.tick();
  CHECK(says(next));
  // And what a majority has entered, at any time.
  CHECK_FALSE(says(next + rules::kFarStep + 1));
  untrue.from = NodeId(3);
  CHECK(says(next + rules::kFarStep + 1));
}

TEST_CASE("A node that knows no voter yet enters the cluster's term") {
  Raft raft(config_of(1), Restored{});
  PeerMessage heartbeat = from_leader(MessageKind::kHeartbeat);
  heartbeat.term = Term(9 * rules::kTermStepMax);
  raft.step(heartbeat);
  CHECK(raft.term() == heartbeat.term);
  heartbeat.term = wire::kTermMax + 1;
  raft.step(heartbeat);
  CHECK(raft.dropped(DropReason::kMalformed) == 1);
}

TEST_CASE("A disk that names a term which no election reaches is refused, with what to do") {
  Restored restored = fresh({1, 2, 3});
  restored.hard_state.term = wire::kTermMax;
  CHECK(check_restored(config_of(1), restored));
  restored.hard_state.term = wire::kTermMax + 1;
  const auto refused = check_restored(config_of(1), restored);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == wire::ErrorCode::kCorrupt);
  for (const char* part : {"4611686018427387905", "bib cluster member remove", "backup"}) {
    CHECK(refused.error().message.find(part) != std::string::npos);
  }
}

TEST_CASE("A leader that stepped down in its term loses nothing committed to who says it leads") {
  Raft raft = leader_of_term_six();
  for (int i = 0; i < 20 && raft.role() == Role::kLeader; ++i) raft.tick();
  REQUIRE(raft.role() == Role::kFollower);
  REQUIRE(raft.term() == Term(6));
  PeerMessage append = from_leader(MessageKind::kAppend);
  append.from = NodeId(3);
  append.term = Term(6);
  append.entries.push_back({LogIndex(1), Term(2), 100, std::nullopt});
  raft.step(append);
  CHECK(raft.dropped(DropReason::kContradiction) == 1);
  CHECK(raft.log().term_at(LogIndex(1)) == Term(6));
}

TEST_CASE("A follower that has more than its leader is not believed") {
  Raft raft = leader_of_term_six();
  PeerMessage reply = from_leader(MessageKind::kHeartbeatReply);
  reply.term = Term(6);
  reply.hint_index = raft.last_index() + 1;
  raft.step(reply);
  CHECK(raft.dropped(DropReason::kMalformed) == 1);
}

TEST_CASE("A read is confirmed by the leader and by nobody else") {
  Raft raft = follower();
  raft.request_read(7);
  drain(raft);
  PeerMessage reply = from_leader(MessageKind::kReadIndexReply);
  reply.from = NodeId(3);
  reply.context = 7;
  reply.match = LogIndex(1);
  raft.step(reply);
  CHECK(raft.dropped(DropReason::kUnexpected) == 1);
  CHECK(raft.take_effects().reads_ready.empty());
  reply.from = NodeId(2);
  raft.step(reply);
  CHECK(raft.take_effects().reads_ready.size() == 1);
}

}  // namespace bib::consensus::test
