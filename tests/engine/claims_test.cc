// Which run of a node is let in where more than one greets under its id.
#include "engine/ports/claims.h"

#include <catch2/catch.hpp>
#include <string>

using namespace bib;
using namespace bib::engine;
using wire::BootId;
using wire::NodeId;
using Verdict = Claims::Verdict;

namespace {

constexpr NodeId kNode{3};
constexpr BootId kOriginal{7};
constexpr BootId kCopy{8};
const std::string kAddress = "10.0.0.3:4002";
const std::string kElsewhere = "10.0.0.9:4002";

wire::PeerHello hello(BootId boot, const std::string& address) {
  wire::PeerHello hello;
  hello.from = kNode;
  hello.boot = boot;
  hello.raft_address = address;
  return hello;
}

// The connection to the node's address, which leads to the original.
Claims::Reached reached(std::uint64_t asked, std::uint64_t answered) {
  return {.address = kAddress, .boot = kOriginal, .asked = asked, .answered = answered};
}

const Claims::Reached kNobody{.address = kAddress, .asked = 5};

}  // namespace

TEST_CASE("a copy elsewhere is said to be one when the original has answered since it greeted") {
  Claims claims;
  const auto copy = hello(kCopy, kElsewhere);
  CHECK(claims.judge(copy, reached(5, 5), true) == Verdict::kNotYet);
  CHECK(claims.judge(copy, reached(7, 5), true) == Verdict::kNotYet);  // asked, and not answered
  CHECK(claims.judge(copy, reached(7, 6), true) == Verdict::kTwice);
  CHECK(claims.judge(hello(kOriginal, kAddress), reached(7, 6), true) == Verdict::kWelcome);
  CHECK(claims.is_news(kNode, kCopy));
  CHECK_FALSE(claims.is_news(kNode, kCopy));
}

TEST_CASE("a node that was moved is let in when the run at its old address does not answer") {
  Claims claims;
  const auto moved = hello(kCopy, kElsewhere);
  Claims::Reached old = reached(5, 5);
  CHECK(claims.judge(moved, old, true) == Verdict::kNotYet);
  SECTION("its machine is gone, and no probe comes back") {
    old.is_silent = true;
    CHECK(claims.judge(moved, old, false) == Verdict::kWelcome);
  }
  SECTION("its connections are closed") {
    CHECK(claims.judge(moved, kNobody, false) == Verdict::kWelcome);
  }
}

TEST_CASE("a node that was restarted is let in at once, whatever its old connections look like") {
  Claims claims;
  CHECK(claims.judge(hello(kCopy, kAddress), reached(5, 5), true) == Verdict::kWelcome);
  CHECK(claims.judge(hello(kCopy, kAddress), reached(6, 6), true) == Verdict::kWelcome);
  // A connection that was dialled before leads to the old run, and says nothing.
  Claims others;
  const std::uint64_t before = others.dialling();
  CHECK(others.judge(hello(kCopy, kAddress), kNobody, true) == Verdict::kWelcome);
  others.answered(kNode, kOriginal, kAddress, before);
  CHECK_FALSE(others.is_elsewhere(kNode, kCopy));
  CHECK(others.judge(hello(kCopy, kAddress), reached(9, 9), true) == Verdict::kWelcome);
}

TEST_CASE("a copy that gives the original's address is found out when that address is dialled") {
  Claims claims;
  const auto copy = hello(kCopy, kAddress);
  CHECK(claims.judge(copy, reached(5, 5), true) == Verdict::kWelcome);
  claims.answered(kNode, kOriginal, kAddress, claims.dialling());
  CHECK(claims.is_elsewhere(kNode, kCopy));
  CHECK(claims.judge(copy, reached(6, 5), true) == Verdict::kNotYet);
  CHECK(claims.judge(copy, reached(6, 6), true) == Verdict::kTwice);
  // The original ends, and the copy is there after all.
  claims.answered(kNode, kCopy, kAddress, claims.dialling());
  CHECK(claims.judge(copy, kNobody, true) == Verdict::kWelcome);
}

TEST_CASE("of two runs the one at the members' address is the node, whichever came first") {
  Claims claims;
  const auto copy = hello(kCopy, kElsewhere);
  CHECK(claims.judge(copy, kNobody, false) == Verdict::kWelcome);  // the original is down
  CHECK(claims.judge(hello(kOriginal, kAddress), kNobody, false) == Verdict::kWelcome);
  // While the connection to it is not made yet, the copy does not take its place again.
  CHECK(claims.judge(copy, kNobody, true) == Verdict::kNotYet);
  claims.answered(kNode, kOriginal, kAddress, claims.dialling());
  CHECK(claims.is_elsewhere(kNode, kCopy));
  CHECK_FALSE(claims.is_elsewhere(kNode, kOriginal));
  CHECK(claims.judge(copy, reached(6, 6), true) == Verdict::kTwice);
}

TEST_CASE("a copy that gives no address, as an old build may, is found out as well") {
  Claims claims;
  const auto copy = hello(kCopy, "");
  CHECK(claims.judge(copy, reached(5, 5), true) == Verdict::kWelcome);
  claims.answered(kNode, kOriginal, kAddress, claims.dialling());
  CHECK(claims.judge(copy, reached(6, 6), true) == Verdict::kTwice);
}

TEST_CASE("of one node only so many runs are remembered, and none once it is forgotten") {
  Claims claims;
  for (std::uint64_t boot = 100; boot < 100 + 10 * Claims::kRunsMax; ++boot) {
    CHECK(claims.judge(hello(BootId(boot), kElsewhere), reached(5, 5), true) == Verdict::kNotYet);
  }
  CHECK(claims.judge(hello(BootId(100), kElsewhere), reached(6, 6), true) == Verdict::kNotYet);
  CHECK(claims.judge(hello(BootId(100), kElsewhere), reached(7, 7), true) == Verdict::kTwice);
  claims.forget(kNode);
  CHECK_FALSE(claims.is_news(kNode, BootId(100)));
  CHECK(claims.judge(hello(BootId(100), kElsewhere), reached(7, 7), true) == Verdict::kNotYet);
}
