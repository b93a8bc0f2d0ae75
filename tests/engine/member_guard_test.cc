// Nodes that must not speak as members any more, and nodes that may.
#include "engine/node/member_guard.h"

#include <catch2/catch.hpp>

#include "consensus/rules.h"
#include "raft_rig.h"

using namespace bib;
using namespace bib::engine;
using wire::HelloRefusal;
using wire::LogIndex;
using wire::NodeId;
using wire::Term;

namespace {

// Node `id` of the rig greets, as it is.
wire::PeerHello hello_of(test::RaftRig& rig, std::uint64_t id) {
  wire::PeerHello hello;
  hello.from = NodeId(id);
  hello.log_id = 100 + id;
  hello.term = rig.at(id).term();
  hello.log_last = rig.at(id).log().last();
  hello.membership_index = rig.at(id).committed_membership()->index;
  return hello;
}

HelloRefusal verdict(const MemberGuard& guard, const wire::PeerHello& hello) {
  const auto refusal = guard.check(hello);
  if (!refusal) return HelloRefusal::kNone;
  CHECK(refusal->error.code == wire::ErrorCode::kRefused);
  CHECK(refusal->error.message.find("new id") != std::string::npos);
  return refusal->kind;
}

void change(test::RaftRig& rig, std::uint64_t leader, const consensus::MembershipChange& wanted) {
  const std::vector<consensus::MembershipChange> changes{wanted};
  const auto next = rig.at(leader).prepare_membership_change(changes);
  REQUIRE(next);
  REQUIRE(rig.at(leader).propose_membership(*next, 100));
  rig.run();
}

}  // namespace

TEST_CASE("a member that comes back as it was is welcome on every node") {
  test::RaftRig rig(3);
  rig.elect(1);
  for (std::uint64_t at = 1; at <= 3; ++at) {
    MemberGuard guard(rig.at(at));
    for (std::uint64_t id = 1; id <= 3; ++id) {
      if (id == at) continue;
      CHECK(verdict(guard, hello_of(rig, id)) == HelloRefusal::kNone);
    }
  }
}

TEST_CASE("a wiped disk under its old id is refused by every node, whichever leads") {
  test::RaftRig rig(3);
  rig.elect(1);
  wire::PeerHello wiped = hello_of(rig, 3);
  wiped.log_id = 4711;
  for (std::uint64_t at = 1; at <= 2; ++at) {
    CHECK(verdict(MemberGuard(rig.at(at)), wiped) == HelloRefusal::kLogLost);
  }
  rig.hand_over(1, 2);
  CHECK(verdict(MemberGuard(rig.at(1)), wiped) == HelloRefusal::kLogLost);
  // Who does not say which log it has is no member either.
  wiped.log_id = 0;
  CHECK(verdict(MemberGuard(rig.at(1)), wiped) == HelloRefusal::kLogLost);
  // What the refusal says helps nobody to speak for the member.
  const auto refusal = MemberGuard(rig.at(1)).check(wiped);
  REQUIRE(refusal);
  CHECK(refusal->error.message.find(fmt::format("{:x}", 103)) == std::string::npos);
}

TEST_CASE("who was let in by a node that knew no better counts for nothing once it knows") {
  test::RaftRig rig(3);
  MemberGuard guard(rig.at(2));
  wire::PeerMessage message;
  message.kind = wire::MessageKind::kVoteReply;
  message.from = NodeId(3);
  CHECK(guard.on_message(message));
  wire::PeerHello wiped = hello_of(rig, 3);
  wiped.log_id = 4711;
  // At that time its log was empty; by now it names the members.
  guard.admitted(wiped);
  CHECK_FALSE(guard.on_message(message));
  wiped.log_id = 0;
  guard.admitted(wiped);
  CHECK_FALSE(guard.on_message(message));
  guard.admitted(hello_of(rig, 3));
  CHECK(guard.on_message(message));
}

TEST_CASE("strangers that greet under many names do not make a member's log forgotten") {
  test::RaftRig rig(3);
  MemberGuard guard(rig.at(2));
  wire::PeerHello stranger = hello_of(rig, 1);
  for (std::uint64_t id = 1000; id < 4000; ++id) {
    stranger.from = NodeId(id);
    guard.admitted(stranger);
  }
  wire::PeerHello wiped = hello_of(rig, 3);
  wiped.log_id = 4711;
  guard.admitted(wiped);
  for (std::uint64_t id = 4000; id < 7000; ++id) {
    stranger.from = NodeId(id);
    guard.admitted(stranger);
  }
  wire::PeerMessage message;
  message.kind = wire::MessageKind::kVoteReply;
  message.from = NodeId(3);
  CHECK_FALSE(guard.on_message(message));
}

