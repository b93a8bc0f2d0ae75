// Whether rows are those of a majority: found at one entry, whatever is lost, late or lagging, and
// never at the word of one node.
#include "engine/node/digest_comparison.h"

#include <catch2/catch.hpp>
#include <set>

#include "raft_rig.h"
#include "wire/base/prng.h"

using namespace bib;
using namespace bib::engine;
using consensus::Role;
using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;

namespace {

constexpr std::uint64_t kForm = 7;

bool is_heartbeat(const wire::PeerMessage& message) {
  return message.kind == MessageKind::kHeartbeat || message.kind == MessageKind::kHeartbeatReply;
}

// Nodes whose heartbeats carry digests as RowsGuard has them do. A node's digests after entry i are
// made up of i; those of a node in `changed` differ in the second place.
struct Rig {
  explicit Rig(std::uint64_t nodes) : rafts(nodes) {
    for (std::uint64_t id = 1; id <= nodes; ++id) add(id);
    rafts.on_send = [this](wire::PeerMessage& message) {
      const std::uint64_t from = message.from.value();
      if (is_heartbeat(message)) {
        at(from).stamp(message, now_us, rafts.at(from));
        apply(from);
        if (message.digests.asked != LogIndex() || message.digests.index != LogIndex()) ++stamped;
      }
      return alter(message);
    };
    rafts.on_step = [this](const wire::PeerMessage& message) {
      const std::uint64_t to = message.to.value();
      apply(to);
      if (is_heartbeat(message)) {
        at(to).received({message.kind, message.from, message.term, message.digests}, applied[to],
                        rafts.at(to));
      }
      for (auto& [id, one] : nodes_) apply(id);
    };
  }

  void add(std::uint64_t id, std::uint64_t form = kForm) {
    nodes_.erase(id);
    nodes_.emplace(id, DigestComparison(form));
  }
  DigestComparison& at(std::uint64_t id) { return nodes_.at(id); }
  RowsVerdict verdict(std::uint64_t id) { return at(id).verdict(); }

  DigestComparison::Values values(std::uint64_t id, LogIndex index) const {
    return {index.value() * 3, index.value() * 5 + (changed.contains(id) ? 1 : 0), 8};
  }
  // What consensus has committed there, entry by entry.
  void apply(std::uint64_t id) {
    const auto note = [&] {
      if (at(id).wants(applied[id])) {
        at(id).note(applied[id], values(id, applied[id]), rafts.at(id));
      }
    };
    note();
    if (slow == id) return;
    for (; applied[id] < rafts.at(id).applied(); note()) ++applied[id];
  }

  void elect(std::uint64_t id) {
    rafts.elect(id);
    at(id).leadership_begins();
  }
  // Heartbeats of the leader, so that each leaves once the pace allows it.
  void heartbeats(std::uint64_t leader, int times = 4) {
    for (int i = 0; i < times; ++i) {
      now_us += 1'000'000;
      rafts.tick(leader, 2);
    }
  }
  void write(std::uint64_t leader) {
    REQUIRE(rafts.at(leader).propose(100));
    rafts.run();
  }

  test::RaftRig rafts;
  std::map<std::uint64_t, DigestComparison> nodes_;
  std::map<std::uint64_t, LogIndex> applied;
  std::set<std::uint64_t> changed;
  std::uint64_t slow = 0;  // applies nothing, and acknowledges
  std::uint64_t now_us = 1'000'000;
  std::uint64_t stamped = 0;
  std::function<bool(wire::PeerMessage&)> alter = [](wire::PeerMessage&) { return true; };
};

}  // namespace

TEST_CASE("rows that are equal are found equal, on every node") {
  Rig rig(3);
  rig.elect(1);
  for (int i = 0; i < 5; ++i) rig.write(1);
  rig.heartbeats(1);
  for (std::uint64_t id = 1; id <= 3; ++id) {
    CHECK(rig.verdict(id) == RowsVerdict::kEqual);
    CHECK(rig.at(id).compared_at() == rig.rafts.at(1).last_index());
    CHECK(rig.at(1).of(NodeId(id)) == RowsVerdict::kEqual);
  }
}

