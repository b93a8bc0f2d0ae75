// bib cluster member and transfer, and the bound on stale reads, against a node with chosen
// answers.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "cli/commands/cluster_view.h"
#include "cli/commands/member_names.h"
#include "fake_node.h"
#include "run.h"
#include "wire/model/row.h"

using namespace bib;
using namespace bib::cli;
using bib::test::Answer;
using bib::test::FakeNode;
using bib::test::Received;
using bib::test::Session;
using wire::ErrorCode;
using wire::FrameKind;
using wire::MemberChangeKind;
using wire::NodeId;

namespace {

constexpr std::uint64_t kFirst = 0xa100000000000001;
constexpr std::uint64_t kSecond = 0xa200000000000002;
constexpr std::uint64_t kThird = 0xb300000000000003;

template <typename Message>
Answer answer(FrameKind kind, const Message& message) {
  wire::ClientEncoder encoder;
  return test::reply(kind, encoder.encode(message));
}

// The first leads, the third only listens.
Answer members() {
  wire::StatusReply status;
  status.node = NodeId(kFirst);
  status.leader = NodeId(kFirst);
  status.role = "leader";
  status.membership_index = wire::LogIndex(7);
  status.membership_committed = true;
  for (const std::uint64_t id : {kFirst, kSecond, kThird}) {
    wire::MemberStatus& member = status.members.emplace_back();
    member.id = NodeId(id);
    member.raft_address = "10.0.0.1:4002";
    member.voter = id != kThird;
    member.incoming = member.voter;
    member.known = true;
    member.healthy = true;
  }
  return answer(FrameKind::kStatusReply, status);
}

// Answers the requests that are no status requests with these, in turn; the last one again.
class Script {
 public:
  explicit Script(std::vector<Answer> answers)
      : answers_(std::move(answers)), node_(kFirst, [this](const Received& request) {
          if (request.kind == FrameKind::kStatus) return members();
          requests_.push_back(request);
          return answers_[std::min(next_++, answers_.size() - 1)];
        }) {}

  int run(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--server", node_.address(), "--timeout", timeout});
    Session session(std::move(arguments));
    const int code = session.run();
    out = session.out();
    err = session.err();
    return code;
  }
  // The requests' bodies, from the node's thread: read them when the run is over.
  const std::vector<Received>& requests() const { return requests_; }

  std::string timeout = "5s";
  std::string out;
  std::string err;

 private:
  std::vector<Answer> answers_;
  std::size_t next_ = 0;
  std::vector<Received> requests_;
  FakeNode node_;
};

Answer change_done(bool unchanged = false, bool joint = false) {
  wire::ChangeMembershipReply reply;
  reply.done = true;
  reply.unchanged = unchanged;
  reply.index = wire::LogIndex(9);
  reply.joint = joint;
  return answer(FrameKind::kChangeMembershipReply, reply);
}

Answer change_waits(std::string_view what) {
  wire::ChangeMembershipReply reply;
  reply.waits_for = what;
  return answer(FrameKind::kChangeMembershipReply, reply);
}

std::vector<MemberView> three() {
  std::vector<MemberView> list(3);
  list[0].id = NodeId(kFirst);
  list[1].id = NodeId(kSecond);
  list[2].id = NodeId(kThird);
  return list;
}

}  // namespace

TEST_CASE("a member is named by its id or by as much of it as is unique") {
  CHECK(find_member(three(), "b")->value() == kThird);
  CHECK(find_member(three(), "a1")->value() == kFirst);
  CHECK(find_member(three(), "a200000000000002")->value() == kSecond);
  CHECK(find_member(three(), "0000000000000009")->value() == 9);  // gone: named all the same
  CHECK(find_member(three(), "c").error().code == ErrorCode::kNotFound);
  CHECK(find_member(three(), "").error().code == ErrorCode::kInvalid);
  CHECK(find_member(three(), "leader").error().code == ErrorCode::kInvalid);
  const auto several = find_member(three(), "a");
  REQUIRE_FALSE(several);
  CHECK(several.error().code == ErrorCode::kInvalid);
  CHECK(several.error().message.find("a100000000000001, a200000000000002") != std::string::npos);
}

