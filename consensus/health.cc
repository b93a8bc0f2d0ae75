#include "consensus/health.h"

#include <fmt/format.h>

#include <algorithm>

#include "consensus/quorum.h"

namespace bib::consensus {

using wire::NodeId;

namespace {

std::string list_of(const std::vector<NodeId>& ids) {
  std::string text;
  for (NodeId id : ids) text += (text.empty() ? "" : ", ") + wire::to_string(id);
  return text;
}

}  // namespace

HalfHealth health_of(std::span<const NodeId> voters, std::span<const NodeId> healthy) {
  HalfHealth half;
  half.needed = voters.empty() ? 0 : majority_of(voters.size());
  for (NodeId id : voters) {
    const bool well = std::binary_search(healthy.begin(), healthy.end(), id);
    (well ? half.healthy : half.unhealthy).push_back(id);
  }
  return half;
}

std::string to_text(const HalfHealth& half) {
  const std::size_t voters = half.healthy.size() + half.unhealthy.size();
  std::string who = half.healthy.empty() ? "none" : list_of(half.healthy);
  if (!half.unhealthy.empty()) who += "; not " + list_of(half.unhealthy);
  return fmt::format("{} of {} voters healthy ({}), {} needed", half.healthy.size(), voters, who,
                     half.needed);
}

wire::Status check_healthy_quorum(const wire::Membership& next, std::span<const NodeId> healthy) {
  const HalfHealth incoming = health_of(next.voters, healthy);
  const HalfHealth outgoing = health_of(next.voters_outgoing, healthy);
  if (incoming.has_quorum() && outgoing.has_quorum()) return {};
  const bool before = incoming.has_quorum();  // the voters to come are well, those before are not
  return wire::fail(
      wire::ErrorCode::kRefused,
      "the change would leave the cluster without a quorum of healthy voters: {} {}. Start the "
      "missing nodes first, or wait until they have caught up; --force makes the change all the "
      "same, and it waits, with all writes, until enough of them are there",
      before ? "of the voters before it," : "after it,", to_text(before ? outgoing : incoming));
}

}  // namespace bib::consensus
