#include "wire/base/membership.h"

#include <catch2/catch.hpp>

#include "wire/base/prng.h"

namespace bib::wire {
namespace {

// Joint: from {1, 2, 3} to {1, 4}, where 3 becomes a learner; 5 is one already.
Membership joint() {
  Membership membership;
  membership.voters = {NodeId(1), NodeId(4)};
  membership.voters_outgoing = {NodeId(1), NodeId(2), NodeId(3)};
  membership.learners = {NodeId(5)};
  membership.learners_next = {NodeId(3)};
  membership.auto_leave = true;
  for (std::uint64_t id = 1; id <= 5; ++id) {
    membership.members.push_back({.id = NodeId(id),
                                  .raft_address = "host" + std::to_string(id) + ":1",
                                  .api_address = "host" + std::to_string(id) + ":2",
                                  .wants_vote = id % 2 == 0,
                                  .log_id = id * 3});
  }
  return membership;
}

std::string error_of(const Membership& membership) {
  const auto read = decode_membership(encode_membership(membership));
  if (read) return {};
  CHECK(read.error().code == ErrorCode::kInvalid);
  return read.error().message;
}

bool mentions(const std::string& text, const char* part) {
  INFO(text);
  CHECK_FALSE(text.empty());
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a membership comes back as it was written") {
  const auto read = decode_membership(encode_membership(joint()));
  REQUIRE(read);
  CHECK(*read == joint());
  CHECK(read->is_joint());
  CHECK(encode_membership(*read) == encode_membership(joint()));
}

TEST_CASE("a membership knows who votes in either half and who listens") {
  const Membership membership = joint();
  CHECK(membership.is_voter(NodeId(2)));
  CHECK(membership.is_voter(NodeId(4)));
  CHECK_FALSE(membership.is_voter(NodeId(5)));
  CHECK(membership.is_learner(NodeId(5)));
  CHECK_FALSE(membership.is_learner(NodeId(3)));
  REQUIRE(membership.find(NodeId(2)) != nullptr);
  CHECK(membership.find(NodeId(2))->raft_address == "host2:1");
  CHECK(membership.find(NodeId(6)) == nullptr);
}

TEST_CASE("each rule that a membership breaks is named") {
  const auto error_with = [](auto change) {
    Membership membership = joint();
    change(membership);
    return error_of(membership);
  };
  CHECK(mentions(error_with([](auto& m) { m.voters.clear(); }), "leaves no voter"));
  CHECK(mentions(error_with([](auto& m) { std::swap(m.voters[0], m.voters[1]); }),
                 "voters is not sorted"));
  CHECK(mentions(error_with([](auto& m) { m.voters_outgoing[1] = NodeId(1); }),
                 "outgoing voters is not sorted"));
  CHECK(mentions(error_with([](auto& m) { m.voters[0] = NodeId(0); }), "holds 0"));
  CHECK(mentions(error_with([](auto& m) { m.learners = {NodeId(4)}; }), "learners and in voters"));
  CHECK(mentions(error_with([](auto& m) { m.learners = {NodeId(2)}; }),
                 "learners and in outgoing voters"));
  CHECK(mentions(error_with([](auto& m) { m.learners_next = {NodeId(1)}; }),
                 "next learners and in voters"));
  CHECK(mentions(error_with([](auto& m) { m.learners_next = {NodeId(5)}; }),
                 "is not an outgoing voter"));
  CHECK(mentions(error_with([](auto& m) { m.members.pop_back(); }), "no line for it"));
  CHECK(mentions(error_with([](auto& m) { m.learners.clear(); }), "gives it no part"));
  CHECK(mentions(error_with([](auto& m) { std::swap(m.members[0], m.members[1]); }),
                 "members is not sorted"));
}

TEST_CASE("a membership of more members than the limit is refused") {
  Membership membership;
  for (std::uint64_t id = 1; id <= kMembersMax; ++id) {
    membership.voters.push_back(NodeId(id));
    membership.members.push_back({.id = NodeId(id), .raft_address = "a:1", .api_address = "a:2"});
  }
  CHECK(error_of(membership).empty());
  membership.voters.push_back(NodeId(kMembersMax + 1));
  membership.members.push_back(
      {.id = NodeId(kMembersMax + 1), .raft_address = "a:1", .api_address = "a:2"});
  CHECK(mentions(error_of(membership), "limit"));
  membership.members.pop_back();
  CHECK(mentions(error_of(membership), "longer than 256"));
}

TEST_CASE("bytes that are not a membership are corruption, cut anywhere or damaged anyhow") {
  const std::vector<std::uint8_t> bytes = encode_membership(joint());
  for (std::size_t size = 0; size < 64; ++size) {
    const auto read = decode_membership(ByteView(bytes).first(size));
    REQUIRE_FALSE(read);
    REQUIRE(read.error().code == ErrorCode::kCorrupt);
  }
  Prng random(6);
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::uint8_t> damaged = bytes;
    damaged[random.below(damaged.size())] ^= static_cast<std::uint8_t>(random.between(1, 255));
    refused += decode_membership(damaged) ? 0 : 1;
  }
  CHECK(refused > 5'000);
}

}  // namespace bib::wire
