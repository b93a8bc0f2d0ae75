#include "engine/node/member_plan.h"

#include <algorithm>
#include <utility>

#include "wire/base/address.h"

namespace bib::engine {

using consensus::ChangeKind;
using consensus::MembershipChange;
using wire::ErrorCode;
using wire::fail;
using wire::Member;
using wire::MemberChange;
using wire::MemberChangeKind;
using wire::Membership;
using wire::NodeId;

namespace {

bool has(const std::vector<NodeId>& ids, NodeId id) {
  return std::binary_search(ids.begin(), ids.end(), id);
}

// Whether the member listens only, or will when the joint phase is left.
bool will_listen(const Membership& membership, NodeId id) {
  return has(membership.learners, id) || has(membership.learners_next, id);
}

wire::Status check_reachable(const std::string& address) {
  BIB_TRY(const wire::Address parsed, wire::parse_address(address));
  if (wire::is_wildcard(parsed.host)) {
    return fail(ErrorCode::kInvalid,
                "{} is not an address that others can reach: set advertise_addr", address);
  }
  if (parsed.port == 0) {
    return fail(ErrorCode::kInvalid,
                "{} names port 0, which nobody can dial: give the port at which the node listens",
                address);
  }
  return {};
}

wire::Result<const Member*> find_member(const Membership& membership, NodeId id) {
  const Member* member = membership.find(id);
  if (member == nullptr) {
    return fail(
        ErrorCode::kNotFound,
        "{} is not a member of the cluster; see `bib cluster member list`. A new node joins "
        "by itself, with a token: `bib cluster token create`",
        to_string(id));
  }
  return member;
}

wire::Result<std::optional<MembershipChange>> plan_update(const Membership& current,
                                                          const MemberChange& wanted) {
  BIB_TRY(const Member* member, find_member(current, wanted.id));
  Member changed = *member;
  if (!wanted.raft_address.empty()) changed.raft_address = wanted.raft_address;
  if (!wanted.api_address.empty()) changed.api_address = wanted.api_address;
  if (changed == *member) return std::nullopt;
  BIB_TRY_VOID(check_addresses(changed));
  if (const auto taken = find_taken_address(current, changed)) {
    return fail(ErrorCode::kRefused, "the address {} belongs to node {} already", taken->address,
                to_string(taken->owner));
  }
  return MembershipChange{ChangeKind::kUpdate, std::move(changed)};
}

wire::Result<std::optional<MembershipChange>> plan_one(const Membership& current,
                                                       const MemberChange& wanted) {
  switch (wanted.kind) {
    case MemberChangeKind::kAddVoter: {
      if (has(current.voters, wanted.id)) return std::nullopt;
      BIB_TRY(const Member* member, find_member(current, wanted.id));
      Member line = *member;
      line.wants_vote = true;
      return MembershipChange{ChangeKind::kAddVoter, std::move(line)};
    }
    case MemberChangeKind::kAddLearner: {
      BIB_TRY(const Member* member, find_member(current, wanted.id));
      const bool listens = will_listen(current, wanted.id);
      if (listens && !member->wants_vote) return std::nullopt;
      Member line = *member;
      line.wants_vote = false;  // or it would be promoted again by itself
      return MembershipChange{listens ? ChangeKind::kUpdate : ChangeKind::kAddLearner,
                              std::move(line)};
    }
    case MemberChangeKind::kRemove: {
      if (!has(current.voters, wanted.id) && !will_listen(current, wanted.id)) return std::nullopt;
      Member line;
      line.id = wanted.id;
      return MembershipChange{ChangeKind::kRemove, std::move(line)};
    }
    case MemberChangeKind::kUpdate:
      return plan_update(current, wanted);
  }
  return fail(ErrorCode::kInvalid, "a membership change of an unknown kind");
}

}  // namespace

wire::Status check_addresses(const Member& member) {
  BIB_TRY_VOID(check_reachable(member.raft_address));
  BIB_TRY_VOID(check_reachable(member.api_address));
  if (member.raft_address != member.api_address) return {};
  return fail(ErrorCode::kInvalid,
              "node {} cannot have {} both for the other nodes and for clients: give two ports",
              to_string(member.id), member.raft_address);
}

std::optional<TakenAddress> find_taken_address(const Membership& membership, const Member& member) {
  for (const Member& other : membership.members) {
    if (other.id == member.id) continue;
    for (const std::string& address : {member.raft_address, member.api_address}) {
      if (address == other.raft_address || address == other.api_address) {
        return TakenAddress{address, other.id};
      }
    }
  }
  return std::nullopt;
}

wire::Result<std::vector<MembershipChange>> plan_member_changes(
    const Membership& current, std::span<const MemberChange> wanted) {
  std::vector<MembershipChange> plan;
  std::vector<NodeId> seen;
  for (const MemberChange& change : wanted) {
    if (std::find(seen.begin(), seen.end(), change.id) != seen.end()) {
      return fail(ErrorCode::kInvalid, "{} is named twice; ask for one change of each member",
                  to_string(change.id));
    }
    seen.push_back(change.id);
    BIB_TRY(std::optional<MembershipChange> step, plan_one(current, change));
    if (step) plan.push_back(std::move(*step));
  }
  return plan;
}

}  // namespace bib::engine
