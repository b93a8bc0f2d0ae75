// Single inputs, told to one Raft: what a correct driver and incorrect peers may do to it.

#include "consensus/raft.h"

#include <catch2/catch.hpp>
#include <string>

#include "one_raft.h"
#include "support/test_support.h"
#include "wire/base/prng.h"

namespace bib::consensus::test {

using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

TEST_CASE("A single voter leads after its first tick and commits by itself") {
  Raft raft = leader_of_one();
  CHECK(raft.commit() == LogIndex(1));
  const ProposedAt expected = raft.next_proposal();
  CHECK(raft.propose(100) == expected);
  const Effects effects = raft.take_effects();
  REQUIRE(effects.write);
  CHECK(effects.write->first == LogIndex(2));
  CHECK(effects.write->last == LogIndex(2));
  CHECK_FALSE(effects.write->hard_state);
  CHECK_FALSE(effects.commit);
  raft.durable(done(*effects.write));
  CHECK(raft.take_effects().commit == LogIndex(2));
}

TEST_CASE("What a truncation takes away is no longer sent or in effect") {
  Raft raft = leader_of_two();
  const std::vector changes{MembershipChange{ChangeKind::kRemove, {NodeId(3), "", "", true}}};
  const auto next = raft.prepare_membership_change(changes);
  REQUIRE(next);
  REQUIRE(raft.propose_membership(*next, 200)->index == LogIndex(2));
  drain(raft);
  REQUIRE(raft.propose(100)->index == LogIndex(3));
  // The removal is committed: 3 is sent all that there is, also the entry after it.
  PeerMessage has = from_leader(MessageKind::kAppendReply);
  has.term = Term(1);
  has.match = LogIndex(2);
  raft.step(has);
  CHECK(raft.commit() == LogIndex(2));
  // In the same turn the next leader overwrites that one.
  PeerMessage append = from_leader(MessageKind::kAppend);
  append.log_index = LogIndex(2);
  append.log_term = Term(1);
  append.entries.push_back({LogIndex(3), Term(3), 100, of_voters({1, 2, 4})});
  CHECK(raft.step(append).appended == 1);
  const Effects effects = raft.take_effects();
  for (const PeerMessage& message : effects.send_now) CHECK(message.entries.empty());
  CHECK(effects.membership->index == LogIndex(3));
  drain(raft);
  // And the one after it does so again: the membership before is in effect.
  append.from = NodeId(3);
  append.term = Term(4);
  append.entries = {{LogIndex(3), Term(4), 100, std::nullopt}};
  CHECK(raft.step(append).appended == 1);
  const Effects later = raft.take_effects();
  CHECK(later.write->truncate_from == LogIndex(3));
  REQUIRE(later.membership);
  CHECK(later.membership->index == LogIndex(2));
  CHECK(later.membership->membership == *next);
}

TEST_CASE("The proposals of one turn become one message and one write") {
  Raft raft = leader_of_two();
  for (int i = 0; i < 3; ++i) REQUIRE(raft.propose(100));
  const Effects effects = raft.take_effects();
  REQUIRE(effects.send_now.size() == 1);  // 3 has never answered, and is not sent more
  CHECK(effects.send_now[0].entries.size() == 3);
  REQUIRE(effects.write);
  CHECK(effects.write->last == LogIndex(4));
  CHECK_FALSE(raft.has_effects());
}

TEST_CASE("What the others have committed and the own disk does not have yet is bounded, too") {
  RaftConfig config = config_of(1);
  config.uncommitted_bytes_max = 1000;
  Raft raft(config, fresh({1, 2, 3}));
  elect(raft);
  // From now on the own disk is silent and the others' are fast.
  std::optional<LogWrite> last_write;
  const auto others_have_it = [&] {
    while (raft.has_effects()) {
      Effects effects = raft.take_effects();
      if (effects.write) last_write = effects.write;
    }
    for (const std::uint64_t id : {2, 3}) {
      PeerMessage has = from_leader(MessageKind::kAppendReply);
      has.from = NodeId(id);
      has.term = Term(1);
      has.match = raft.last_index();
      raft.step(has);
    }
  };
  others_have_it();
  int proposed = 0;
  while (raft.propose(100)) {
    ++proposed;
    others_have_it();
    REQUIRE(raft.uncommitted_bytes() == 0);
    REQUIRE(proposed < 100);
  }
  CHECK(proposed == 10);
  CHECK(raft.propose(100).error() == ProposeRefusal::kOverloaded);
  others_have_it();
  REQUIRE(last_write);
  raft.durable(done(*last_write));
  CHECK(raft.propose(100));
}

TEST_CASE("A node that was told nothing never campaigns, and accepts appends") {
  Raft raft(config_of(4), Restored{});
  for (int i = 0; i < 200; ++i) raft.tick();
  CHECK(raft.role() == Role::kFollower);
  CHECK(raft.term() == Term(0));
  PeerMessage append = from_leader(MessageKind::kAppend);
  append.to = NodeId(4);
  append.entries.push_back({LogIndex(1), Term(1), 200, of_voters({2, 4})});
  CHECK(raft.step(append).appended == 1);
  CHECK(raft.membership().is_voter(NodeId(4)));
  const Effects effects = raft.take_effects();
  CHECK(effects.membership->index == LogIndex(1));
}

TEST_CASE("Of an append only what may enter the log has to be read") {
  Raft raft = follower();
  PeerMessage append = from_leader(MessageKind::kAppend);
  append.log_index = LogIndex(2);
  append.log_term = Term(1);
  for (std::uint64_t i = 3; i <= 6; ++i) {
    append.entries.push_back({LogIndex(i), Term(3), 100, std::nullopt});
  }
  CHECK(raft.count_new_entries(append) == 2);
  const auto without = [&](auto change) {
    PeerMessage other = append;
    change(other);
    return raft.count_new_entries(other);
  };
  CHECK(without([](PeerMessage& m) { m.kind = MessageKind::kHeartbeat; }) == 0);
  CHECK(without([](PeerMessage& m) { m.to = NodeId(9); }) == 0);
  CHECK(without([&](PeerMessage& m) { m.term = raft.term() - 1; }) == 0);
  CHECK(without([](PeerMessage& m) { m.log_term = Term(2); }) == 0);       // differs there
  CHECK(without([](PeerMessage& m) { m.log_index = LogIndex(1); }) == 0);  // not in order
  CHECK(without([](PeerMessage& m) { m.entries.resize(2); }) == 0);        // is all there
  REQUIRE(raft.step(append).appended == 2);
  CHECK(raft.count_new_entries(append) == 0);
  // This term's leader is known now.
  PeerMessage of_another = append;
  of_another.from = NodeId(3);
  of_another.entries.push_back({LogIndex(7), Term(3), 100, std::nullopt});
  CHECK(raft.count_new_entries(of_another) == 0);
  of_another.from = append.from;
  CHECK(raft.count_new_entries(of_another) == 1);
}

TEST_CASE("What was accepted of an append is said to the driver") {
  Raft raft = follower();
  PeerMessage append = from_leader(MessageKind::kAppend);
  append.log_index = LogIndex(2);
  append.log_term = Term(1);
  for (std::uint64_t i = 3; i <= 6; ++i) {
    append.entries.push_back({LogIndex(i), Term(3), 100, std::nullopt});
  }
  const Accepted accepted = raft.step(append);
  CHECK(accepted.already_present == 2);
  CHECK(accepted.appended == 2);
  const Effects effects = raft.take_effects();
  CHECK(effects.write->first == LogIndex(5));
  CHECK_FALSE(effects.write->truncate_from);
  CHECK(effects.send_now.empty());
  raft.durable(done(*effects.write));
  const auto answers = drain(raft);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].match == LogIndex(6));
}