TEST_CASE("a follower whose rows differ from a majority's finds it, and which digests they are") {
  Rig rig(3);
  rig.elect(1);
  rig.changed = {3};
  rig.write(1);
  rig.heartbeats(1);
  CHECK(rig.verdict(1) == RowsVerdict::kEqual);
  CHECK(rig.verdict(2) == RowsVerdict::kEqual);
  CHECK(rig.verdict(3) == RowsVerdict::kDifferent);
  CHECK(rig.at(3).differing() == std::vector<std::size_t>{1});
  CHECK(rig.at(1).of(NodeId(3)) == RowsVerdict::kDifferent);
  // It is found equal again once it is.
  rig.changed.clear();
  rig.write(1);
  rig.heartbeats(1);
  CHECK(rig.verdict(3) == RowsVerdict::kEqual);
  CHECK(rig.at(1).of(NodeId(3)) == RowsVerdict::kEqual);
}

TEST_CASE("a leader in the minority finds that it differs, and its followers that they do not") {
  Rig rig(3);
  rig.elect(1);
  rig.changed = {1};
  rig.write(1);
  rig.heartbeats(1);
  CHECK(rig.verdict(1) == RowsVerdict::kDifferent);
  CHECK(rig.verdict(2) == RowsVerdict::kEqual);
  CHECK(rig.verdict(3) == RowsVerdict::kEqual);
}

TEST_CASE("without a majority that agrees every node is told, and none differs") {
  Rig rig(2);
  rig.elect(1);
  rig.changed = {2};
  rig.write(1);
  rig.heartbeats(1);
  CHECK(rig.verdict(1) == RowsVerdict::kDisputed);
  CHECK(rig.verdict(2) == RowsVerdict::kDisputed);

  // Of three of which one does not answer: once it had the time to.
  Rig three(3);
  three.elect(1);
  three.changed = {2};
  three.alter = [](wire::PeerMessage& message) { return message.to != NodeId(3); };
  three.write(1);
  three.heartbeats(1);
  CHECK(three.verdict(1) == RowsVerdict::kUnknown);
  three.heartbeats(1, 25);
  CHECK(three.verdict(1) == RowsVerdict::kDisputed);
  CHECK(three.verdict(2) == RowsVerdict::kDisputed);
  // The third decides it.
  three.alter = [](wire::PeerMessage&) { return true; };
  three.heartbeats(1, 25);
  CHECK(three.verdict(1) == RowsVerdict::kEqual);
  CHECK(three.verdict(2) == RowsVerdict::kDifferent);
  CHECK(three.verdict(3) == RowsVerdict::kEqual);
}

TEST_CASE("what one voter says wrong of its rows makes no other node differ") {
  Rig rig(3);
  rig.elect(1);
  rig.alter = [](wire::PeerMessage& message) {
    if (message.from == NodeId(2) && message.digests.index != LogIndex()) {
      message.digests.values = {1, 2, 3, 4};
    }
    return true;
  };
  for (int i = 0; i < 5; ++i) {
    rig.write(1);
    rig.heartbeats(1);
    CHECK(rig.verdict(1) == RowsVerdict::kEqual);
    CHECK(rig.verdict(3) == RowsVerdict::kEqual);
    CHECK(rig.at(1).of(NodeId(2)) == RowsVerdict::kDifferent);
  }
}

TEST_CASE("who is told that a majority has other rows compares its own, and no stranger is heard") {
  Rig rig(3);
  rig.elect(1);
  rig.write(1);
  rig.heartbeats(1);
  const consensus::Raft& raft = rig.rafts.at(3);
  DigestComparison::Heard claim{MessageKind::kHeartbeat, NodeId(2), raft.term(), {}};
  claim.note = {.asked = {}, .index = rig.applied[3], .form = kForm, .values = {1, 2, 3}};
  rig.at(3).received(claim, rig.applied[3], raft);  // it does not lead
  CHECK(rig.verdict(3) == RowsVerdict::kEqual);
  claim.from = NodeId(1);
  claim.note.index = rig.applied[3] + 1;  // nothing is noted there
  rig.at(3).received(claim, rig.applied[3], raft);
  CHECK(rig.verdict(3) == RowsVerdict::kEqual);
  claim.note.index = rig.applied[3];
  claim.note.form = kForm + 1;  // of other projections
  rig.at(3).received(claim, rig.applied[3], raft);
  CHECK(rig.verdict(3) == RowsVerdict::kEqual);
  claim.note.form = kForm;
  claim.term = raft.term() - 1;
  rig.at(3).received(claim, rig.applied[3], raft);
  CHECK(rig.verdict(3) == RowsVerdict::kEqual);
  // A leader's untrue word lasts until the next true one.
  claim.term = raft.term();
  rig.at(3).received(claim, rig.applied[3], raft);
  CHECK(rig.verdict(3) == RowsVerdict::kDifferent);
  rig.heartbeats(1);
  CHECK(rig.verdict(3) == RowsVerdict::kEqual);
}

