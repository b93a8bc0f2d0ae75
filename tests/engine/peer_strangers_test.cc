// What connections from outside can cost the node's peers, over real sockets: each limit of the
// peer port, reached.
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "peer_stage.h"
#include "stranger.h"

using namespace bib;
using namespace bib::engine;
using wire::ErrorCode;
using wire::FrameKind;

namespace {

void greet(Stranger& node, NodeId from, wire::ClusterId cluster = kCluster) {
  wire::PeerHello hello;
  hello.cluster = cluster;
  hello.cluster_name = "papers";
  hello.from = from;
  hello.boot = BootId(7);
  hello.to = kSelf;
  node.send(FrameKind::kPeerHello, 0, wire::encode(hello));
}

void ask_to_join(Stranger& node, const std::string& address = "127.0.0.1:1") {
  wire::JoinRequest request;
  request.cluster_name = "papers";
  request.token = "none";
  request.node.id = NodeId(9);
  request.node.raft_address = address;
  request.node.api_address = "127.0.0.1:2";
  node.send(FrameKind::kJoinRequest, 0, wire::encode(request));
}

bool has_answer(Stranger& node) {
  return !node.received().empty();
}

ErrorCode greeting_answer(Stranger& node) {
  return wire::decode_peer_hello_reply(node.received().at(0).body.view()).value().error.code;
}

ErrorCode join_answer(Stranger& node) {
  return wire::decode_join_reply(node.received().at(0).body.view()).value().error.code;
}

std::vector<Stranger> many(std::size_t count, const Stage& stage) {
  std::vector<Stranger> strangers;
  for (std::size_t i = 0; i < count; ++i) strangers.emplace_back(stage.network->listen_address());
  return strangers;
}

wire::JoinReply refusal_to_join() {
  wire::JoinReply reply;
  reply.error = {ErrorCode::kUnauthenticated, "the cluster does not know this token"};
  return reply;
}

}  // namespace

TEST_CASE("a member gets in past connections that say nothing and nodes that are no members") {
  PeerNetworkOptions options;
  options.new_connections_max = 4;
  options.greeting_timeout_ms = 600'000;
  options.guests_max = 2;
  Stage stage(options);
  wire::Member member;
  member.id = kPeer;
  member.raft_address = "127.0.0.1:1";
  stage.network->set_members({member});
  auto guests = many(3, stage);
  std::vector<Stranger> silent;
  std::vector<Stranger> members;
  std::size_t greeted = 0;
  stage.step = [&] {
    stage.look();
    if (greeted < guests.size()) {  // one after another
      if (greeted > 0 && !has_answer(guests[greeted - 1])) return false;
      greet(guests[greeted], NodeId(10 + greeted));
      ++greeted;
    }
    if (!has_answer(guests[2])) return false;
    if (members.empty()) {
      silent = many(200, stage);
      members = many(1, stage);
      greet(members[0], kPeer);
    }
    return has_answer(members[0]) && guests[2].is_over();
  };
  stage.run();
  CHECK(greeting_answer(guests[0]) == ErrorCode::kNone);
  CHECK(greeting_answer(guests[1]) == ErrorCode::kNone);
  CHECK(greeting_answer(guests[2]) == ErrorCode::kOverloaded);
  CHECK(greeting_answer(members[0]) == ErrorCode::kNone);
  CHECK(stage.log_lines_about_refusals() == 1);
}

TEST_CASE("a node that is refused its request to join is told so, and its connection ends") {
  PeerNetworkOptions options;
  options.new_connections_max = 4;
  options.joiners_max = 2;
  Stage stage(options);
  auto joiners = many(100, stage);
  for (Stranger& node : joiners) ask_to_join(node);
  std::vector<Stranger> peers;
  stage.step = [&] {
    stage.look();
    for (auto& reply : std::exchange(stage.node.joins, {})) reply(refusal_to_join());
    for (Stranger& node : joiners) {
      if (!node.is_over()) return false;
    }
    if (peers.empty()) {
      peers = many(1, stage);
      greet(peers[0], kPeer);
    }
    return has_answer(peers[0]);
  };
  stage.run();
  CHECK(greeting_answer(peers[0]) == ErrorCode::kNone);
  std::size_t told = 0;
  for (Stranger& node : joiners) told += has_answer(node) ? 1 : 0;
  CHECK(told >= 4);
  CHECK(stage.log_lines_about_refusals() == 1);
}

