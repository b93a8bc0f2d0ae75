// What does not fit is dropped and counted: messages over real sockets from a peer that the test
// plays by hand.
#include "engine/uv/peer_network.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <memory>
#include <vector>

#include "peer_stage.h"
#include "wire/base/address.h"

using namespace bib;
using namespace bib::engine;

TEST_CASE("a peer's message is dropped and counted for each thing that does not fit") {
  Stage stage;
  Dialler& peer = stage.dial();
  const wire::Envelope right{kCluster, BootId(7)};
  std::array<std::uint64_t, kPeerDrops> dropped{};
  bool greeted = false;
  stage.step = [&] {
    if (!greeted && peer.connected) {
      greeted = true;
      peer.greet(BootId(7));
    }
    if (peer.replies.size() == 1) {
      peer.replies.push_back({});
      CHECK(peer.replies[0].error.code == wire::ErrorCode::kNone);
      peer.say({wire::ClusterId{{9}}, BootId(7)}, kPeer, kSelf);
      peer.say(right, NodeId(3), kSelf);
      peer.say({kCluster, BootId(8)}, kPeer, kSelf);
      peer.say(right, kPeer, NodeId(4));
      peer.say(right, kPeer, NodeId(4));
      peer.say(right, kPeer, kSelf);
    }
    if (stage.node.messages.empty()) return false;
    for (std::size_t i = 0; i < kPeerDrops; ++i) {
      dropped.at(i) = stage.network->dropped(static_cast<PeerDrop>(i));
    }
    return true;
  };
  stage.run();
  CHECK(stage.node.messages.size() == 1);
  const auto count = [&](PeerDrop reason) { return dropped.at(static_cast<std::size_t>(reason)); };
  CHECK(count(PeerDrop::kCluster) == 1);
  CHECK(count(PeerDrop::kSender) == 1);
  CHECK(count(PeerDrop::kBoot) == 1);
  CHECK(count(PeerDrop::kAddressee) == 2);
  CHECK(count(PeerDrop::kOldBoot) == 0);
  CHECK(count(PeerDrop::kUnreadable) == 0);
}

TEST_CASE("a message of an old boot that comes after a newer boot was seen is dropped") {
  Stage stage;
  Dialler& old = stage.dial();
  Dialler& present = stage.dial();
  std::uint64_t dropped = 0;
  int stage_number = 0;
  stage.step = [&] {
    if (stage_number == 0 && old.connected && present.connected) {
      old.greet(BootId(7));
      stage_number = 1;
    }
    if (stage_number == 1 && old.replies.size() == 1) {
      old.say({kCluster, BootId(7)}, kPeer, kSelf);
      stage_number = 2;
    }
    if (stage_number == 2 && stage.node.messages.size() == 1) {
      present.greet(BootId(8));
      stage_number = 3;
    }
    if (stage_number == 3 && present.replies.size() == 1) {
      if (old.connection) old.say({kCluster, BootId(7)}, kPeer, kSelf);
      present.say({kCluster, BootId(8)}, kPeer, kSelf);
      stage_number = 4;
    }
    dropped = stage.network->dropped(PeerDrop::kOldBoot);
    return stage_number == 4 && stage.node.messages.size() == 2 && old.closed;
  };
  stage.run();
  CHECK(stage.node.messages.size() == 2);
  CHECK(dropped == 1);
}

TEST_CASE("the end of an old boot's connection says nothing about the present boot") {
  Stage stage;
  Dialler& old = stage.dial();
  Dialler& present = stage.dial();
  int stage_number = 0;
  stage.step = [&] {
    if (stage_number == 0 && old.connected && present.connected) {
      old.greet(BootId(7));
      stage_number = 1;
    }
    if (stage_number == 1 && old.replies.size() == 1) {
      present.greet(BootId(8));
      stage_number = 2;
    }
    if (stage_number == 2 && present.replies.size() == 1) {
      CHECK(stage.node.disconnected.size() == 1);  // it was restarted
      old.connection.reset();
      present.say({kCluster, BootId(8)}, kPeer, kSelf);
      stage_number = 3;
    }
    if (stage_number == 3 && stage.node.messages.size() == 1) {
      CHECK(stage.node.disconnected.size() == 1);
      present.connection.reset();
      stage_number = 4;
    }
    return stage_number == 4 && stage.node.disconnected.size() == 2;
  };
  stage.run();
  CHECK(stage.node.disconnected == std::vector<NodeId>{kPeer, kPeer});
}

TEST_CASE("a node that must not speak as a member is told why, and nothing it says is heard") {
  Stage stage;
  stage.node.refusal.error = {wire::ErrorCode::kRefused, "its disk was lost"};
  stage.node.refusal.refusal = wire::HelloRefusal::kLogLost;
  Dialler& peer = stage.dial();
  bool greeted = false;
  stage.step = [&] {
    if (!greeted && peer.connected) {
      greeted = true;
      peer.greet(BootId(7));
    }
    if (peer.replies.size() == 1 && peer.connection) {
      CHECK(peer.replies[0].refusal == wire::HelloRefusal::kLogLost);
      CHECK(peer.replies[0].error.message == "its disk was lost");
      peer.replies.push_back({});
      peer.say({kCluster, BootId(7)}, kPeer, kSelf);
    }
    return peer.closed;
  };
  stage.run();
  CHECK(stage.node.messages.empty());
}