TEST_CASE("An empty append acknowledges only what it proves") {
  // After a restart the follower has entries that this leader never mentioned.
  Restored restored = fresh({1, 2, 3});
  restored.hard_state.term = Term(3);
  restored.terms = {{LogIndex(1), Term(1)}};
  restored.sizes.assign(9, 100);
  Raft raft(config_of(1), restored);
  PeerMessage append = from_leader(MessageKind::kAppend);
  append.log_index = LogIndex(4);
  append.log_term = Term(1);
  append.commit = LogIndex(9);
  raft.step(append);
  const auto answers = drain(raft);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].match == LogIndex(4));
  CHECK(raft.commit() == LogIndex(4));
}

TEST_CASE("Messages against the protocol are dropped and counted, never an assertion") {
  Raft raft = follower();
  PeerMessage append = from_leader(MessageKind::kAppend);

  SECTION("to somebody else") {
    append.to = NodeId(9);
    raft.step(append);
    CHECK(raft.dropped(DropReason::kMisaddressed) == 1);
  }
  SECTION("of an unknown kind") {
    append.kind = static_cast<MessageKind>(99);
    raft.step(append);
    CHECK(raft.dropped(DropReason::kMalformed) == 1);
  }
  SECTION("with a gap between its entries") {
    append.log_index = LogIndex(4);
    append.log_term = Term(3);
    append.entries.push_back({LogIndex(6), Term(3), 100, std::nullopt});
    raft.step(append);
    CHECK(raft.dropped(DropReason::kMalformed) == 1);
  }
  SECTION("with an entry of a later term than its own") {
    append.log_index = LogIndex(4);
    append.log_term = Term(3);
    append.entries.push_back({LogIndex(5), Term(4), 100, std::nullopt});
    raft.step(append);
    CHECK(raft.dropped(DropReason::kMalformed) == 1);
  }
  SECTION("against what is committed") {
    append.entries.push_back({LogIndex(1), Term(2), 100, std::nullopt});
    raft.step(append);
    CHECK(raft.dropped(DropReason::kContradiction) == 1);
  }
  SECTION("against what the same leader has said before") {
    append.log_index = LogIndex(2);
    append.log_term = Term(1);
    append.entries.push_back({LogIndex(3), Term(2), 100, std::nullopt});
    raft.step(append);
    CHECK(raft.dropped(DropReason::kContradiction) == 1);
  }
  SECTION("from a second leader of the term") {
    append.from = NodeId(3);
    append.log_index = LogIndex(4);
    append.log_term = Term(3);
    raft.step(append);
    CHECK(raft.dropped(DropReason::kContradiction) == 1);
  }
  SECTION("answers that nobody waits for") {
    for (const MessageKind kind : {MessageKind::kAppendReply, MessageKind::kHeartbeatReply,
                                   MessageKind::kVoteReply, MessageKind::kSnapshotReply}) {
      raft.step(from_leader(kind));
    }
    CHECK(raft.dropped(DropReason::kUnexpected) == 4);
  }
  CHECK(raft.last_index() == LogIndex(4));
  CHECK(raft.commit() == LogIndex(2));
}

