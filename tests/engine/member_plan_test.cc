// What is left to do of the membership changes that somebody asked for.
#include "engine/node/member_plan.h"

#include <catch2/catch.hpp>

using namespace bib;
using namespace bib::engine;
using consensus::ChangeKind;
using wire::MemberChangeKind;
using wire::NodeId;

namespace {

wire::Member member(std::uint64_t id, bool wants_vote = true) {
  const std::string host = "10.0.0." + std::to_string(id);
  return {NodeId(id), host + ":4002", host + ":4000", wants_vote, id * 11};
}

// Voters 1, 2, 3; non-voters 4, which waits for its promotion, and 5, which does not.
wire::Membership five() {
  wire::Membership membership;
  membership.voters = {NodeId(1), NodeId(2), NodeId(3)};
  membership.learners = {NodeId(4), NodeId(5)};
  membership.members = {member(1), member(2), member(3), member(4), member(5, false)};
  return membership;
}

wire::Result<std::vector<consensus::MembershipChange>> plan(
    const wire::Membership& membership, std::vector<wire::MemberChange> wanted) {
  return plan_member_changes(membership, wanted);
}

}  // namespace

TEST_CASE("what is already done is left out of a plan") {
  CHECK(plan(five(), {{MemberChangeKind::kAddVoter, NodeId(1)}})->empty());
  CHECK(plan(five(), {{MemberChangeKind::kAddLearner, NodeId(5)}})->empty());
  CHECK(plan(five(), {{MemberChangeKind::kRemove, NodeId(9)}})->empty());
  CHECK(plan(five(), {{MemberChangeKind::kUpdate, NodeId(2)}})->empty());
  CHECK(plan(five(), {{MemberChangeKind::kUpdate, NodeId(2), "10.0.0.2:4002", ""}})->empty());
  CHECK(plan(five(),
             {{MemberChangeKind::kRemove, NodeId(9)}, {MemberChangeKind::kAddVoter, NodeId(4)}})
            ->size() == 1);
}

TEST_CASE("a plan that was carried out leaves nothing to do") {
  const std::vector<wire::MemberChange> wanted = {{MemberChangeKind::kRemove, NodeId(1)},
                                                  {MemberChangeKind::kAddVoter, NodeId(5)},
                                                  {MemberChangeKind::kAddLearner, NodeId(2)}};
  auto at = five();
  const auto first = plan(at, wanted);
  REQUIRE(first);
  CHECK(first->size() == 3);
  at = consensus::change_membership(at, *first).value();
  CHECK(at.is_joint());
  CHECK(plan(at, wanted)->empty());  // also while the change is joint
  at = consensus::leave_joint(at).value();
  CHECK(plan(at, wanted)->empty());
  CHECK(at.voters == std::vector<NodeId>{NodeId(3), NodeId(5)});
  CHECK(at.learners == std::vector<NodeId>{NodeId(2), NodeId(4)});
  CHECK(at.find(NodeId(1)) == nullptr);
}

TEST_CASE("a promoted member keeps its line and a demoted one is not promoted by itself") {
  const auto promoted = plan(five(), {{MemberChangeKind::kAddVoter, NodeId(5)}});
  REQUIRE(promoted);
  REQUIRE(promoted->size() == 1);
  CHECK((*promoted)[0].kind == ChangeKind::kAddVoter);
  CHECK((*promoted)[0].member == member(5, true));

  const auto demoted = plan(five(), {{MemberChangeKind::kAddLearner, NodeId(3)}});
  REQUIRE(demoted);
  CHECK((*demoted)[0].kind == ChangeKind::kAddLearner);
  CHECK((*demoted)[0].member == member(3, false));

  // A joining voter that shall only listen after all.
  const auto held = plan(five(), {{MemberChangeKind::kAddLearner, NodeId(4)}});
  REQUIRE(held);
  CHECK((*held)[0].kind == ChangeKind::kUpdate);
  CHECK_FALSE((*held)[0].member.wants_vote);
}

TEST_CASE("an update changes what is given and keeps the rest, the log's id too") {
  const auto update = plan(five(), {{MemberChangeKind::kUpdate, NodeId(2), "", "10.9.9.9:4000"}});
  REQUIRE(update);
  CHECK((*update)[0].member.raft_address == "10.0.0.2:4002");
  CHECK((*update)[0].member.api_address == "10.9.9.9:4000");
  CHECK((*update)[0].member.log_id == 22);
  const auto after = consensus::change_membership(five(), *update);
  REQUIRE(after);
  CHECK(after->find(NodeId(2))->log_id == 22);
}

TEST_CASE("a plan refuses what cannot be done") {
  const auto code = [](const std::vector<wire::MemberChange>& wanted) {
    const auto result = plan(five(), wanted);
    return result ? wire::ErrorCode::kNone : result.error().code;
  };
  CHECK(code({{MemberChangeKind::kAddVoter, NodeId(9)}}) == wire::ErrorCode::kNotFound);
  CHECK(code({{MemberChangeKind::kAddLearner, NodeId(9)}}) == wire::ErrorCode::kNotFound);
  CHECK(code({{MemberChangeKind::kUpdate, NodeId(9), "a:1", ""}}) == wire::ErrorCode::kNotFound);
  CHECK(code({{MemberChangeKind::kRemove, NodeId(2)}, {MemberChangeKind::kAddVoter, NodeId(2)}}) ==
        wire::ErrorCode::kInvalid);
  CHECK(code({{MemberChangeKind::kUpdate, NodeId(2), "0.0.0.0:4002", ""}}) ==
        wire::ErrorCode::kInvalid);
  CHECK(code({{MemberChangeKind::kUpdate, NodeId(2), "nonsense", ""}}) ==
        wire::ErrorCode::kInvalid);
  // Port 0; the same address twice; another member's, for whichever purpose.
  CHECK(code({{MemberChangeKind::kUpdate, NodeId(2), "10.0.0.2:0", ""}}) ==
        wire::ErrorCode::kInvalid);
  CHECK(code({{MemberChangeKind::kUpdate, NodeId(2), "", "10.0.0.2:0"}}) ==
        wire::ErrorCode::kInvalid);
  CHECK(code({{MemberChangeKind::kUpdate, NodeId(2), "10.0.0.2:4000", ""}}) ==
        wire::ErrorCode::kInvalid);
  for (const char* taken : {"10.0.0.3:4002", "10.0.0.3:4000"}) {
    CHECK(code({{MemberChangeKind::kUpdate, NodeId(2), taken, ""}}) == wire::ErrorCode::kRefused);
    CHECK(code({{MemberChangeKind::kUpdate, NodeId(2), "", taken}}) == wire::ErrorCode::kRefused);
  }
}
