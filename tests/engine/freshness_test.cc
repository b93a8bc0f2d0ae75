// How old a node's rows are at most: never less than they are, whatever is lost, late or paused.
#include "engine/node/freshness.h"

#include <catch2/catch.hpp>

#include "raft_rig.h"
#include "wire/base/prng.h"

using namespace bib;
using namespace bib::engine;
using consensus::Role;
using wire::MessageKind;
using wire::NodeId;

namespace {

bool is_heartbeat(const wire::PeerMessage& message) {
  return message.kind == MessageKind::kHeartbeat || message.kind == MessageKind::kHeartbeatReply;
}

// Nodes whose heartbeats carry freshness as the driver has them do; one true time for all, and for
// each node a clock with an offset of its own.
struct Rig {
  explicit Rig(std::uint64_t nodes) : rafts(nodes) {
    for (std::uint64_t id = 1; id <= nodes; ++id) fresh.emplace(id, Freshness(id << 40));
    rafts.on_send = [this](wire::PeerMessage& message) {
      if (is_heartbeat(message)) {
        const std::uint64_t from = message.from.value();
        fresh.at(from).stamp(message, clock_of(from), rafts.at(from));
      }
      return carries(message);
    };
    rafts.on_step = [this](const wire::PeerMessage& message) {
      const std::uint64_t to = message.to.value();
      if (is_heartbeat(message)) fresh.at(to).received(message, clock_of(to), rafts.at(to));
      for (auto& [id, one] : fresh) one.applied(rafts.at(id).applied());
    };
  }

