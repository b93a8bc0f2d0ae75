// What connections from outside can cost the node's clients, over real sockets: each limit of the
// client port, reached.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/uv/client_server.h"
#include "lines.h"
#include "stranger.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::engine;
using wire::ErrorCode;
using wire::FrameKind;

namespace {

// A client port that answers every status request with nothing.
struct Rig final : ClientServer::Handler {
  support::TempDir scratch;
  std::string path = (scratch / "api.sock").string();
  EventLoop loop;
  Lines log;
  std::unique_ptr<ClientServer> clients;
  std::unique_ptr<Timer> deadline = std::make_unique<Timer>(loop, [this] { end(); });
  std::size_t requests = 0;
  std::size_t ended = 0;
  bool timed_out = true;

  explicit Rig(ClientServerOptions options = {}) {
    ClientListeners listeners{Listener::open(loop, "127.0.0.1:0").value(),
                              Listener::open(loop, path).value()};
    clients = std::make_unique<ClientServer>(loop, log, options, std::move(listeners), this);
    deadline->start(30000, 0);
  }
  Stranger tcp() const { return Stranger(clients->listen_address()); }
  Stranger socket() const { return Stranger(path); }

  // Runs the loop without sleeping until `step` is true.
  void run(const std::function<bool()>& step) {
    loop.set_turn_handler([this, step] {
      if (!clients) return;
      clients->flush();
      loop.continue_soon();
      if (!step()) return;
      timed_out = false;
      end();
    });
    REQUIRE(loop.run());
    CHECK_FALSE(timed_out);
  }
  void end() {
    clients.reset();
    deadline.reset();
    loop.stop();
  }

  wire::ServerHello hello() override { return {}; }
  void on_command(Asker, const wire::Command&) override {}
  void on_query(Asker, const wire::Query&) override {}
  void on_read_events(Asker, const wire::ReadEvents&) override {}
  void on_status(Asker asker) override {
    ++requests;
    clients->answer(asker, FrameKind::kStatusReply, {});
  }
  void on_change_membership(Asker, const wire::ChangeMembership&) override {}
  void on_transfer(Asker, const wire::TransferLeadership&) override {}
  void on_snapshots(Asker, const wire::ListSnapshots&) override {}
  void on_session_end(SessionId) override { ++ended; }
  void on_session_drained(SessionId) override {}
};

void greet(Stranger& client) {
  wire::ClientHello hello;
  hello.client.bytes[0] = 1;
  wire::ClientEncoder encoder;
  client.send(FrameKind::kClientHello, 0, encoder.encode(hello));
}

bool has(Stranger& client, FrameKind kind) {
  const auto& frames = client.received();
  return !frames.empty() && frames.back().kind == kind;
}

wire::ErrorCode refusal(Stranger& client) {
  const auto reply = wire::decode_error_reply(client.received().back().body.view());
  return reply ? reply->code : ErrorCode::kNone;
}

std::vector<Stranger> many(std::size_t count, const std::function<Stranger()>& connect) {
  std::vector<Stranger> strangers;
  for (std::size_t i = 0; i < count; ++i) strangers.push_back(connect());
  return strangers;
}

std::size_t count_over(std::vector<Stranger>& strangers) {
  std::size_t over = 0;
  for (Stranger& stranger : strangers) over += stranger.is_over() ? 1 : 0;
  return over;
}

}  // namespace

TEST_CASE("connections that say nothing keep no client out, neither over TCP nor at the socket") {
  ClientServerOptions options;
  options.sessions_max = 4;
  options.socket_sessions_max = 4;
  options.new_connections_max = 8;
  options.greeting_timeout_ms = 600'000;
  Rig rig(options);
  auto silent = many(200, [&] { return rig.tcp(); });
  Stranger client = rig.tcp();
  Stranger local = rig.socket();
  greet(client);
  greet(local);
  rig.run([&] {
    return has(client, FrameKind::kServerHello) && has(local, FrameKind::kServerHello) &&
           count_over(silent) >= silent.size() - options.new_connections_max;
  });
  CHECK(rig.log.lines == std::vector<std::string>{"api: closed the oldest of 8 connections that "
                                                  "have not greeted (limits.new_connections)"});
}

TEST_CASE(
    "at the limit a client is told so, the socket has its own room, and who goes makes room") {
  ClientServerOptions options;
  options.sessions_max = 2;
  options.socket_sessions_max = 1;
  Rig rig(options);
  auto clients = many(3, [&] { return rig.tcp(); });
  std::vector<Stranger> local;
  std::vector<Stranger> next;
  for (Stranger& client : clients) greet(client);
  rig.run([&] {
    if (!has(clients[1], FrameKind::kServerHello) || !clients[2].is_over()) return false;
    if (local.empty()) {
      CHECK(refusal(clients[2]) == ErrorCode::kOverloaded);
      local = many(2, [&] { return rig.socket(); });
      for (Stranger& client : local) greet(client);
    }
    if (!has(local[0], FrameKind::kServerHello) || !local[1].is_over()) return false;
    if (next.empty()) {
      CHECK(refusal(local[1]) == ErrorCode::kOverloaded);
      clients[0].close();  // what has closed does not count, however soon the next one comes
      next = many(1, [&] { return rig.tcp(); });
      greet(next[0]);
    }
    return has(next[0], FrameKind::kServerHello);
  });
  CHECK(rig.log.count("refused a client") == 1);
}

