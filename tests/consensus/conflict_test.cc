// A leader that contradicts what is committed, and who asks for votes when a voter comes into
// reach.
#include <catch2/catch.hpp>

#include <algorithm>

#include "consensus/raft.h"
#include "one_raft.h"

namespace bib::consensus::test {

using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

namespace {

// Node 2, as the leader of term 4, has an entry of term 4 at `index`, after one of `previous`.
PeerMessage append_of(std::uint64_t index, std::uint64_t previous) {
  PeerMessage message = from_leader(MessageKind::kAppend);
  message.term = Term(4);
  message.log_index = LogIndex(index - 1);
  message.log_term = Term(previous);
  wire::EntryInfo entry;
  entry.index = LogIndex(index);
  entry.term = Term(4);
  entry.size = 100;
  message.entries = {entry};
  return message;
}

std::vector<CommittedConflict> conflicts_in(Raft& raft) {
  std::vector<CommittedConflict> found;
  while (raft.has_effects()) {
    const Effects effects = raft.take_effects();
    if (effects.conflict) found.push_back(*effects.conflict);
    if (effects.write) raft.durable(done(*effects.write));
  }
  return found;
}

std::size_t pre_votes_in(const std::vector<PeerMessage>& messages) {
  return static_cast<std::size_t>(std::count_if(
      messages.begin(), messages.end(),
      [](const PeerMessage& message) { return message.kind == MessageKind::kPreVote; }));
}

}  // namespace

TEST_CASE("A leader without what is committed here is told of, and again when it stands by it") {
  Raft raft = follower();  // entries 1..4, of which 1 and 2, of term 1, are committed
  raft.step(append_of(2, 1));
  CHECK(raft.dropped(DropReason::kContradiction) == 1);
  CHECK(raft.is_contradicted());
  CommittedConflict conflict{.leader = NodeId(2),
                             .index = LogIndex(2),
                             .own = Term(1),
                             .leaders = Term(4),
                             .lasts = false};
  CHECK(conflicts_in(raft) == std::vector{conflict});
  PeerMessage heartbeat = from_leader(MessageKind::kHeartbeat);
  heartbeat.term = Term(4);
  for (unsigned i = 1; i < config_of(1).election_ticks_min; ++i) {
    raft.step(heartbeat);
    raft.step(append_of(2, 1));
    raft.tick();
  }
  CHECK(conflicts_in(raft).empty());
  raft.step(heartbeat);
  raft.tick();
  conflict.lasts = true;
  CHECK(conflicts_in(raft) == std::vector{conflict});
  raft.step(heartbeat);
  raft.tick();
  CHECK(conflicts_in(raft).empty());
  // Nothing of it was taken.
  CHECK(raft.commit() == LogIndex(2));
  CHECK(raft.log().term_at(LogIndex(2)) == Term(1));
}

TEST_CASE("A node that its leader contradicts answers nothing, so that nobody counts it") {
  Raft raft = follower();
  raft.step(append_of(2, 1));
  REQUIRE(raft.is_contradicted());
  drain(raft);
  PeerMessage heartbeat = from_leader(MessageKind::kHeartbeat);
  heartbeat.term = Term(4);
  raft.step(heartbeat);
  raft.step(append_of(9, 4));  // after the end of its log
  CHECK(drain(raft).empty());
}

TEST_CASE("A leader whose own entries agree with what is committed contradicts no more") {
  Raft raft = follower();
  raft.step(append_of(2, 1));
  REQUIRE(raft.is_contradicted());
  REQUIRE(raft.step(append_of(3, 1)).appended == 1);  // after entry 2, as it is here
  CHECK_FALSE(raft.is_contradicted());
  CHECK_FALSE(drain(raft).empty());
  for (unsigned i = 0; i < config_of(1).election_ticks_min - 1; ++i) raft.tick();
  CHECK(conflicts_in(raft).empty());
}

TEST_CASE("A follower acknowledges what its leader has sent, not what it knows to be committed") {
  Raft raft = follower();  // entries 1 and 2 are committed
  PeerMessage heartbeat = from_leader(MessageKind::kHeartbeat);
  heartbeat.term = Term(4);
  raft.step(heartbeat);
  std::vector<PeerMessage> said = drain(raft);
  REQUIRE(said.size() == 1);
  CHECK(said.front().kind == MessageKind::kHeartbeatReply);
  CHECK(said.front().match == LogIndex());
  CHECK(said.front().hint_index == LogIndex());
  raft.step(append_of(3, 1));
  said = drain(raft);
  REQUIRE_FALSE(said.empty());
  CHECK(said.back().kind == MessageKind::kAppendReply);
  CHECK(said.back().match == LogIndex(3));
}

TEST_CASE(
    "A snapshot of what this node has is acknowledged; one that contradicts it is a conflict") {
  Raft raft = follower();  // entries 1 and 2, of term 1, are committed
  PeerMessage offer = from_leader(MessageKind::kSnapshot);
  offer.term = Term(4);
  offer.log_index = LogIndex(2);
  offer.log_term = Term(1);
  raft.step(offer);
  const std::vector<PeerMessage> said = drain(raft);
  REQUIRE(said.size() == 1);
  CHECK(said.front().kind == MessageKind::kSnapshotReply);
  CHECK(said.front().match == LogIndex(2));
  offer.log_term = Term(2);
  raft.step(offer);
  CHECK(raft.is_contradicted());
  CHECK(raft.dropped(DropReason::kContradiction) == 1);
  offer.log_index = LogIndex(9);
  raft.step(offer);
  REQUIRE(raft.has_effects());
  CHECK_FALSE(raft.take_effects().receive_snapshot);
}

TEST_CASE("Another leader ends a conflict") {
  Raft raft = follower();
  raft.step(append_of(2, 1));
  REQUIRE(conflicts_in(raft).size() == 1);
  PeerMessage heartbeat = from_leader(MessageKind::kHeartbeat);
  heartbeat.from = NodeId(3);
  heartbeat.term = Term(5);
  raft.step(heartbeat);
  CHECK_FALSE(raft.is_contradicted());
  for (unsigned i = 0; i < 3 * config_of(1).election_ticks_min; ++i) {
    raft.step(heartbeat);
    raft.tick();
  }
  CHECK(conflicts_in(raft).empty());
}

TEST_CASE("What is not committed may differ: that is no conflict") {
  Raft raft = follower();
  raft.step(append_of(3, 1));
  CHECK_FALSE(raft.is_contradicted());
  CHECK(raft.log().term_at(LogIndex(3)) == Term(4));
}

TEST_CASE("A leader that changes what it has proven in its term is dropped, without an alarm") {
  Raft raft = follower();
  REQUIRE(raft.step(append_of(3, 1)).appended == 1);
  PeerMessage other = append_of(3, 1);
  other.entries.front().term = Term(3);
  raft.step(other);
  CHECK(raft.dropped(DropReason::kContradiction) == 1);
  CHECK_FALSE(raft.is_contradicted());
}

TEST_CASE("A node begins with what it knows to be committed, beyond what is applied") {
  Restored restored = fresh({1, 2, 3});
  restored.hard_state.term = Term(3);
  restored.terms = {{LogIndex(1), Term(3)}};
  restored.sizes.assign(4, 100);
  restored.applied = LogIndex(1);
  restored.committed = LogIndex(3);
  restored.memberships.clear();
  restored.memberships.push_back({LogIndex(1), of_voters({1, 2, 3})});
  Raft raft(config_of(1), restored);
  CHECK(raft.commit() == LogIndex(3));
  CHECK(raft.applied() == LogIndex(1));
  raft.step(append_of(3, 3));
  CHECK(raft.is_contradicted());
  for (const std::uint64_t committed : {0, 5}) {
    restored.applied = LogIndex(2);
    restored.committed = LogIndex(committed);
    CHECK(check_restored(config_of(1), restored).has_value() == (committed == 0));
  }
  restored.committed = LogIndex(1);
  CHECK_FALSE(check_restored(config_of(1), restored));
}

TEST_CASE("A voter that comes into reach while nobody leads is asked soon") {
  Raft raft(config_of(1), fresh({1, 2, 3}));
  raft.tick();
  REQUIRE(pre_votes_in(drain(raft)) == 0);
  SECTION("and the ask is the same, however often it comes") {
    std::size_t asked = 0;
    for (unsigned i = 0; i < 6; ++i) {
      raft.peer_connected(NodeId(2));
      raft.tick();
      asked += pre_votes_in(drain(raft)) > 0 ? 1 : 0;
    }
    CHECK(asked > 0);
    CHECK(raft.term() == Term());
  }
  SECTION("but not one that has no vote") {
    raft.peer_connected(NodeId(9));
    for (unsigned i = 0; i < 6; ++i) raft.tick();
    CHECK(pre_votes_in(drain(raft)) == 0);
  }
  SECTION("and not by a node that hears a leader") {
    raft.step(from_leader(MessageKind::kHeartbeat));
    drain(raft);
    raft.peer_connected(NodeId(3));
    for (unsigned i = 0; i < 6; ++i) raft.tick();
    CHECK(pre_votes_in(drain(raft)) == 0);
  }
}

}  // namespace bib::consensus::test