  std::uint64_t clock_of(std::uint64_t id) const { return now_us + id * 1'000'000'000; }
  std::optional<std::uint64_t> age(std::uint64_t id) {
    return fresh.at(id).age_us(clock_of(id), rafts.at(id), true);
  }
  // A heartbeat round of the leader, at this time.
  void heartbeat(std::uint64_t leader) { rafts.tick(leader); }

  test::RaftRig rafts;
  std::map<std::uint64_t, Freshness> fresh;
  std::uint64_t now_us = 1'000'000;
  std::function<bool(const wire::PeerMessage&)> carries = [](const wire::PeerMessage&) {
    return true;
  };
};

}  // namespace

TEST_CASE("a single voter's rows are never old") {
  Rig rig(1);
  rig.rafts.elect(1);
  CHECK(rig.age(1) == 0U);
  rig.now_us += 5'000'000;
  CHECK(rig.age(1) == 0U);
}

TEST_CASE("a leader is as old as the round that a majority has answered") {
  Rig rig(3);
  CHECK_FALSE(rig.age(1));
  rig.rafts.elect(1);
  rig.heartbeat(1);
  CHECK(rig.age(1) == 0U);
  rig.now_us += 300;
  CHECK(rig.age(1) == 300U);
  // One of the others is enough, none is not.
  rig.carries = [](const wire::PeerMessage& message) { return message.to != NodeId(3); };
  rig.heartbeat(1);
  CHECK(rig.age(1) == 0U);
  rig.carries = [](const wire::PeerMessage&) { return false; };
  rig.now_us += 700;
  rig.heartbeat(1);
  CHECK(rig.age(1) == 700U);
}

TEST_CASE("a follower counts from its own clock that came back, and the leader's confirmation") {
  Rig rig(3);
  rig.rafts.elect(1);
  rig.heartbeat(1);  // the followers answer with their clocks
  rig.now_us += 1000;
  rig.heartbeat(1);  // and get them back: as of 1000 ago, and the leader was confirmed then
  REQUIRE(rig.age(2));
  CHECK(*rig.age(2) >= 1000U);
  CHECK(*rig.age(2) <= 2000U);
  rig.now_us += 500;
  CHECK(*rig.age(2) >= 1500U);
}

TEST_CASE("a follower that has not applied what is committed does not become fresher") {
  Rig rig(3);
  rig.rafts.elect(1);
  rig.heartbeat(1);
  rig.heartbeat(1);
  REQUIRE(rig.age(2));
  const std::uint64_t before = *rig.age(2);
  rig.rafts.lazy = 2;
  REQUIRE(rig.rafts.at(1).propose(100));
  rig.rafts.run();
  rig.now_us += 1000;
  for (int i = 0; i < 5; ++i) rig.heartbeat(1);
  CHECK(*rig.age(2) >= before + 1000);
  rig.rafts.lazy = 0;
  for (int i = 0; i < 3; ++i) rig.heartbeat(1);
  CHECK(*rig.age(2) < 1000);
}

TEST_CASE("a leader that has not applied what it has committed does not become fresher") {
  Rig rig(3);
  rig.rafts.elect(1);
  rig.heartbeat(1);
  REQUIRE(rig.age(1));
  const std::uint64_t before = *rig.age(1);
  rig.rafts.lazy = 1;
  REQUIRE(rig.rafts.at(1).propose(100));
  rig.rafts.run();
  rig.now_us += 1000;
  for (int i = 0; i < 5; ++i) rig.heartbeat(1);
  REQUIRE(rig.age(1));
  CHECK(*rig.age(1) >= before + 1000);
  rig.rafts.lazy = 0;
  for (int i = 0; i < 3; ++i) rig.heartbeat(1);
  CHECK(*rig.age(1) < 1000);
}

TEST_CASE("a follower that hears only a deposed leader grows old with it") {
  Rig rig(5);
  rig.rafts.elect(1);
  rig.heartbeat(1);
  rig.heartbeat(1);
  // 1 and 2 on one side, the others elect 3 and go on.
  rig.carries = [](const wire::PeerMessage& message) {
    return (message.from.value() <= 2) == (message.to.value() <= 2);
  };
  const std::uint64_t cut = rig.now_us;
  for (int i = 0; i < 4; ++i) {
    rig.now_us += 1000;
    rig.heartbeat(1);
    REQUIRE(rig.age(2));
    CHECK(*rig.age(2) >= rig.now_us - cut);
    CHECK(*rig.age(1) >= rig.now_us - cut);
  }
}

TEST_CASE("a clock of an earlier run of the node makes nothing young") {
  Rig rig(3);
  rig.rafts.elect(1);
  rig.heartbeat(1);
  rig.heartbeat(1);
  REQUIRE(rig.age(2));
  // Node 2 was restarted, with another base; what it hears first echoes the old one.
  for (const std::uint64_t base : {1ULL << 20, 3ULL << 60}) {
    Freshness restarted(base);
    wire::PeerMessage old;
    old.kind = MessageKind::kHeartbeat;
    old.from = NodeId(1);
    old.to = NodeId(2);
    old.term = rig.rafts.at(2).term();
    rig.fresh.at(1).stamp(old, rig.clock_of(1), rig.rafts.at(1));
    REQUIRE(old.echo_us != 0);
    restarted.received(old, rig.clock_of(2), rig.rafts.at(2));
    const auto age = restarted.age_us(rig.clock_of(2), rig.rafts.at(2), true);
    if (age) CHECK(*age > 3'600'000'000ULL);
  }
}

// The promise itself, at random: a node that says "not older than a" has applied everything that
// was committed by the leader of that moment before (now - a).
TEST_CASE("no node ever says that its rows are younger than they are") {
  std::size_t checked = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Rig rig(3);
    wire::Prng random(seed);
    std::vector<std::pair<std::uint64_t, wire::LogIndex>> committed;  // when, how far, anywhere
    std::uint64_t cut_off = 0;
    std::vector<wire::PeerMessage> late;
    rig.carries = [&](const wire::PeerMessage& message) {
      if (message.from.value() == cut_off || message.to.value() == cut_off) return false;
      if (is_heartbeat(message) && random.below(4) == 0) {
        late.push_back(message);  // in a socket's buffer, say
        return false;
      }
      return random.below(10) != 0;
    };
    for (int step = 0; step < 300; ++step) {
      rig.now_us += random.below(2000);
      if (random.below(20) == 0) cut_off = random.below(2) == 0 ? 0 : 1 + random.below(3);
      const std::uint64_t id = 1 + random.below(3);
      if (rig.rafts.at(id).role() == Role::kLeader && random.below(3) == 0) {
        (void)rig.rafts.at(id).propose(100);
      }
      rig.rafts.tick(id, 1 + static_cast<unsigned>(random.below(3)));
      if (!late.empty() && random.below(3) == 0) {
        const wire::PeerMessage message = late.front();
        late.erase(late.begin());
        rig.rafts.at(message.to.value()).step(message);
        rig.rafts.on_step(message);
        rig.rafts.run();
      }
      wire::LogIndex furthest;
      for (std::uint64_t node = 1; node <= 3; ++node) {
        furthest = std::max(furthest, rig.rafts.at(node).commit());
      }
      committed.emplace_back(rig.now_us, furthest);
      for (std::uint64_t node = 1; node <= 3; ++node) {
        const bool current = rig.rafts.at(node).has_committed_own_term() &&
                             rig.rafts.at(node).applied() == rig.rafts.at(node).commit();
        const auto age = rig.fresh.at(node).age_us(rig.clock_of(node), rig.rafts.at(node), current);
        if (!age) continue;
        ++checked;
        for (const auto& [when, index] : committed) {
          if (when + *age >= rig.now_us) break;
          INFO("seed " << seed << " step " << step << " node " << node << " age " << *age);
          REQUIRE(rig.rafts.at(node).applied() >= index);
        }
      }
    }
  }
  CHECK(checked > 10000);
}