TEST_CASE("what is said before a greeting is answered once, and ends the connection") {
  Rig rig;
  const std::size_t frames = GENERATE(2U, 100U, 100'000U);
  Stranger flood = rig.tcp();
  std::size_t sent = 0;
  std::size_t most_outgoing = 0;
  bool gone = false;
  rig.run([&] {
    most_outgoing = std::max(most_outgoing, rig.clients->outgoing_bytes());
    for (int i = 0; i < 1000 && sent < frames && !gone; ++i) {
      gone = !flood.send(FrameKind::kStatus, ++sent, {});
    }
    return flood.is_over();
  });
  CHECK(rig.requests == 0);
  CHECK(most_outgoing < 1024);
  CHECK(flood.received().size() <= 1);
  if (frames < 1000) {
    REQUIRE(flood.received().size() == 1);
    CHECK(refusal(flood) == ErrorCode::kInvalid);
  }
}

TEST_CASE("a client that is refused finds no place among those that are let in") {
  ClientServerOptions options;
  options.new_connections_max = 2;
  options.sessions_max = 1;
  Rig rig(options);
  auto wrong = many(20, [&] { return rig.tcp(); });
  for (Stranger& stranger : wrong) stranger.send(FrameKind::kStatus, 1, {});
  Stranger client = rig.tcp();
  greet(client);
  rig.run([&] { return has(client, FrameKind::kServerHello); });
  CHECK(rig.log.count("refused a client") + rig.log.count("closed the oldest") == 1);
}

TEST_CASE("a connection that does not greet in time is closed") {
  ClientServerOptions options;
  options.greeting_timeout_ms = 50;
  Rig rig(options);
  Stranger silent = rig.tcp();
  rig.run([&] { return silent.is_over() && rig.ended == 1; });
}

TEST_CASE("before the greeting a frame is small, and after it as large as a request may be") {
  Rig rig;
  const std::vector<std::uint8_t> large(wire::kGreetingFrameBodyMax + 1);
  Stranger stranger = rig.tcp();
  stranger.send_beginning(FrameKind::kClientHello, 0, large, 0);
  Stranger client = rig.tcp();
  greet(client);
  client.send(FrameKind::kStatus, 1, large);
  rig.run(
      [&] { return stranger.is_over() && rig.ended == 1 && has(client, FrameKind::kStatusReply); });
  CHECK(stranger.received().empty());
  CHECK(rig.log.count("a body of 65537 bytes is above the limit of 65536") == 1);
}

TEST_CASE("a frame that does not become whole in time ends its connection") {
  ClientServerOptions options;
  options.frames.deadline_ms = 50;
  Rig rig(options);
  const std::vector<std::uint8_t> body(100'000);
  const std::size_t half = GENERATE(0U, 50'000U);
  Stranger client = rig.tcp();
  greet(client);
  bool began = false;
  rig.run([&] {
    if (!began && has(client, FrameKind::kServerHello)) {
      began = true;
      client.send_beginning(FrameKind::kStatus, 1, body, half);
    }
    return client.is_over() && rig.ended == 1;
  });
  CHECK(began);
  CHECK(rig.log.count("a frame did not become whole within 50ms (limits.frame_timeout)") == 1);
}

TEST_CASE("frames on their way share a number of bytes, and the oldest makes room") {
  ClientServerOptions options;
  options.frames.bytes_max = 250'000;
  Rig rig(options);
  const std::vector<std::uint8_t> body(100'001);
  auto slow = many(3, [&] { return rig.tcp(); });
  for (Stranger& client : slow) greet(client);
  std::size_t began = 0;
  Stranger quick = rig.tcp();
  greet(quick);
  rig.run([&] {
    for (Stranger& client : slow) {
      if (client.received().empty()) return false;
    }
    // One after another, each once what the one before it has sent is known to be there.
    if (began == 0 || (began < 3 && quick.received().size() == 1 + began)) {
      slow[began].send_beginning(FrameKind::kStatus, 1, body, 100'000);
      quick.send(FrameKind::kStatus, ++began, {});
    }
    if (!slow[0].is_over()) return false;
    if (began == 3) {
      ++began;
      for (const std::size_t i : {1U, 2U})
        slow[i].send(wire::ByteView(body).first(1));  // the last byte
    }
    return has(slow[1], FrameKind::kStatusReply) && has(slow[2], FrameKind::kStatusReply) &&
           rig.ended == 1;
  });
  CHECK(rig.requests == 5);
  CHECK(rig.log.count("limits.incoming_frame_bytes") == 1);
}
