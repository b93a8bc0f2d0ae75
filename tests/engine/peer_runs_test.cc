// Two runs of one node, over real sockets: a restart, and a copied machine; and a node whose
// connections end as soon as they are made.
#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peer_stage.h"

using namespace bib;
using namespace bib::engine;
using wire::ErrorCode;
using wire::HelloRefusal;

namespace {

constexpr BootId kOriginal{7};
constexpr BootId kCopy{8};

// A run of the peer that the node can dial: answers its greetings, and its probes.
struct Run final : Connection::Handler {
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Connection> connection;
  bool answers_probes = true;
  bool ends_at_once = false;
  std::size_t greetings = 0;
  EventLoop& loop;

  explicit Run(EventLoop& its_loop)
      : listener(Listener::open(its_loop, "127.0.0.1:0").value()), loop(its_loop) {
    listener->serve(ConnectionLimits{}, [this](std::unique_ptr<Connection> incoming) {
      connection = std::move(incoming);
      connection->start(this);
    });
  }
  const std::string& address() const { return listener->address(); }
  void on_frame(wire::Frame&& frame) override {
    if (frame.kind == wire::FrameKind::kPeerProbe && answers_probes) {
      connection->send(wire::FrameKind::kPeerProbeReply, frame.id, {});
      connection->flush();
    }
    if (frame.kind != wire::FrameKind::kPeerHello) return;
    ++greetings;
    wire::PeerHelloReply reply;
    reply.cluster = kCluster;
    reply.from = kPeer;
    reply.boot = kOriginal;
    connection->send(wire::FrameKind::kPeerHelloReply, 0, wire::encode(reply));
    connection->flush();
    if (ends_at_once) connection->finish();
  }
  void on_closed(const wire::Error&) override { connection.reset(); }
};

// A node whose member is that run, connected both ways, and what greets beside it.
struct TwoRuns {
  Stage stage;
  std::unique_ptr<Run> run;
  Dialler* original = nullptr;
  std::vector<Dialler*> tries;  // of the other run, one after another
  bool has_greeted = false;

  TwoRuns() : stage(quick()), run(std::make_unique<Run>(stage.loop)) {
    stage.network->set_members({member()});
    original = &stage.dial();
  }
  static PeerNetworkOptions quick() {
    PeerNetworkOptions options;
    options.probe_interval_ms = 5;
    return options;
  }
  wire::Member member() const {
    wire::Member member;
    member.id = kPeer;
    member.raft_address = run->address();
    return member;
  }
  // The original is let in, and the node is connected to it.
  bool is_set_up() {
    if (!has_greeted && original->connected) {
      has_greeted = true;
      original->greet(kOriginal, kCluster, kSelf, run->address());
    }
    return !original->replies.empty() && stage.network->is_connected(kPeer);
  }
  // The other run's latest answer; it greets anew each time it was told, or cut off.
  std::optional<wire::PeerHelloReply> answer_to_other(const std::string& address) {
    if (tries.empty() || tries.back()->closed) {
      tries.push_back(&stage.dial());
      Dialler* dialler = tries.back();
      dialler->on_change = [this, dialler, address, greeted = false]() mutable {
        if (dialler->connected && !greeted) {
          greeted = true;
          dialler->greet(kCopy, kCluster, kSelf, address);
        }
        stage.look();
      };
    }
    if (tries.back()->replies.empty()) return std::nullopt;
    return tries.back()->replies.back();
  }
  void end() { run.reset(); }
};

}  // namespace

TEST_CASE("a copied machine under another address is refused, which is said once") {
  TwoRuns runs;
  const std::string where = runs.run->address();
  std::string said;
  runs.stage.step = [&] {
    runs.stage.look();
    if (!runs.is_set_up()) return false;
    const auto answer = runs.answer_to_other("10.0.0.9:4002");
    if (!answer) return false;
    CHECK(answer->error.code == ErrorCode::kRefused);
    if (answer->refusal != HelloRefusal::kRunsTwice || runs.tries.size() < 20) return false;
    said = answer->error.message;
    CHECK_FALSE(runs.original->closed);
    runs.end();
    return true;
  };
  runs.stage.run();
  CHECK_THAT(said, Catch::Contains(where) && Catch::Contains("10.0.0.9:4002") &&
                       Catch::Contains("stop the one"));
  CHECK(runs.stage.logger.count("runs twice") == 1);
  CHECK(runs.stage.node.disconnected.empty());
}

