// Whether a change leaves a quorum of healthy voters, and the words when it does not.

#include "consensus/health.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "consensus/quorum.h"
#include "wire/base/prng.h"

namespace bib::consensus {

namespace {

using wire::NodeId;

std::vector<NodeId> ids(std::initializer_list<std::uint64_t> numbers) {
  std::vector<NodeId> list;
  for (std::uint64_t number : numbers) list.push_back(NodeId(number));
  return list;
}

wire::Membership membership(std::initializer_list<std::uint64_t> voters,
                            std::initializer_list<std::uint64_t> outgoing = {}) {
  wire::Membership result;
  result.voters = ids(voters);
  result.voters_outgoing = ids(outgoing);
  return result;
}

}  // namespace

TEST_CASE("A change is safe while a majority of each half is healthy") {
  CHECK(check_healthy_quorum(membership({1, 2, 3}), ids({1, 2})));
  CHECK_FALSE(check_healthy_quorum(membership({1, 2}), ids({1, 3})));
  CHECK(check_healthy_quorum(membership({1, 4}, {1, 2, 3}), ids({1, 2, 4})));
  CHECK_FALSE(check_healthy_quorum(membership({1, 4}, {1, 2, 3}), ids({1, 2})));
  CHECK_FALSE(check_healthy_quorum(membership({4}, {1, 2, 3}), ids({1, 4})));
  CHECK(check_healthy_quorum(membership({1}), ids({1})));
}

TEST_CASE("An unsafe change is refused with who is healthy, who is not and how many are needed") {
  const auto refused = check_healthy_quorum(membership({1, 2, 3, 4}), ids({1, 4, 9}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == wire::ErrorCode::kRefused);
  const std::string& text = refused.error().message;
  INFO(text);
  CHECK(text.find("2 of 4 voters healthy") != std::string::npos);
  CHECK(text.find("(0000000000000001, 0000000000000004; not 0000000000000002, "
                  "0000000000000003)") != std::string::npos);
  CHECK(text.find("3 needed") != std::string::npos);
  CHECK(text.find("--force") != std::string::npos);
}

TEST_CASE("The health of random halves is what counting says") {
  wire::Prng random(3);
  for (int round = 0; round < 2000; ++round) {
    std::vector<NodeId> voters;
    std::vector<NodeId> healthy;
    std::size_t both = 0;
    for (std::uint64_t id = 1; id <= 9; ++id) {
      const bool votes = random.below(2) == 0;
      const bool well = random.below(2) == 0;
      if (votes) voters.push_back(NodeId(id));
      if (well) healthy.push_back(NodeId(id));
      if (votes && well) ++both;
    }
    const HalfHealth half = health_of(voters, healthy);
    CHECK(half.healthy.size() == both);
    CHECK(half.healthy.size() + half.unhealthy.size() == voters.size());
    CHECK(half.has_quorum() == (voters.empty() || both >= majority_of(voters.size())));
  }
}

}  // namespace bib::consensus