TEST_CASE(
    "so many nodes wait to join at a time, the next is told to try later, and members get in") {
  PeerNetworkOptions options;
  options.joiners_max = 2;
  Stage stage(options);
  auto joiners = many(3, stage);
  std::vector<Stranger> peers;
  std::size_t asked = 0;
  stage.step = [&] {
    stage.look();
    if (asked < 3 && stage.node.joins.size() == asked) ask_to_join(joiners[asked++]);
    if (!joiners[2].is_over()) return false;
    if (peers.empty()) {
      peers = many(1, stage);
      greet(peers[0], kPeer);
    }
    if (!has_answer(peers[0])) return false;
    for (auto& reply : std::exchange(stage.node.joins, {})) reply(refusal_to_join());
    return joiners[0].is_over() && joiners[1].is_over();
  };
  stage.run();
  CHECK(join_answer(joiners[2]) == ErrorCode::kOverloaded);
  CHECK(join_answer(joiners[0]) == ErrorCode::kUnauthenticated);
  CHECK(join_answer(joiners[1]) == ErrorCode::kUnauthenticated);
}

TEST_CASE("a refused greeting ends its connection, so that it cannot be repeated on it") {
  Stage stage;
  Stranger stranger(stage.network->listen_address());
  for (int i = 0; i < 100; ++i) greet(stranger, kPeer, wire::ClusterId{{9}});
  greet(stranger, kPeer);
  std::uint64_t refused = 0;
  stage.step = [&] {
    stage.look();
    refused = stage.network->dropped(PeerDrop::kRefused);
    return stranger.is_over();
  };
  stage.run();
  CHECK(stranger.received().size() == 1);
  CHECK(greeting_answer(stranger) == ErrorCode::kForbidden);
  CHECK(refused == 1);
  CHECK(stage.log_lines_about_refusals() == 1);
}

TEST_CASE("an address with line breaks makes no line of its own in the log") {
  Stage stage;
  Stranger stranger(stage.network->listen_address());
  ask_to_join(stranger, "10.0.0.1:4002\n2026-01-01 error node \x1b[2Jthe disk is lost");
  stage.step = [&] {
    stage.look();
    for (auto& reply : std::exchange(stage.node.joins, {})) reply(refusal_to_join());
    return stranger.is_over();
  };
  stage.run();
  REQUIRE(stage.logger.count("refused to let") == 1);
  CHECK(stage.logger.count("\n") + stage.logger.count("\x1b") == 0);
  CHECK(stage.logger.count("10.0.0.1:4002\\x0a2026-01-01") == 1);
}

TEST_CASE("before its greeting a peer may send a small frame only") {
  Stage stage;
  const std::vector<std::uint8_t> large(1U << 20);
  Stranger stranger(stage.network->listen_address());
  stranger.send_beginning(FrameKind::kPeerHello, 0, large, 0);
  stage.step = [&] {
    stage.look();
    return stranger.is_over() && !stage.logger.lines.empty();
  };
  stage.run();
  CHECK(stage.logger.count("a body of 1048576 bytes is above the limit of 65536") == 1);
}

TEST_CASE("what a peer has begun to send is bounded in time once it has greeted") {
  PeerNetworkOptions options;
  options.frames.deadline_ms = 50;
  Stage stage(options);
  const std::vector<std::uint8_t> large(1U << 20);
  Stranger peer(stage.network->listen_address());
  greet(peer, kPeer);
  bool began = false;
  stage.step = [&] {
    stage.look();
    if (!began && has_answer(peer)) {
      began = true;
      peer.send_beginning(FrameKind::kPeerMessage, 0, large, 100'000);
    }
    return peer.is_over() && !stage.node.disconnected.empty();
  };
  stage.run();
  CHECK(began);
  CHECK(stage.logger.count("limits.frame_timeout") == 1);
}
