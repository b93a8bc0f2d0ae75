// A node's ports as tests have them: time goes by and jobs run when the test says so, and what is
// said to peers and answered to clients is kept.
#pragma once

#include <catch2/catch.hpp>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "engine/ports/client_port.h"
#include "engine/ports/executor.h"
#include "engine/ports/peer_port.h"
#include "engine/ports/turns.h"

namespace bib::engine {

struct ManualTurns final : Turns {
  std::uint64_t now_ms() const override { return now; }
  void continue_soon() override {}
  void poll_soon() override {}

  std::uint64_t now = 1000;
};

struct ManualJobs final : Executor {
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  std::deque<Job> waiting;

  void run(std::function<void()> work, std::function<void()> done) override {
    waiting.push_back({std::move(work), std::move(done)});
  }
  void run_all() {
    while (!waiting.empty()) {
      const Job job = std::move(waiting.front());
      waiting.pop_front();
      job.work();
      job.done();
    }
  }
};

struct RecordedPeers final : PeerPort {
  void send(const wire::PeerMessage& message) override {
    said.push_back(message);
    is_flushed = false;
  }
  void send(const wire::SnapshotRequest&) override {}
  void send(const wire::SnapshotPart&) override {}
  void set_members(const std::vector<wire::Member>&) override {}
  bool is_connected(wire::NodeId peer) const override { return connected.contains(peer); }
  void flush() override { is_flushed = true; }
  void count(std::vector<wire::Counter>&) const override {}

  // Takes what was said to this peer out of what is on its way.
  std::vector<wire::PeerMessage> take(wire::NodeId to, wire::MessageKind kind) {
    std::vector<wire::PeerMessage> taken;
    std::erase_if(said, [&](const wire::PeerMessage& message) {
      if (message.to != to || message.kind != kind) return false;
      taken.push_back(message);
      return true;
    });
    return taken;
  }

  std::vector<wire::PeerMessage> said;
  bool is_flushed = true;  // nothing was said since the last flush
  std::set<wire::NodeId> connected{wire::NodeId(2), wire::NodeId(3)};
};

struct Answer {
  Asker asker;
  wire::FrameKind kind = wire::FrameKind::kErrorReply;
  std::vector<std::uint8_t> body;
};

// What is sent waits to leave until the test takes it.
struct RecordedClients final : ClientPort {
  void answer(Asker asker, wire::FrameKind kind, wire::ByteView body) override {
    answer_partly(asker, kind, body);
  }
  void answer_partly(Asker asker, wire::FrameKind kind, wire::ByteView body) override {
    outgoing[asker.session] += body.size();
    answers.push_back({asker, kind, {body.begin(), body.end()}});
  }
  bool is_open(SessionId) const override { return true; }
  std::size_t outgoing_bytes(SessionId session) const override {
    const auto found = outgoing.find(session);
    return found == outgoing.end() ? 0 : found->second;
  }
  std::size_t outgoing_bytes() const override {
    std::size_t bytes = 0;
    for (const auto& [session, waiting] : outgoing) bytes += waiting;
    return bytes;
  }
  void stop_listening() override {}
  void flush() override {}

  std::map<SessionId, std::size_t> outgoing;
  std::vector<Answer> answers;
};

// Its views point into the answer.
inline wire::ErrorReply error_of(const Answer& answer) {
  REQUIRE(answer.kind == wire::FrameKind::kErrorReply);
  return wire::decode_error_reply(answer.body).value();
}

}  // namespace bib::engine
