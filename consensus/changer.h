// Membership transitions (Raft dissertation §4.1 and §4.3), as functions from one wire::Membership
// to the next. Pure; no state. A failure changes nothing and says which rule was broken.
//
// Happy path: one voter more or less goes in a single step (change_simply), because any two
// majorities overlap. Anything else enters joint consensus (enter_joint): the old voters move to
// `voters_outgoing`, and both halves must agree on everything until leave_joint() is committed.
//
// The results keep wire's invariants: lists sorted, no repeats; learners are not voters;
// learners_next is a part of voters_outgoing; `members` has a line for exactly the ids in the
// lists.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "wire/base/membership.h"
#include "wire/base/result.h"

namespace bib::consensus {

enum class ChangeKind : std::uint8_t {
  kAddVoter = 1,    // also promotes a learner; a line that exists keeps its place, see kUpdate
  kAddLearner = 2,  // also demotes a voter
  kRemove = 3,      // of an absent node: changes nothing
  kUpdate = 4,      // the member's addresses and wants_vote only
};

struct MembershipChange {
  ChangeKind kind = ChangeKind::kAddVoter;
  // kRemove reads only the id. A known member's line is replaced when an address is given, and
  // kept otherwise. Id 0 ("none") is ignored.
  wire::Member member;
};

// Applies them in order, each to the last one's result. Refused when joint, when no voter would be
// left, or when more than one voter comes or goes.
wire::Result<wire::Membership> change_simply(const wire::Membership& from,
                                             std::span<const MembershipChange> changes);

// Refused when joint already, when there is no voter to be the outgoing half, or when no voter
// would be left.
wire::Result<wire::Membership> enter_joint(const wire::Membership& from,
                                           std::span<const MembershipChange> changes,
                                           bool auto_leave);

// Refused when not joint.
wire::Result<wire::Membership> leave_joint(const wire::Membership& from);

// kAutomatic: change_simply() where that is allowed, else enter_joint(), to be left by itself.
// kExplicit: enter_joint(), to stay until leave_joint() is asked for.
enum class JointLeave : std::uint8_t { kAutomatic, kExplicit };
wire::Result<wire::Membership> change_membership(const wire::Membership& from,
                                                 std::span<const MembershipChange> changes,
                                                 JointLeave leave = JointLeave::kAutomatic);

// Whether `to` may follow `from` in a log: every majority of one meets every majority of the other.
bool is_safe_transition(const wire::Membership& from, const wire::Membership& to);

// Every id that the membership names, sorted.
std::vector<wire::NodeId> all_ids(const wire::Membership& membership);

}  // namespace bib::consensus