TEST_CASE("a log that has lost what it acknowledged to this leader is refused") {
  test::RaftRig rig(3);
  rig.elect(1);
  REQUIRE(rig.at(1).propose(100));
  rig.run();
  MemberGuard guard(rig.at(1));
  wire::PeerHello back = hello_of(rig, 2);
  CHECK(verdict(guard, back) == HelloRefusal::kNone);
  back.log_last.index = back.log_last.index - 1;
  CHECK(verdict(guard, back) == HelloRefusal::kLogLost);
  // In a later term another leader may have truncated it, and this one does not know yet.
  back.term = back.term + 1;
  CHECK(verdict(guard, back) == HelloRefusal::kNone);
}

TEST_CASE(
    "a disk that has forgotten a term which it has shown is refused by each node that saw it") {
  test::RaftRig rig(3);
  MemberGuard guard(rig.at(2));
  rig.on_step = [&](const wire::PeerMessage& message) {
    if (message.to == NodeId(2)) guard.on_message(message);
  };
  guard.admitted(hello_of(rig, 1));
  rig.elect(1);
  const wire::PeerHello now = hello_of(rig, 1);
  REQUIRE(now.term > Term(0));
  CHECK(verdict(guard, now) == HelloRefusal::kNone);
  wire::PeerHello rolled_back = now;
  rolled_back.term = Term(0);
  CHECK(verdict(guard, rolled_back) == HelloRefusal::kLogLost);
  rig.hand_over(1, 3);
  rig.hand_over(3, 1);
  rolled_back.term = now.term;
  CHECK(verdict(guard, rolled_back) == HelloRefusal::kLogLost);
  CHECK(verdict(guard, hello_of(rig, 1)) == HelloRefusal::kNone);
}

TEST_CASE("a far term that this node has not entered is not held against who named it") {
  test::RaftRig rig(3);
  rig.elect(1);
  MemberGuard guard(rig.at(2));
  const wire::PeerHello hello = hello_of(rig, 3);
  guard.admitted(hello);
  wire::PeerMessage slip;
  slip.kind = wire::MessageKind::kHeartbeatReply;
  slip.from = NodeId(3);
  slip.to = NodeId(2);
  slip.term = hello.term + consensus::rules::kFarStep + 1;
  guard.on_message(slip);
  CHECK(verdict(guard, hello) == HelloRefusal::kNone);
  rig.at(2).step(slip);  // now it has
  REQUIRE(rig.at(2).term() == slip.term);
  guard.on_message(slip);
  CHECK(verdict(guard, hello) == HelloRefusal::kLogLost);
}

TEST_CASE("a pre-vote shows no term that its sender could not forget") {
  test::RaftRig rig(3);
  rig.elect(1);
  MemberGuard guard(rig.at(2));
  const wire::PeerHello hello = hello_of(rig, 3);
  guard.admitted(hello);
  wire::PeerMessage asks;
  asks.kind = wire::MessageKind::kPreVote;
  asks.from = NodeId(3);
  asks.term = hello.term + 5;
  guard.on_message(asks);
  CHECK(verdict(guard, hello) == HelloRefusal::kNone);
}

TEST_CASE("a node that was removed is told so, a node that this one does not know yet is not") {
  test::RaftRig rig(3);
  rig.elect(1);
  const wire::PeerHello before = hello_of(rig, 3);
  change(rig, 1, {consensus::ChangeKind::kRemove, {NodeId(3), "", "", true, 0}});
  const auto* committed = rig.at(1).committed_membership();
  REQUIRE(committed->membership.find(NodeId(3)) == nullptr);
  MemberGuard guard(rig.at(1));
  CHECK(verdict(guard, before) == HelloRefusal::kRemoved);
  // Whoever knows this membership or a later one may know better.
  wire::PeerHello knows = before;
  knows.membership_index = committed->index;
  CHECK(guard.check(knows)->kind == HelloRefusal::kNone);
}

TEST_CASE("who has the longer log is not told that it was removed: the log may name it again") {
  test::RaftRig rig(3);
  rig.elect(1);
  wire::PeerHello returned = hello_of(rig, 3);
  change(rig, 1, {consensus::ChangeKind::kRemove, {NodeId(3), "", "", true, 0}});
  rig.hand_over(1, 2);
  const consensus::Raft& lags = rig.at(1);
  REQUIRE(lags.committed_membership()->membership.find(NodeId(3)) == nullptr);
  rig.at(1).peer_disconnected(NodeId(2));
  REQUIRE(lags.leader() == NodeId());
  const MemberGuard guard(lags);
  // It has started again and does not know yet how much of its log is committed.
  returned.membership_index = LogIndex();
  const wire::LogPosition last = lags.log().last();
  using Positions = std::vector<wire::LogPosition>;
  for (const wire::LogPosition shorter : Positions{
           last, {last.index - 1, last.term}, {last.index + 9, Term(last.term.value() - 1)}}) {
    returned.log_last = shorter;
    CHECK(verdict(guard, returned) == HelloRefusal::kRemoved);
  }
  for (const wire::LogPosition longer :
       Positions{{last.index + 1, last.term}, {last.index, last.term + 1}}) {
    returned.log_last = longer;
    CHECK(verdict(guard, returned) == HelloRefusal::kNone);
  }
}