TEST_CASE(
    "who may no longer speak as a member loses its connection, and is told when it dials again") {
  PeerNetworkOptions options;
  options.probe_interval_ms = 5;
  options.judge_every = 2;
  Stage stage(options);
  Dialler& first = stage.dial();
  Dialler* again = nullptr;
  std::size_t said = 0;
  bool let_in = false;
  stage.step = [&] {
    if (first.connected && said == 0) {
      ++said;
      first.greet(BootId(5));
    }
    if (first.replies.size() == 1) {
      let_in = first.replies.front().error.code == wire::ErrorCode::kNone;
      stage.node.refusal.error = {wire::ErrorCode::kRefused, "removed"};
      stage.node.refusal.refusal = wire::HelloRefusal::kRemoved;
    }
    if (!first.closed) return false;
    if (again == nullptr) again = &stage.dial();
    if (again->connected && said == 1) {
      ++said;
      again->greet(BootId(5));
    }
    return !again->replies.empty();
  };
  stage.run();
  CHECK(let_in);
}

TEST_CASE("a node of another cluster of the same name that claims this one is noticed") {
  Stage stage;
  Dialler& peer = stage.dial();
  bool greeted = false;
  stage.step = [&] {
    if (!greeted && peer.connected) {
      greeted = true;
      peer.greet(BootId(7), wire::ClusterId{{9}});
    }
    if (peer.replies.empty()) return false;
    CHECK(peer.replies[0].error.code == wire::ErrorCode::kForbidden);
    return true;
  };
  stage.run();
  CHECK(stage.node.claims == 1);
}

TEST_CASE("a member whose configuration calls the cluster otherwise is refused, with both names") {
  Stage stage;
  Dialler& peer = stage.dial();
  peer.cluster_name = "books";
  bool greeted = false;
  stage.step = [&] {
    if (!greeted && peer.connected) {
      greeted = true;
      peer.greet(BootId(7));
    }
    return !peer.replies.empty();
  };
  stage.run();
  REQUIRE(peer.replies.size() == 1);
  CHECK(peer.replies[0].error.code == wire::ErrorCode::kForbidden);
  CHECK(peer.replies[0].error.message.find("called 'papers', in the greeting 'books'") !=
        std::string::npos);
}

namespace {

// Greets and probes in one write, and is gone before any answer is read.
void greet_and_leave(const std::string& address) {
  wire::PeerHello hello;
  hello.cluster = kCluster;
  hello.cluster_name = "papers";
  hello.from = kPeer;
  hello.boot = BootId(7);
  hello.to = kSelf;
  std::vector<std::uint8_t> bytes;
  wire::append_frame(bytes, wire::FrameKind::kPeerHello, 0, wire::encode(hello));
  for (std::uint64_t probe = 1; probe <= 3; ++probe) {
    wire::append_frame(bytes, wire::FrameKind::kPeerProbe, probe, {});
  }
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(wire::parse_address(address).value().port);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  REQUIRE(::send(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  ::close(fd);
}

}  // namespace

// The answer to the greeting is answered by a reset, so the answers to the probes cannot be
// written: what that closes is in use until the frame has been dealt with.
TEST_CASE("a peer that leaves before it reads the answers to what it says comes and goes") {
  std::signal(SIGPIPE, SIG_IGN);  // as bibd does
  Stage stage;
  greet_and_leave(stage.network->listen_address());
  stage.step = [&] { return stage.node.disconnected.size() == 1; };
  stage.run();
  CHECK(stage.node.disconnected == std::vector<NodeId>{kPeer});
}

namespace {

// A peer that lets the node dial it, greets it, and then takes nothing any more.
struct DeafPeer final : Connection::Handler {
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Connection> connection;

  explicit DeafPeer(EventLoop& loop) : listener(Listener::open(loop, "127.0.0.1:0").value()) {
    listener->serve(ConnectionLimits{}, [this](std::unique_ptr<Connection> incoming) {
      connection = std::move(incoming);
      connection->start(this);
    });
  }
  void on_frame(wire::Frame&& frame) override {
    if (frame.kind != wire::FrameKind::kPeerHello) return;
    wire::PeerHelloReply reply;
    reply.cluster = kCluster;
    reply.from = kPeer;
    connection->send(wire::FrameKind::kPeerHelloReply, 0, wire::encode(reply));
    connection->flush();
    connection->pause_reading();
  }
  void on_closed(const wire::Error&) override { connection.reset(); }
};

}  // namespace

TEST_CASE("what waits for a peer that does not read is bounded, and the rest is dropped") {
  Stage stage;
  auto peer = std::make_unique<DeafPeer>(stage.loop);
  wire::Member member;
  member.id = kPeer;
  member.raft_address = peer->listener->address();
  stage.network->set_members({member});
  wire::PeerMessage append;
  append.kind = wire::MessageKind::kAppend;
  append.from = kSelf;
  append.to = kPeer;
  append.term = wire::Term(1);
  append.entries.push_back({wire::LogIndex(1), wire::Term(1), 1U << 20, std::nullopt});
  append.payload.push_back(wire::Bytes::copy_of(std::vector<std::uint8_t>(1U << 20)));
  std::uint64_t sent = 0;
  std::uint64_t not_connected = 0;
  stage.step = [&] {
    stage.network->send(append);
    if (!stage.network->is_connected(kPeer)) {
      stage.look();  // until the link is up
      return false;
    }
    ++sent;
    stage.network->flush();
    stage.look();
    not_connected = stage.network->dropped(PeerDrop::kNotConnected);
    if (stage.network->dropped(PeerDrop::kFull) < 3) return false;
    CHECK(stage.network->is_connected(kPeer));  // slow is no reason to cut it off
    peer.reset();
    return true;
  };
  stage.run();
  CHECK(not_connected > 0);
  // link_bytes_max, one message beyond it, and what the kernel takes.
  CHECK(sent <= 64 + 1 + 3 + 32);
}