TEST_CASE("a copied machine that gives the original's address is refused") {
  TwoRuns runs;
  const std::string where = runs.run->address();
  std::optional<ErrorCode> first;
  runs.stage.step = [&] {
    runs.stage.look();
    if (!runs.is_set_up() && runs.tries.empty()) return false;
    const auto answer = runs.answer_to_other(where);
    if (answer && runs.tries.size() == 1) first = answer->error.code;
    if (!answer || answer->refusal != HelloRefusal::kRunsTwice) return false;
    CHECK_THAT(answer->error.message, Catch::Contains("dials from 127.0.0.1:"));
    runs.end();
    return true;
  };
  runs.stage.run();
  // It was taken for a restart first; the node dialled its address again, and found the original.
  CHECK(first == ErrorCode::kNone);
  CHECK(runs.stage.logger.count("runs twice") == 1);
}

TEST_CASE("a node with another log than its id's member has is no copy, and judged as what it is") {
  TwoRuns runs;
  wire::Member member = runs.member();
  member.log_id = 5;  // the greetings of these tests name none
  runs.stage.network->set_members({member});
  runs.stage.node.refusal.error = {ErrorCode::kRefused, "another log"};
  runs.stage.node.refusal.refusal = HelloRefusal::kLogLost;
  runs.stage.step = [&] {
    runs.stage.look();
    if (!runs.stage.network->is_connected(kPeer)) return false;
    const auto answer = runs.answer_to_other("10.0.0.9:4002");
    if (!answer) return false;
    CHECK(answer->refusal == HelloRefusal::kLogLost);
    runs.end();
    return runs.tries.size() == 1;
  };
  runs.stage.run();
}

TEST_CASE("a restarted node gets in at once although its old run still seems to be there") {
  TwoRuns runs;
  runs.stage.step = [&] {
    runs.stage.look();
    if (!runs.is_set_up()) return false;
    const auto answer = runs.answer_to_other(runs.run->address());
    if (!answer) return false;
    CHECK(answer->error.code == ErrorCode::kNone);
    runs.end();
    return true;
  };
  runs.stage.run();
  CHECK(runs.tries.size() == 1);
}

TEST_CASE("a node that was moved gets in once its old run no longer answers") {
  TwoRuns runs;
  runs.stage.step = [&] {
    runs.stage.look();
    if (!runs.is_set_up()) return false;
    runs.run->answers_probes = false;
    const auto answer = runs.answer_to_other("10.0.0.9:4002");
    if (!answer) return false;
    CHECK(answer->refusal == HelloRefusal::kNone);
    if (answer->error.code != ErrorCode::kNone) return false;
    runs.end();
    return true;
  };
  runs.stage.run();
  CHECK(runs.stage.logger.count("runs twice") == 0);
}

TEST_CASE("a node whose connections end as soon as they are made is dialled more and more seldom") {
  Stage stage;
  auto peer = std::make_unique<Run>(stage.loop);
  peer->ends_at_once = true;
  wire::Member member;
  member.id = kPeer;
  member.raft_address = peer->address();
  const std::uint64_t began_ms = stage.loop.now_ms();
  stage.network->set_members({member});
  stage.step = [&] {
    stage.look();
    if (peer->greetings < 8) return false;
    peer.reset();
    return true;
  };
  stage.run();
  CHECK(stage.loop.now_ms() - began_ms >= 5 + 10 + 20 + 40 + 80 + 160 + 320);
  CHECK(stage.logger.count("connected to") == 2);  // the second time the trouble may be over
  CHECK(stage.logger.count("no connection to") == 1);
}