TEST_CASE(
    "a change is asked for with the same bytes until it is done, and says what it waits for") {
  Script script({change_waits("b3 to catch up"), change_waits("b3 to catch up"), change_done()});
  REQUIRE(script.run({"cluster", "member", "promote", "b3", "-o", "json"}) == 0);
  REQUIRE(script.requests().size() == 3);
  CHECK(script.requests()[0].body == script.requests()[2].body);
  const auto request = wire::decode_change_membership(script.requests()[0].body);
  REQUIRE(request);
  REQUIRE(request->changes.size() == 1);
  CHECK(request->changes[0].kind == MemberChangeKind::kAddVoter);
  CHECK(request->changes[0].id == NodeId(kThird));
  CHECK_FALSE(request->force);
  CHECK(script.err == "waiting for b3 to catch up\n");
  const auto json = nlohmann::json::parse(script.out);
  CHECK(json.at("changed") == true);
  CHECK(json.at("membership_index") == 9);
}

TEST_CASE("a change that is not done in time ends with what it waits for") {
  Script script({change_waits("entry 9 to be committed")});
  script.timeout = "300ms";
  REQUIRE(script.run({"cluster", "member", "remove", "a2"}) == 4);
  CHECK(script.err.find("it waits for entry 9 to be committed") != std::string::npos);
}

TEST_CASE("each command of members asks for what it says") {
  const auto asked = [](std::vector<std::string> arguments) {
    Script script({change_done()});
    arguments.insert(arguments.begin(), {"cluster", "member"});
    INFO(script.err);
    REQUIRE(script.run(std::move(arguments)) == 0);
    const auto request = wire::decode_change_membership(script.requests().at(0).body);
    REQUIRE(request);
    std::string text;
    for (const wire::MemberChange& change : request->changes) {
      text += fmt::format("{}:{:x}{}{} ", static_cast<int>(change.kind), change.id.value() >> 56,
                          change.raft_address, change.api_address);
    }
    if (request->force) text += "force ";
    if (request->explicit_leave) text += "explicit";
    return text;
  };
  CHECK(asked({"remove", "a1", "a2"}) == "3:a1 3:a2 ");
  CHECK(asked({"demote", "a2", "--force"}) == "2:a2 force ");
  CHECK(asked({"replace", "a1", "b3"}) == "3:a1 1:b3 ");
  CHECK(asked({"update", "a2", "--address", "h:1"}) == "4:a2h:1 ");
  CHECK(asked({"leave-joint"}).empty());
  CHECK(asked({"change", "--add-voter", "b3", "--remove", "a1", "--demote", "a2", "--leave",
               "explicit"}) == "1:b3 2:a2 3:a1 explicit");
}

TEST_CASE("an unsafe change is refused with the leader's words and exit code 10") {
  Script script({test::refused(ErrorCode::kRefused, "1 of 2 voters healthy")});
  CHECK(script.run({"cluster", "member", "remove", "a2"}) == 10);
  CHECK(script.err.find("1 of 2 voters healthy") != std::string::npos);
  CHECK(script.out.empty());
}

TEST_CASE("members are listed with their part, and as JSON") {
  Script script({change_done()});
  REQUIRE(script.run({"cluster", "member", "list"}) == 0);
  CHECK(script.out.find("non-voter") != std::string::npos);
  REQUIRE(script.run({"cluster", "member", "list", "-o", "json"}) == 0);
  const auto json = nlohmann::json::parse(script.out);
  CHECK(json.at("members").size() == 3);
  CHECK(json.at("members")[0].at("role") == "leader");
  CHECK(json.at("members")[0].at("leader") == true);
  CHECK(json.at("members")[2].at("part") == "non-voter");
  CHECK(json.at("members")[2].at("caught_up") == false);
  CHECK(json.at("joint") == false);
  CHECK(json.at("committed") == true);
}

TEST_CASE("a hand-over names who led, and tells who leads") {
  wire::TransferReply waits;
  waits.waits_for = "a2 to take over";
  wire::TransferReply done;
  done.done = true;
  done.leader = NodeId(kSecond);
  done.term = wire::Term(5);
  Script script(
      {answer(FrameKind::kTransferReply, waits), answer(FrameKind::kTransferReply, done)});
  REQUIRE(script.run({"cluster", "transfer", "a2", "-o", "json"}) == 0);
  const auto request = wire::decode_transfer_leadership(script.requests().at(0).body);
  REQUIRE(request);
  CHECK(request->target == NodeId(kSecond));
  CHECK(request->from == NodeId(kFirst));
  CHECK(script.requests().size() == 2);
  const auto json = nlohmann::json::parse(script.out);
  CHECK(json.at("leader") == "a200000000000002");
  CHECK(json.at("changed") == true);

  Script failed({test::refused(ErrorCode::kRefused, "did not take over")});
  CHECK(failed.run({"cluster", "transfer"}) == 10);
}

