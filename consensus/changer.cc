#include "consensus/changer.h"

#include <algorithm>
#include <iterator>

namespace bib::consensus {

namespace {

using wire::Member;
using wire::Membership;
using wire::NodeId;
using Ids = std::vector<NodeId>;

bool has(const Ids& ids, NodeId id) {
  return std::binary_search(ids.begin(), ids.end(), id);
}

void insert(Ids& ids, NodeId id) {
  auto place = std::lower_bound(ids.begin(), ids.end(), id);
  if (place == ids.end() || *place != id) ids.insert(place, id);
}

void erase(Ids& ids, NodeId id) {
  auto place = std::lower_bound(ids.begin(), ids.end(), id);
  if (place != ids.end() && *place == id) ids.erase(place);
}

std::size_t difference_size(const Ids& a, const Ids& b) {
  Ids different;
  std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(),
                                std::back_inserter(different));
  return different.size();
}

bool is_named(const Membership& membership, NodeId id) {
  return has(membership.voters, id) || has(membership.voters_outgoing, id) ||
         has(membership.learners, id) || has(membership.learners_next, id);
}

// A line for the id: a new one, or the known one with new addresses.
void describe(Membership& membership, const Member& member) {
  auto place = std::lower_bound(membership.members.begin(), membership.members.end(), member.id,
                                [](const Member& known, NodeId id) { return known.id < id; });
  if (place == membership.members.end() || place->id != member.id) {
    membership.members.insert(place, member);
  } else if (!member.raft_address.empty() || !member.api_address.empty()) {
    *place = member;
  }
}

void drop_unnamed_members(Membership& membership) {
  std::erase_if(membership.members,
                [&](const Member& member) { return !is_named(membership, member.id); });
}

void apply(Membership& membership, const MembershipChange& change) {
  const NodeId id = change.member.id;
  if (id == NodeId()) return;
  switch (change.kind) {
    case ChangeKind::kAddVoter:
      erase(membership.learners, id);
      erase(membership.learners_next, id);
      insert(membership.voters, id);
      describe(membership, change.member);
      return;
    case ChangeKind::kAddLearner:
      erase(membership.voters, id);
      // Still a voter of the outgoing half: a learner only when that half is gone, since learners
      // and voters stay apart (dissertation §4.2.1, §4.3).
      insert(has(membership.voters_outgoing, id) ? membership.learners_next : membership.learners,
             id);
      describe(membership, change.member);
      return;
    case ChangeKind::kRemove:
      erase(membership.voters, id);
      erase(membership.learners, id);
      erase(membership.learners_next, id);
      return;
    case ChangeKind::kUpdate:
      if (is_named(membership, id)) describe(membership, change.member);
      return;
  }
}

wire::Result<Membership> apply_all(Membership membership,
                                   std::span<const MembershipChange> changes) {
  for (const MembershipChange& change : changes) apply(membership, change);
  if (membership.voters.empty()) {
    return wire::fail(wire::ErrorCode::kRefused,
                      "the change would leave the cluster without a voter; keep at least one");
  }
  drop_unnamed_members(membership);
  if (membership.members.size() > wire::kMembersMax) {
    return wire::fail(wire::ErrorCode::kRefused,
                      "the change would make {} members, and there may be {}: remove one first",
                      membership.members.size(), wire::kMembersMax);
  }
  return membership;
}

}  // namespace

wire::Result<Membership> change_simply(const Membership& from,
                                       std::span<const MembershipChange> changes) {
  if (from.is_joint()) {
    return wire::fail(wire::ErrorCode::kRefused,
                      "another membership change is under way; wait until it has completed");
  }
  BIB_TRY(Membership to, apply_all(from, changes));
  if (difference_size(from.voters, to.voters) > 1) {
    return wire::fail(wire::ErrorCode::kRefused,
                      "more than one voter would come or go in one step; this needs a joint "
                      "change");
  }
  return to;
}

wire::Result<Membership> enter_joint(const Membership& from,
                                     std::span<const MembershipChange> changes, bool auto_leave) {
  if (from.is_joint()) {
    return wire::fail(wire::ErrorCode::kRefused,
                      "another membership change is under way; wait until it has completed");
  }
  if (from.voters.empty()) {
    return wire::fail(wire::ErrorCode::kRefused,
                      "a cluster without a voter cannot change jointly; add one voter first");
  }
  Membership joint = from;
  joint.voters_outgoing = from.voters;
  joint.auto_leave = auto_leave;
  return apply_all(std::move(joint), changes);
}

wire::Result<Membership> leave_joint(const Membership& from) {
  if (!from.is_joint()) {
    return wire::fail(wire::ErrorCode::kRefused,
                      "no membership change is under way; there is nothing to complete");
  }
  Membership to = from;
  for (NodeId id : from.learners_next) insert(to.learners, id);
  to.learners_next.clear();
  to.voters_outgoing.clear();
  to.auto_leave = false;
  drop_unnamed_members(to);
  return to;
}

wire::Result<Membership> change_membership(const Membership& from,
                                           std::span<const MembershipChange> changes,
                                           JointLeave leave) {
  if (leave == JointLeave::kExplicit) return enter_joint(from, changes, false);
  if (!from.is_joint()) {
    BIB_TRY(Membership to, apply_all(from, changes));
    if (difference_size(from.voters, to.voters) <= 1) return to;
  }
  return enter_joint(from, changes, true);
}

bool is_safe_transition(const Membership& from, const Membership& to) {
  if (to.voters.empty()) return false;
  if (!from.is_joint() && !to.is_joint()) {
    return from.voters.empty() || difference_size(from.voters, to.voters) <= 1;
  }
  if (!from.is_joint()) return to.voters_outgoing == from.voters;
  if (!to.is_joint()) return to.voters == from.voters;
  return to.voters == from.voters && to.voters_outgoing == from.voters_outgoing;
}

std::vector<NodeId> all_ids(const Membership& membership) {
  Ids ids;
  for (const Ids* list : {&membership.voters, &membership.voters_outgoing, &membership.learners,
                          &membership.learners_next}) {
    ids.insert(ids.end(), list->begin(), list->end());
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace bib::consensus
