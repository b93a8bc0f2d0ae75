// What the checkers of several subjects ask of a membership, and of a node's place in one.
#pragma once

#include <algorithm>
#include <vector>

#include "consensus/raft.h"
#include "sim_node.h"

namespace bib::sim {

// Whether a majority of each half has the property.
template <typename Has>
bool is_quorum(const wire::Membership& membership, Has&& has) {
  for (const std::vector<wire::NodeId>* half : {&membership.voters, &membership.voters_outgoing}) {
    if (half->empty()) continue;
    const auto count = std::count_if(half->begin(), half->end(), has);
    if (static_cast<std::size_t>(count) <= half->size() / 2) return false;
  }
  return true;
}

// As Raft's own rule (dissertation §4.2.2): a voter of the membership in effect or, while that one
// is uncommitted, of the one before.
bool may_campaign(const SimNode& node);

// The one that was in effect when this node was last looked at. Its entry may have been cut off
// since.
const consensus::MembershipAt* membership_before(const consensus::Raft& raft, wire::LogIndex index);

bool has_id(const std::vector<wire::NodeId>& ids, wire::NodeId id);

}  // namespace bib::sim