TEST_CASE("An acknowledgement of what the leader never had is dropped") {
  Raft raft = leader_of_one();
  const std::vector changes{MembershipChange{ChangeKind::kAddLearner, {NodeId(2), "", "", true}}};
  const auto next = raft.prepare_membership_change(changes);
  REQUIRE(next);
  REQUIRE(raft.propose_membership(*next, 200));
  drain(raft);
  PeerMessage reply = from_leader(MessageKind::kAppendReply);
  reply.term = raft.term();
  reply.match = LogIndex(77);
  raft.step(reply);
  CHECK(raft.dropped(DropReason::kMalformed) == 1);
  CHECK(raft.peers().at(0).match == LogIndex(0));
  reply.from = NodeId(8);
  raft.step(reply);
  CHECK(raft.dropped(DropReason::kUnknownPeer) == 1);
}

TEST_CASE("Random messages of random fields never trip an assertion") {
  wire::Prng random(99);
  for (int round = 0; round < 300; ++round) {
    Raft raft = round % 2 == 0 ? follower() : leader_of_one();
    for (int i = 0; i < 60; ++i) {
      PeerMessage m;
      m.kind = static_cast<MessageKind>(random.below(15));
      m.from = NodeId(random.below(4));
      m.to = NodeId(1);
      m.term = Term(random.below(7));
      m.log_index = LogIndex(random.below(8));
      m.log_term = Term(random.below(5));
      m.commit = LogIndex(random.below(12));
      m.match = LogIndex(random.below(8));
      m.hint_index = LogIndex(random.below(8));
      m.hint_term = Term(random.below(5));
      m.context = random.below(4);
      m.rejected = random.below(2) == 0;
      m.transfer = random.below(2) == 0;
      for (std::uint64_t n = random.below(4); n > 0; --n) {
        const LogIndex index = m.log_index + m.entries.size() + 1;
        const Term term(std::max(m.log_term.value(), random.below(7)));
        m.entries.push_back({index, term, 100, std::nullopt});
      }
      const LogIndex before = raft.commit();
      const std::size_t fresh = raft.count_new_entries(m);
      REQUIRE(raft.step(m).appended <= fresh);
      if (random.below(3) == 0) raft.tick();
      drain(raft);
      REQUIRE(raft.commit() >= before);
    }
  }
}

