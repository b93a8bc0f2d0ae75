// A node's connections to others, for tests over real sockets: the node, and peers that the test
// plays by hand.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/uv/peer_network.h"
#include "lines.h"
#include "support/test_support.h"

namespace bib::engine {

using wire::BootId;
using wire::NodeId;

inline const wire::ClusterId kCluster{{1, 2, 3}};
constexpr NodeId kSelf{1};
constexpr NodeId kPeer{2};

struct PeerNode final : PeerNetwork::Handler {
  std::vector<wire::PeerMessage> messages;
  std::vector<NodeId> disconnected;
  wire::PeerHelloReply refusal;
  std::size_t claims = 0;
  std::vector<std::function<void(const wire::JoinReply&)>> joins;
  std::function<void()> on_change = [] {};

  void on_peer_message(wire::PeerMessage&& message) override {
    messages.push_back(std::move(message));
    on_change();
  }
  void on_peer_connected(NodeId) override {}
  void on_peer_disconnected(NodeId peer) override {
    disconnected.push_back(peer);
    on_change();
  }
  void on_peer_silent(NodeId) override {}
  void on_snapshot_request(const wire::SnapshotRequest&) override {}
  void on_snapshot_part(wire::SnapshotPart&&) override {}
  void on_join_request(const wire::JoinRequest&,
                       std::function<void(const wire::JoinReply&)> reply) override {
    joins.push_back(std::move(reply));
    on_change();
  }
  void complete_hello(wire::PeerHello&) const override {}
  void check_hello(const wire::PeerHello&, wire::PeerHelloReply& reply) override {
    reply.error = refusal.error;
    reply.refusal = refusal.refusal;
  }
  void on_refused(NodeId, const wire::PeerHelloReply&) override {}
  void on_claimed(const wire::PeerHello&) override { ++claims; }
};

// A peer's connection to the node: says what the test tells it to.
struct Dialler final : Connection::Handler {
  std::unique_ptr<Connection> connection;
  std::vector<wire::PeerHelloReply> replies;
  bool closed = false;
  bool connected = false;
  std::string cluster_name = "papers";  // of the greetings to come
  std::function<void()> on_change = [] {};

  void on_frame(wire::Frame&& frame) override {
    replies.push_back(wire::decode_peer_hello_reply(frame.body.view()).value());
    on_change();
  }
  void on_closed(const wire::Error&) override {
    closed = true;
    connection.reset();
    on_change();
  }
  void on_connected() override {
    connected = true;
    on_change();
  }

  void greet(BootId boot, wire::ClusterId cluster = kCluster, NodeId to = kSelf,
             const std::string& address = {}) const {
    wire::PeerHello hello;
    hello.cluster = cluster;
    hello.cluster_name = cluster_name;
    hello.from = kPeer;
    hello.boot = boot;
    hello.to = to;
    hello.raft_address = address;
    connection->send(wire::FrameKind::kPeerHello, 0, wire::encode(hello));
    connection->flush();
  }
  void say(wire::Envelope envelope, NodeId from, NodeId to) const {
    wire::PeerMessage message;
    message.kind = wire::MessageKind::kHeartbeatReply;
    message.from = from;
    message.to = to;
    message.term = wire::Term(1);
    const auto head = wire::encode_peer_message_head(envelope, message);
    connection->send(wire::FrameKind::kPeerMessage, 0, head);
    connection->flush();
  }
};

// The node, and as many connections of one peer as the test dials. `step` is called after whatever
// happens, until it says that the test is over.
struct Stage {
  EventLoop loop;
  Lines logger;
  PeerNode node;
  std::unique_ptr<PeerNetwork> network;
  std::vector<std::unique_ptr<Dialler>> diallers;
  std::unique_ptr<Timer> deadline = std::make_unique<Timer>(loop, [this] { end(); });
  std::function<bool()> step;
  bool timed_out = true;

  explicit Stage(PeerNetworkOptions options = {}) {
    options.self = kSelf;
    options.boot = BootId(1);
    options.cluster = kCluster;
    options.cluster_name = "papers";
    network = std::make_unique<PeerNetwork>(loop, logger, options,
                                            Listener::open(loop, "127.0.0.1:0").value(), &node);
    node.on_change = [this] { look(); };
    deadline->start(20000, 0);
  }

  Dialler& dial() {
    auto dialler = std::make_unique<Dialler>();
    dialler->on_change = [this] { look(); };
    dialler->connection =
        Connection::dial(loop, network->listen_address(), ConnectionLimits{}, dialler.get())
            .value();
    diallers.push_back(std::move(dialler));
    return *diallers.back();
  }
  std::size_t log_lines_about_refusals() const {
    return logger.count("peer: refused") + logger.count("closed the oldest");
  }
  // Looks on after the callback, so that the test may destroy what called it.
  void look() { loop.continue_soon(); }
  void run() {
    loop.set_turn_handler([this] {
      if (!network) return;
      const bool is_over = step();
      network->flush();  // as a node does
      if (!is_over) return;
      timed_out = false;
      end();
    });
    REQUIRE(loop.run());
    CHECK_FALSE(timed_out);
  }
  // What the diallers were told stays as long as the stage.
  void end() {
    for (const auto& dialler : diallers) dialler->connection.reset();
    network.reset();
    deadline.reset();
    loop.stop();
  }
};

}  // namespace bib::engine
