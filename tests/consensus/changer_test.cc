#include "consensus/changer.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "wire/base/prng.h"

namespace bib::consensus {

namespace {

using wire::Member;
using wire::Membership;
using wire::NodeId;

MembershipChange change(ChangeKind kind, std::uint64_t id, const std::string& address = "") {
  return {kind, Member{NodeId(id), address, address, true}};
}

Membership of_voters(std::initializer_list<std::uint64_t> ids) {
  Membership membership;
  for (std::uint64_t id : ids) {
    membership.voters.push_back(NodeId(id));
    membership.members.push_back({NodeId(id), "old", "old", true});
  }
  return membership;
}

// As decode_membership() wants it.
void check_invariants(const Membership& m) {
  for (const auto* list : {&m.voters, &m.voters_outgoing, &m.learners, &m.learners_next}) {
    CHECK(std::is_sorted(list->begin(), list->end()));
    CHECK(std::adjacent_find(list->begin(), list->end()) == list->end());
  }
  for (NodeId id : m.learners) CHECK_FALSE(m.is_voter(id));
  for (NodeId id : m.learners_next) {
    CHECK(std::binary_search(m.voters_outgoing.begin(), m.voters_outgoing.end(), id));
    CHECK_FALSE(std::binary_search(m.voters.begin(), m.voters.end(), id));
  }
  std::vector<NodeId> lines;
  for (const Member& member : m.members) lines.push_back(member.id);
  CHECK(lines == all_ids(m));
  CHECK_FALSE(m.voters.empty());
}

}  // namespace

TEST_CASE("One voter is changed in one step, more through a joint membership that leaves itself") {
  const Membership from = of_voters({1, 2, 3});
  const std::vector one{change(ChangeKind::kAddVoter, 4, "new")};
  const auto simple = change_membership(from, one);
  REQUIRE(simple);
  CHECK_FALSE(simple->is_joint());
  const std::vector two{change(ChangeKind::kAddVoter, 4), change(ChangeKind::kRemove, 1)};
  const auto joint = change_membership(from, two);
  REQUIRE(joint);
  CHECK(joint->is_joint());
  CHECK(joint->auto_leave);
  CHECK(joint->find(NodeId(1)) != nullptr);  // until it is left
  const auto left = leave_joint(*joint);
  REQUIRE(left);
  CHECK(left->voters == std::vector{NodeId(2), NodeId(3), NodeId(4)});
  CHECK(left->find(NodeId(1)) == nullptr);
}

TEST_CASE("A change that is to be left explicitly is joint even for one voter, and stays so") {
  const Membership from = of_voters({1, 2, 3});
  const std::vector one{change(ChangeKind::kAddVoter, 4)};
  const auto joint = change_membership(from, one, JointLeave::kExplicit);
  REQUIRE(joint);
  CHECK(joint->voters_outgoing == from.voters);
  CHECK_FALSE(joint->auto_leave);
  CHECK_FALSE(change_membership(*joint, one, JointLeave::kExplicit));
  CHECK_FALSE(change_membership(*joint, one));
  CHECK(leave_joint(*joint));
}

TEST_CASE("An update changes addresses, and nothing for a stranger") {
  const Membership from = of_voters({1, 2});
  const std::vector changes{change(ChangeKind::kUpdate, 2, "new"),
                            change(ChangeKind::kUpdate, 9, "new")};
  const auto to = change_simply(from, changes);
  REQUIRE(to);
  CHECK(to->find(NodeId(2))->raft_address == "new");
  CHECK(to->find(NodeId(1))->raft_address == "old");
  CHECK(to->find(NodeId(9)) == nullptr);
}

TEST_CASE("A node that is a member keeps its line when it is promoted without an address") {
  const Membership from = of_voters({1, 2});
  const std::vector changes{change(ChangeKind::kAddLearner, 2)};
  const auto to = change_simply(from, changes);
  REQUIRE(to);
  CHECK(to->find(NodeId(2))->raft_address == "old");
}

TEST_CASE("Unsafe transitions are recognised") {
  CHECK(is_safe_transition(of_voters({1, 2, 3}), of_voters({1, 2, 3, 4})));
  CHECK(is_safe_transition({}, of_voters({1, 2, 3})));
  CHECK_FALSE(is_safe_transition(of_voters({1, 2, 3}), of_voters({1, 2, 4})));
  CHECK_FALSE(is_safe_transition(of_voters({1}), {}));
  Membership joint = of_voters({3, 4, 5});
  joint.voters_outgoing = of_voters({1, 2, 3}).voters;
  CHECK(is_safe_transition(of_voters({1, 2, 3}), joint));
  CHECK_FALSE(is_safe_transition(of_voters({1, 2}), joint));
  CHECK(is_safe_transition(joint, of_voters({3, 4, 5})));
  CHECK_FALSE(is_safe_transition(joint, of_voters({1, 2, 3})));
}

TEST_CASE("Whatever is changed, the lists keep their order and each transition is safe") {
  wire::Prng random(3);
  Membership membership = of_voters({1, 2, 3});
  int joint_steps = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<MembershipChange> changes;
    for (std::uint64_t i = 1 + random.below(4); i > 0; --i) {
      changes.push_back(change(static_cast<ChangeKind>(1 + random.below(4)), random.below(8), "x"));
    }
    const auto next =
        membership.is_joint() ? leave_joint(membership) : change_membership(membership, changes);
    if (!next) continue;
    check_invariants(*next);
    CHECK(is_safe_transition(membership, *next));
    joint_steps += next->is_joint() ? 1 : 0;
    membership = *next;
  }
  CHECK(joint_steps > 100);
}

TEST_CASE("A change that makes more members than a membership may have is refused") {
  Membership full = of_voters({1, 2, 3});
  std::vector<MembershipChange> joins;
  for (std::uint64_t id = 4; id <= wire::kMembersMax; ++id) {
    joins.push_back(change(ChangeKind::kAddLearner, id, "new"));
  }
  full = change_membership(full, joins).value();
  REQUIRE(full.members.size() == wire::kMembersMax);
  REQUIRE(wire::decode_membership(wire::encode_membership(full)));
  const std::vector one_more{change(ChangeKind::kAddLearner, 999, "new")};
  const auto refused = change_membership(full, one_more);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == wire::ErrorCode::kRefused);
  CHECK(refused.error().message.find("257 members") != std::string::npos);
  CHECK_FALSE(enter_joint(full, one_more, true));
}

}  // namespace bib::consensus
