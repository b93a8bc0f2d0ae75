#include "wire/peer/peer_hello.h"

#include <catch2/catch.hpp>

#include "log_samples.h"
#include "wire/base/prng.h"

namespace bib::wire {
namespace {

Member sample_member(std::uint64_t id) {
  return {.id = NodeId(id),
          .raft_address = "10.0.0.1:4001",
          .api_address = "10.0.0.1:4000",
          .wants_vote = false,
          .log_id = 77};
}

JoinReply sample_welcome() {
  JoinReply reply;
  reply.leader_address = "10.0.0.2:4001";
  reply.cluster = sample_cluster();
  reply.membership.voters = {NodeId(3)};
  reply.membership.members = {sample_member(3)};
  return reply;
}

}  // namespace

TEST_CASE("a peer's hello and its answer come back with every field") {
  const PeerHello hello{.protocol = 3,
                        .cluster = sample_cluster(),
                        .cluster_name = "library",
                        .from = NodeId(1),
                        .boot = BootId(2),
                        .to = NodeId(4),
                        .log_last = {LogIndex(5), Term(3)},
                        .raft_address = "10.0.0.1:4001",
                        .log_id = 6,
                        .term = Term(7),
                        .membership_index = LogIndex(8)};
  const auto got = decode_peer_hello(encode(hello));
  REQUIRE(got);
  CHECK(got->protocol == 3);
  CHECK(got->cluster == hello.cluster);
  CHECK(got->cluster_name == "library");
  CHECK(got->from == NodeId(1));
  CHECK(got->boot == BootId(2));
  CHECK(got->to == NodeId(4));
  CHECK(got->log_last == LogPosition{LogIndex(5), Term(3)});
  CHECK(got->raft_address == "10.0.0.1:4001");
  CHECK(got->log_id == 6);
  CHECK(got->term == Term(7));
  CHECK(got->membership_index == LogIndex(8));

  const PeerHelloReply reply{.protocol = 3,
                             .cluster = sample_cluster(),
                             .from = NodeId(6),
                             .boot = BootId(7),
                             .error = {ErrorCode::kForbidden, "another cluster"},
                             .refusal = HelloRefusal::kLogLost,
                             .membership_index = LogIndex(9)};
  const auto answer = decode_peer_hello_reply(encode(reply));
  REQUIRE(answer);
  CHECK(answer->protocol == 3);
  CHECK(answer->cluster == reply.cluster);
  CHECK(answer->from == NodeId(6));
  CHECK(answer->boot == BootId(7));
  CHECK(answer->error.code == ErrorCode::kForbidden);
  CHECK(answer->error.message == "another cluster");
  CHECK(answer->refusal == HelloRefusal::kLogLost);
  CHECK(answer->membership_index == LogIndex(9));
}

TEST_CASE("a request to join and its answer come back with every field") {
  const JoinRequest request{
      .protocol = 3, .cluster_name = "library", .token = "secret", .node = sample_member(9)};
  const auto got = decode_join_request(encode(request));
  REQUIRE(got);
  CHECK(got->protocol == 3);
  CHECK(got->cluster_name == "library");
  CHECK(got->token == "secret");
  CHECK(got->node == sample_member(9));

  const auto welcome = decode_join_reply(encode(sample_welcome()));
  REQUIRE(welcome);
  CHECK(welcome->error.code == ErrorCode::kNone);
  CHECK(welcome->cluster == sample_cluster());
  CHECK(welcome->membership == sample_welcome().membership);

  JoinReply refusal;
  refusal.error = {ErrorCode::kNotLeader, "ask the leader"};
  refusal.leader_address = "10.0.0.2:4001";
  const auto answer = decode_join_reply(encode(refusal));
  REQUIRE(answer);
  CHECK(answer->error.code == ErrorCode::kNotLeader);
  CHECK(answer->error.message == "ask the leader");
  CHECK(answer->leader_address == "10.0.0.2:4001");
}

TEST_CASE("a peer's hello without a sender and a join without a reachable node are refused") {
  CHECK_FALSE(decode_peer_hello(encode(PeerHello{})));
  JoinRequest request{.cluster_name = "library", .token = "t", .node = sample_member(0)};
  CHECK_FALSE(decode_join_request(encode(request)));
  request.node = sample_member(9);
  CHECK(decode_join_request(encode(request)));
  request.node.api_address.clear();
  CHECK_FALSE(decode_join_request(encode(request)));
  request.node = sample_member(9);
  request.node.raft_address.assign(513, 'a');
  CHECK_FALSE(decode_join_request(encode(request)));
}

TEST_CASE("a welcome must bring a cluster and a valid membership") {
  JoinReply reply = sample_welcome();
  reply.cluster = {};
  CHECK_FALSE(decode_join_reply(encode(reply)));
  reply = sample_welcome();
  reply.membership.members.clear();
  CHECK_FALSE(decode_join_reply(encode(reply)));
}

TEST_CASE("text in a hello that is beyond its limit is refused with the field's name") {
  PeerHello hello;
  hello.from = NodeId(1);
  hello.cluster_name.assign(257, 'x');
  const auto refused = decode_peer_hello(encode(hello));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("cluster_name") != std::string::npos);
  const JoinRequest request{
      .cluster_name = "library", .token = std::string(1025, 'x'), .node = sample_member(9)};
  CHECK_FALSE(decode_join_request(encode(request)));
}

TEST_CASE("damaged hellos and joins never crash the decoder") {
  PeerHello hello;
  hello.from = NodeId(1);
  hello.cluster_name = "library";
  PeerHelloReply reply;
  reply.error = {ErrorCode::kForbidden, "no"};
  const JoinRequest request{.cluster_name = "library", .token = "t", .node = sample_member(9)};
  const std::vector<std::vector<std::uint8_t>> bodies = {encode(hello), encode(reply),
                                                         encode(request), encode(sample_welcome())};
  Prng random(8);
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::uint8_t> bytes = bodies[random.below(bodies.size())];
    if (random.chance_ppm(300'000)) bytes.resize(random.below(bytes.size()));
    if (!bytes.empty()) {
      bytes[random.below(bytes.size())] ^= static_cast<std::uint8_t>(random.between(1, 255));
    }
    refused += decode_peer_hello(bytes) ? 0 : 1;
    refused += decode_peer_hello_reply(bytes) ? 0 : 1;
    refused += decode_join_request(bytes) ? 0 : 1;
    refused += decode_join_reply(bytes) ? 0 : 1;
  }
  CHECK(refused > 20'000);
  CHECK_FALSE(decode_peer_hello(std::vector<std::uint8_t>((1U << 20) + 1)));
}

TEST_CASE("a refusal of a kind that this build does not know is read, with its words") {
  PeerHelloReply reply;
  reply.from = NodeId(6);
  reply.error = {ErrorCode::kRefused, "for a reason of the year after next"};
  reply.refusal = static_cast<HelloRefusal>(200);
  const auto got = decode_peer_hello_reply(encode(reply));
  REQUIRE(got);
  CHECK(got->refusal == static_cast<HelloRefusal>(200));
  CHECK(got->error.message == reply.error.message);
}

}  // namespace bib::wire
