// Majority and joint arithmetic: what a set of voters has acknowledged, and how it has voted.
//
// Pure functions over numbers; no node ids, no state. In joint consensus (Raft dissertation §4.3)
// a decision needs a majority in both halves: combine the two answers with std::min or
// joint_vote(). A half without voters agrees to everything, so that "not joint" needs no special
// case.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace bib::consensus {

// What a half without voters has acknowledged.
inline constexpr std::uint64_t kEverything = std::numeric_limits<std::uint64_t>::max();

// The number of voters that decides.
constexpr std::size_t majority_of(std::size_t voters) {
  return voters / 2 + 1;
}

// The greatest value that a majority has reached; one value for each voter (0 where nothing is
// known). Reorders `acknowledged`. kEverything when it is empty.
std::uint64_t majority_value(std::span<std::uint64_t> acknowledged);

enum class VoteResult : std::uint8_t { kPending, kWon, kLost };

struct VoteCount {
  std::size_t voters = 0;
  std::size_t granted = 0;
  std::size_t refused = 0;
};

VoteResult majority_vote(const VoteCount& count);

// Lost when one half has lost, won when both have won, pending otherwise.
VoteResult joint_vote(VoteResult incoming, VoteResult outgoing);

}  // namespace bib::consensus