TEST_CASE("a bound on age goes with stale reads, and the answer's age is told") {
  wire::ConfigRow row;
  row.key = "k";
  row.value = "v";
  wire::RowEncoder rows;
  wire::QueryReply page;
  page.rows.push_back({"k", rows.encode(row)});
  page.applied_index = wire::LogIndex(12);
  page.age_known = true;
  page.age_us = 1'500'000;
  Script script({answer(FrameKind::kQueryReply, page)});
  REQUIRE(script.run({"config", "get", "k", "--consistency", "stale", "--max-age", "5s"}) == 0);
  const auto query = wire::decode_query(script.requests().at(0).body);
  REQUIRE(query);
  CHECK(query->consistency == wire::Consistency::kStale);
  CHECK(query->max_age_us == 5'000'000);
  CHECK(script.out == "v\n");
  CHECK(script.err == "As of entry 12, at most 1500ms old.\n");

  CHECK(script.run({"config", "get", "k", "--max-age", "5s"}) == 2);
  CHECK(script.run({"config", "get", "k", "--consistency", "stale", "--max-age", "0s"}) == 2);
  CHECK(script.run({"config", "get", "k", "--consistency", "stale", "--max-age", "soon"}) == 2);
}

TEST_CASE("members that hang do not keep a comparison of digests beyond its time") {
  FakeNode hangs(2, [](const Received&) { return test::silence(); });
  wire::StatusReply status;
  status.leader = status.node = NodeId(1);
  FakeNode node(1, [&](const Received&) { return answer(FrameKind::kStatusReply, status); });
  const std::string address = hangs.address();
  for (std::uint64_t id = 2; id <= 21; ++id) {
    wire::MemberStatus& member = status.members.emplace_back();
    member.id = NodeId(id);
    member.api_address = address;
  }
  Session session(
      {"cluster", "status", "--digests", "--timeout", "1s", "--server", node.address()});
  const auto began = std::chrono::steady_clock::now();
  CHECK(session.run() == 1);
  // Each had a second of its own.
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(10));
  CHECK(session.out().find("not comparable") != std::string::npos);
}

TEST_CASE("in a joint phase both majorities count for what the cluster tolerates") {
  // Voters 1, 2, 3 are to give way to 3, 4, 5.
  wire::StatusReply status;
  status.leader = NodeId(1);
  status.joint = true;
  for (std::uint64_t id = 1; id <= 5; ++id) {
    wire::MemberStatus& member = status.members.emplace_back();
    member.id = NodeId(id);
    member.voter = true;
    member.outgoing = id <= 3;
    member.incoming = id >= 3;
    member.known = member.healthy = true;
  }
  const auto verdict = [&] { return quorum_text(judge(to_view(status))); };
  // Of five voters, but the loss of two of three outgoing ones ends it.
  CHECK(verdict() ==
        "Quorum: 2/3 and 2/3 of the outgoing voters (healthy), tolerates 1 more failure");
  status.members[0].healthy = false;
  CHECK(verdict() ==
        "Quorum: 2/3 and 2/3 of the outgoing voters (degraded: 3 of 3 and 2 of 3 outgoing voters "
        "healthy), tolerates 0 more failures");
  status.members[1].healthy = false;
  CHECK(verdict() ==
        "Quorum: 2/3 and 2/3 of the outgoing voters (NO QUORUM: 3 of 3 and 1 of 3 outgoing voters "
        "healthy)");
  const ClusterView view = to_view(status);
  CHECK(state_text(view) == "no quorum");
  CHECK(to_text(view).find("Joint phase: both majorities decide until `bib cluster member "
                           "leave-joint`.\nQuorum: ") != std::string::npos);
  const Json json = to_json(view);
  CHECK(json["leave"] == "explicit");
  CHECK(json["quorum"]["healthy"] == 3);
  CHECK(json["quorum"]["outgoing"]["healthy"] == 1);
  CHECK(json["quorum"]["has_quorum"] == false);

  // One voter of one is left: a single loss there ends it, whatever the other half has.
  status.members = {status.members[2], status.members[3], status.members[4]};
  status.members[0].outgoing = true;
  CHECK(judge(to_view(status)).tolerates() == 0);
  status.joint = false;
  CHECK(verdict() == "Quorum: 2/3 (healthy), tolerates 1 more failure");
  CHECK(to_json(to_view(status))["quorum"]["outgoing"].is_null());
}
