// Health: whether a membership could still decide with the voters that are healthy now.
//
// Pure functions; no state. A change that enters a membership without a majority of healthy voters
// would be in effect at once and could not even be undone, since undoing it needs that majority,
// too. So a request for it is refused, and told why, unless it insists.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/base/result.h"

namespace bib::consensus {

// One half of a membership (all of it, when it is not joint).
struct HalfHealth {
  std::vector<wire::NodeId> healthy;
  std::vector<wire::NodeId> unhealthy;
  std::size_t needed = 0;

  bool has_quorum() const { return healthy.size() >= needed; }
};

// `healthy`: sorted; who can acknowledge an entry soon, in the caller's opinion.
HalfHealth health_of(std::span<const wire::NodeId> voters, std::span<const wire::NodeId> healthy);

// kRefused, with who is healthy, who is not and how many are needed, unless each half of `next` has
// a majority of healthy voters.
wire::Status check_healthy_quorum(const wire::Membership& next,
                                  std::span<const wire::NodeId> healthy);

// "2 of 3 voters healthy (a, b; not c), 2 needed".
std::string to_text(const HalfHealth& half);

}  // namespace bib::consensus