TEST_CASE("who is no member is followed only where no member leads") {
  test::RaftRig rig(3);
  wire::PeerHello stranger = hello_of(rig, 3);
  stranger.from = NodeId(9);
  stranger.membership_index = stranger.membership_index + 10;
  MemberGuard guard(rig.at(2));
  wire::PeerMessage message;
  message.from = NodeId(9);
  message.kind = wire::MessageKind::kHeartbeat;
  // A leader of later members, to a node that lags and hears no other.
  CHECK_FALSE(guard.check(stranger));
  CHECK(guard.on_message(message));
  rig.elect(1);
  for (const std::uint64_t id : {1, 2}) {
    const auto refusal = MemberGuard(rig.at(id)).check(stranger);
    REQUIRE(refusal);
    CHECK(refusal->kind == HelloRefusal::kNone);  // it only tries again
  }
  CHECK_FALSE(guard.on_message(message));
  message.kind = wire::MessageKind::kVote;
  CHECK(guard.on_message(message));
  message.kind = wire::MessageKind::kHeartbeat;
  rig.at(2).peer_disconnected(NodeId(1));
  CHECK_FALSE(guard.check(stranger));
  CHECK(guard.on_message(message));
}

TEST_CASE("a node that joined again under its old id is welcome with its new log only") {
  test::RaftRig rig(3);
  rig.elect(1);
  const wire::PeerHello old = hello_of(rig, 3);
  MemberGuard guard(rig.at(1));
  guard.admitted(old);
  change(rig, 1, {consensus::ChangeKind::kRemove, {NodeId(3), "", "", true, 0}});
  change(rig, 1, {consensus::ChangeKind::kAddLearner, {NodeId(3), "h:1", "h:2", true, 500}});
  wire::PeerHello rejoined = old;
  rejoined.log_id = 500;
  rejoined.term = Term(0);
  rejoined.log_last = {};
  rejoined.membership_index = LogIndex();
  CHECK(verdict(guard, rejoined) == HelloRefusal::kNone);
  CHECK(verdict(guard, old) == HelloRefusal::kLogLost);
}

TEST_CASE(
    "a node that has joined again, unknown to a follower that lags, may lead it and is not "
    "counted") {
  test::RaftRig rig(3);
  MemberGuard guard(rig.at(2));
  wire::PeerHello rejoined = hello_of(rig, 3);
  rejoined.log_id = 500;
  CHECK(verdict(guard, rejoined) == HelloRefusal::kLogLost);
  rejoined.membership_index = rejoined.membership_index + 2;  // its removal, and its second joining
  REQUIRE(verdict(guard, rejoined) == HelloRefusal::kNone);
  guard.admitted(rejoined);
  wire::PeerMessage message;
  message.from = NodeId(3);
  const auto passes = [&](wire::MessageKind kind) {
    message.kind = kind;
    return guard.on_message(message);
  };
  using enum wire::MessageKind;
  for (const auto kind : {kAppend, kHeartbeat, kSnapshot, kTimeoutNow, kPreVote, kVote, kReadIndex,
                          kReadIndexReply}) {
    CHECK(passes(kind));
  }
  for (const auto kind :
       {kPreVoteReply, kVoteReply, kAppendReply, kHeartbeatReply, kSnapshotReply}) {
    CHECK_FALSE(passes(kind));
  }
}

TEST_CASE(
    "a node that starts and knows of no membership that it is committed lets in one that joined "
    "again") {
  // Three founded the cluster with entry 1, and this one was away since.
  consensus::RaftConfig config;
  config.self = NodeId(1);
  consensus::Restored restored;
  restored.hard_state.term = Term(1);
  restored.terms = {{LogIndex(1), Term(1)}};
  restored.sizes = {100};
  restored.memberships = {{LogIndex(1), test::RaftRig(3).membership()}};
  REQUIRE(consensus::check_restored(config, restored));
  const consensus::Raft raft(config, restored);
  REQUIRE(raft.committed_membership() == nullptr);
  const MemberGuard guard(raft);
  wire::PeerHello hello;
  hello.from = NodeId(3);
  hello.log_id = 500;
  hello.term = Term(4);
  hello.log_last = {LogIndex(20), Term(3)};
  hello.membership_index = LogIndex(17);
  CHECK(verdict(guard, hello) == HelloRefusal::kNone);
  // It has been started as well, and knows of none either; but it has the longer log.
  hello.membership_index = LogIndex();
  CHECK(verdict(guard, hello) == HelloRefusal::kNone);
  // A disk that was emptied has neither.
  hello.log_last = {};
  CHECK(verdict(guard, hello) == HelloRefusal::kLogLost);
}
