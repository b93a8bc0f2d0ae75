// Whose word ends a node's part in its cluster.
#include "engine/node/refusals.h"

#include <catch2/catch.hpp>

#include "raft_rig.h"

using namespace bib;
using namespace bib::engine;
using wire::HelloRefusal;
using wire::NodeId;
using Verdict = Refusals::Verdict;

TEST_CASE("a refusal is believed when a majority of the other voters says the same") {
  test::RaftRig rig(5);
  Refusals refusals;
  const auto say = [&](std::uint64_t by, HelloRefusal refusal) {
    return refusals.note(rig.at(1), NodeId(by), refusal);
  };
  CHECK(say(2, HelloRefusal::kRemoved) == Verdict::kNews);
  CHECK(say(2, HelloRefusal::kRemoved) == Verdict::kKnown);
  CHECK(say(3, HelloRefusal::kLogLost) == Verdict::kNews);
  CHECK(say(3, HelloRefusal::kRemoved) == Verdict::kNews);
  // Strangers, however many they are.
  for (std::uint64_t by = 6; by < 20; ++by) {
    CHECK(say(by, HelloRefusal::kRemoved) == Verdict::kKnown);
  }
  // Who has let it in since says nothing any more.
  refusals.take_back(NodeId(2));
  CHECK(say(4, HelloRefusal::kRemoved) == Verdict::kNews);
  CHECK(say(5, HelloRefusal::kRemoved) == Verdict::kBelieved);
}

TEST_CASE("that a node runs twice is believed of no single node, either") {
  test::RaftRig rig(3);
  Refusals refusals;
  CHECK(refusals.note(rig.at(1), NodeId(2), HelloRefusal::kRunsTwice) == Verdict::kNews);
  CHECK(refusals.note(rig.at(1), NodeId(2), HelloRefusal::kRunsTwice) == Verdict::kKnown);
  CHECK(refusals.note(rig.at(1), NodeId(3), HelloRefusal::kRunsTwice) == Verdict::kBelieved);
}

TEST_CASE("a refusal is believed when the leader says it, whom this node follows") {
  test::RaftRig rig(5);
  rig.elect(3);
  REQUIRE(rig.at(1).leader() == NodeId(3));
  Refusals refusals;
  CHECK(refusals.note(rig.at(1), NodeId(2), HelloRefusal::kLogLost) == Verdict::kNews);
  CHECK(refusals.note(rig.at(1), NodeId(3), HelloRefusal::kLogLost) == Verdict::kBelieved);
}

TEST_CASE("of two voters the other one's word is all that there is") {
  test::RaftRig rig(2);
  Refusals refusals;
  CHECK(refusals.note(rig.at(1), NodeId(2), HelloRefusal::kRemoved) == Verdict::kBelieved);
}