TEST_CASE("a build with other projections is not compared, and not counted") {
  Rig rig(3);
  rig.add(3, kForm + 1);
  rig.elect(1);
  rig.changed = {3};
  rig.write(1);
  rig.heartbeats(1, 30);
  CHECK(rig.verdict(1) == RowsVerdict::kEqual);
  CHECK(rig.verdict(3) == RowsVerdict::kUnknown);
  CHECK(rig.at(1).of(NodeId(3)) == RowsVerdict::kUnknown);
}

TEST_CASE("who lags is compared when it gets to the entry, by what was said meanwhile") {
  Rig rig(3);
  rig.elect(1);
  rig.changed = {3};
  rig.slow = 3;
  rig.write(1);
  rig.heartbeats(1, 3);
  rig.write(1);
  rig.heartbeats(1, 3);
  CHECK(rig.verdict(1) == RowsVerdict::kEqual);
  CHECK(rig.verdict(3) == RowsVerdict::kUnknown);
  rig.slow = 0;
  rig.apply(3);
  CHECK(rig.verdict(3) == RowsVerdict::kDifferent);
  CHECK(rig.at(3).compared_at() < rig.rafts.at(1).last_index());
}

TEST_CASE("heartbeats that are lost delay the comparison only") {
  Rig rig(3);
  rig.elect(1);
  rig.changed = {2};
  wire::Prng random(18);
  rig.alter = [&](wire::PeerMessage& message) {
    return !is_heartbeat(message) || random.below(2) == 0;
  };
  for (int i = 0; i < 10; ++i) {
    rig.write(1);
    rig.heartbeats(1);
  }
  CHECK(rig.verdict(1) == RowsVerdict::kEqual);
  CHECK(rig.verdict(2) == RowsVerdict::kDifferent);
}

TEST_CASE("rows that were exchanged, and those of a node that starts again, are compared again") {
  Rig rig(3);
  rig.elect(1);
  rig.changed = {3};
  rig.write(1);
  rig.heartbeats(1);
  REQUIRE(rig.verdict(3) == RowsVerdict::kDifferent);
  rig.at(3).rows_exchanged();
  CHECK(rig.verdict(3) == RowsVerdict::kUnknown);
  // Nothing was written since: the same entry will do.
  rig.heartbeats(1);
  CHECK(rig.verdict(3) == RowsVerdict::kDifferent);
  rig.changed.clear();
  rig.add(3);
  rig.heartbeats(1);
  CHECK(rig.verdict(3) == RowsVerdict::kEqual);
  CHECK(rig.at(1).of(NodeId(3)) == RowsVerdict::kEqual);
}

TEST_CASE("the next leader goes on comparing") {
  Rig rig(3);
  rig.elect(1);
  rig.changed = {1};
  rig.write(1);
  rig.heartbeats(1);
  REQUIRE(rig.verdict(1) == RowsVerdict::kDifferent);
  rig.rafts.hand_over(1, 2);
  rig.at(2).leadership_begins();
  rig.heartbeats(2);
  CHECK(rig.verdict(1) == RowsVerdict::kDifferent);
  CHECK(rig.verdict(2) == RowsVerdict::kEqual);
  CHECK(rig.at(2).of(NodeId(1)) == RowsVerdict::kDifferent);
}

TEST_CASE("of many heartbeats in a moment few carry digests") {
  Rig rig(3);
  rig.elect(1);
  rig.write(1);
  rig.heartbeats(1);
  rig.now_us += 1'000'000;
  rig.stamped = 0;
  for (int i = 0; i < 1000; ++i) {
    rig.now_us += 10;
    rig.rafts.at(1).request_read(1000 + static_cast<std::uint64_t>(i));
    rig.rafts.run();
  }
  CHECK(rig.stamped <= 4);
}