TEST_CASE("What cannot be restored is refused with a reason") {
  const RaftConfig config = config_of(1);
  Restored restored = fresh({1, 2, 3});
  CHECK(check_restored(config, restored));
  restored.terms = {{LogIndex(1), Term(4)}};
  restored.sizes = {100, 100};
  CHECK_FALSE(check_restored(config, restored));  // the stored term is below the log's
  restored.hard_state.term = Term(4);
  CHECK(check_restored(config, restored));
  restored.applied = LogIndex(3);
  CHECK_FALSE(check_restored(config, restored));
  restored.applied = LogIndex(2);
  restored.memberships.push_back({LogIndex(5), of_voters({1})});
  CHECK_FALSE(check_restored(config, restored));
  restored.memberships.pop_back();
  restored.terms = {{LogIndex(2), Term(4)}};
  CHECK_FALSE(check_restored(config, restored));
  CHECK_FALSE(check_restored(RaftConfig{}, fresh({1})));
}

TEST_CASE("A snapshot that outlived the term that came with it raises the term at start") {
  Restored restored = fresh({1, 2, 3});
  restored.hard_state = {Term(3), NodeId(2)};
  restored.base = {LogIndex(9), Term(4)};
  restored.applied = LogIndex(9);
  restored.memberships[0].index = LogIndex(9);
  REQUIRE(check_restored(config_of(1), restored));
  Raft raft(config_of(1), restored);
  CHECK(raft.term() == Term(4));
  CHECK(raft.vote() == NodeId());
  const Effects effects = raft.take_effects();
  REQUIRE(effects.write);
  CHECK(effects.write->hard_state == wire::HardState{Term(4), NodeId()});
}

TEST_CASE("A driver that reports a write that it was never given is stopped") {
  const auto printed = support::aborts([] {
    Raft raft(config_of(1), fresh({1}));
    raft.durable({7, Term(1), LogIndex(1)});
  });
  REQUIRE(printed);
  CHECK(printed->find("write 7") != std::string::npos);
}

TEST_CASE("A write that is reported with another end is stopped") {
  const auto printed = support::aborts([] {
    Raft raft(config_of(1), fresh({1}));
    raft.tick();
    const Effects effects = raft.take_effects();
    raft.durable({effects.write->append_sequence, Term(1), LogIndex(1)});
  });
  CHECK(printed);
}

}  // namespace bib::consensus::test
