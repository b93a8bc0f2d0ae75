#include "consensus/quorum.h"

#include <algorithm>

namespace bib::consensus {

std::uint64_t majority_value(std::span<std::uint64_t> acknowledged) {
  if (acknowledged.empty()) return kEverything;
  // Ascending, the values from here to the end are a majority, and this is the least of them.
  const std::size_t position = acknowledged.size() - majority_of(acknowledged.size());
  auto nth = acknowledged.begin() + static_cast<std::ptrdiff_t>(position);
  std::nth_element(acknowledged.begin(), nth, acknowledged.end());
  return *nth;
}

VoteResult majority_vote(const VoteCount& count) {
  if (count.voters == 0) return VoteResult::kWon;
  const std::size_t needed = majority_of(count.voters);
  if (count.granted >= needed) return VoteResult::kWon;
  const std::size_t unknown = count.voters - count.granted - count.refused;
  return count.granted + unknown >= needed ? VoteResult::kPending : VoteResult::kLost;
}

VoteResult joint_vote(VoteResult incoming, VoteResult outgoing) {
  if (incoming == VoteResult::kLost || outgoing == VoteResult::kLost) return VoteResult::kLost;
  return incoming == outgoing ? incoming : VoteResult::kPending;
}

}  // namespace bib::consensus
