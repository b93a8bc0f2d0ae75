#include "consensus/quorum.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "wire/base/prng.h"

namespace bib::consensus {

TEST_CASE("A majority's value is the greatest that a majority has reached") {
  wire::Prng random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::uint64_t> values(1 + random.below(9));
    for (auto& value : values) value = random.below(6);
    std::uint64_t expected = 0;
    for (std::uint64_t candidate = 0; candidate < 6; ++candidate) {
      const auto reached = static_cast<std::size_t>(std::count_if(
          values.begin(), values.end(), [&](auto value) { return value >= candidate; }));
      if (reached * 2 > values.size()) expected = candidate;
    }
    CHECK(majority_value(values) == expected);
  }
}

TEST_CASE("A half without voters agrees to everything") {
  CHECK(majority_value({}) == kEverything);
  CHECK(majority_vote({}) == VoteResult::kWon);
}

TEST_CASE("An even number of voters needs one more than half, and half refuses") {
  CHECK(majority_of(4) == 3);
  CHECK(majority_vote({.voters = 4, .granted = 2, .refused = 1}) == VoteResult::kPending);
  CHECK(majority_vote({.voters = 4, .granted = 2, .refused = 2}) == VoteResult::kLost);
  CHECK(majority_vote({.voters = 4, .granted = 3, .refused = 1}) == VoteResult::kWon);
}

TEST_CASE("A joint vote is won in both halves and lost in either") {
  using enum VoteResult;
  CHECK(joint_vote(kWon, kWon) == kWon);
  CHECK(joint_vote(kWon, kPending) == kPending);
  CHECK(joint_vote(kPending, kLost) == kLost);
  CHECK(joint_vote(kLost, kWon) == kLost);
}

}  // namespace bib::consensus
