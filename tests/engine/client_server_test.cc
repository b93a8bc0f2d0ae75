// The API's sessions over real sockets: what a client that does not read can cost.
#include "engine/uv/client_server.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "engine/uv/stderr_logger.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::engine;
using wire::FrameKind;

namespace {

constexpr std::size_t kAnswer = 256U << 10;
constexpr std::size_t kUnreadMax = 64U << 10;
constexpr std::size_t kRequests = 200;

// Answers every status request with a large body.
struct Node final : ClientServer::Handler {
  std::unique_ptr<ClientServer> clients;
  std::vector<std::uint8_t> body = std::vector<std::uint8_t>(kAnswer);
  std::size_t requests = 0;
  std::size_t requests_per_turn = SIZE_MAX;
  std::size_t this_turn = 0;
  std::vector<SessionId> order;   // whose requests were taken
  std::size_t most_outgoing = 0;  // when a request was taken
  std::size_t ended = 0;
  std::size_t answers_each = 1;
  bool answers_later = false;
  std::vector<Asker> held;  // not answered yet
  SessionId session{};

  wire::ServerHello hello() override { return {}; }
  void on_command(Asker, const wire::Command&) override {}
  bool takes_more_this_turn() override { return this_turn < requests_per_turn; }
  void on_query(Asker, const wire::Query&) override {}
  void on_read_events(Asker, const wire::ReadEvents&) override {}
  void on_status(Asker asker) override {
    if (answers_later) return held.push_back(asker);
    for (std::size_t i = 1; i < answers_each; ++i) {
      clients->answer_partly(asker, FrameKind::kStatusReply, body);
    }
    session = asker.session;
    most_outgoing = std::max(most_outgoing, clients->outgoing_bytes(asker.session));
    ++requests;
    ++this_turn;
    order.push_back(asker.session);
    clients->answer(asker, FrameKind::kStatusReply, body);
  }
  void on_change_membership(Asker, const wire::ChangeMembership&) override {}
  void on_transfer(Asker, const wire::TransferLeadership&) override {}
  void on_snapshots(Asker, const wire::ListSnapshots&) override {}
  void on_session_end(SessionId) override { ++ended; }
  void on_session_drained(SessionId) override {}
};

std::unique_ptr<ClientServer> serve(EventLoop& loop, Logger& logger, ClientServerOptions options,
                                    Node& node) {
  ClientListeners listeners{Listener::open(loop, "127.0.0.1:0").value(), nullptr};
  return std::make_unique<ClientServer>(loop, logger, options, std::move(listeners), &node);
}

struct Client final : Connection::Handler {
  std::unique_ptr<Connection> connection;
  std::size_t answers = 0;
  std::size_t refusals = 0;
  wire::Error refusal{wire::ErrorCode::kNone, {}};
  std::size_t request_bytes = 0;
  bool reads_at_once = false;
  bool greeted = false;
  bool closed = false;

  void on_frame(wire::Frame&& frame) override {
    if (frame.kind == FrameKind::kStatusReply) ++answers;
    if (frame.kind == FrameKind::kErrorReply) {
      ++refusals;
      const auto reply = wire::decode_error_reply(frame.body.view()).value();
      refusal = {reply.code, std::string(reply.message)};
    }
    if (frame.kind != FrameKind::kServerHello) return;
    greeted = true;
    if (!reads_at_once) connection->pause_reading();
  }
  void on_closed(const wire::Error&) override {
    closed = true;
    connection.reset();
  }
  void on_connected() override {
    wire::ClientHello hello;
    hello.client.bytes[0] = 1;
    wire::ClientEncoder encoder;
    connection->send(FrameKind::kClientHello, 0, encoder.encode(hello));
    const std::vector<std::uint8_t> body(request_bytes);
    for (std::size_t i = 1; i <= kRequests; ++i) connection->send(FrameKind::kStatus, i, body);
    connection->flush();
  }
};

}  // namespace

TEST_CASE("a client that does not take its answers is not read from until it does") {
  EventLoop loop;
  StderrLogger logger{LogLevel::kError};
  Node node;
  Client client;
  ClientServerOptions options;
  options.unread_bytes_max = kUnreadMax;
  node.clients = serve(loop, logger, options, node);
  client.connection =
      Connection::dial(loop, node.clients->listen_address(), ConnectionLimits{}, &client).value();
  bool timed_out = true;
  bool resumed = false;
  std::unique_ptr<Timer> deadline;
  const auto end = [&] {
    client.connection.reset();
    node.clients.reset();
    deadline.reset();
    loop.stop();
  };
  deadline = std::make_unique<Timer>(loop, end);
  deadline->start(20000, 0);
  std::size_t all_outgoing = 0;
  loop.set_turn_handler([&] {
    if (!node.clients) return;
    node.clients->flush();
    all_outgoing = std::max(all_outgoing, node.clients->outgoing_bytes());
    // Once its answers pile up in the node, it begins to read.
    if (client.greeted && !resumed && node.clients->outgoing_bytes(node.session) > kUnreadMax / 2) {
      resumed = true;
      client.connection->resume_reading();
    }
    if (client.answers == kRequests) {
      timed_out = false;
      end();
    }
  });
  REQUIRE(loop.run());
  CHECK_FALSE(timed_out);
  CHECK_FALSE(client.closed);
  CHECK(node.requests == kRequests);
  CHECK(node.most_outgoing <= kUnreadMax + kAnswer + 1024);
  CHECK(all_outgoing > kUnreadMax / 2);
}

TEST_CASE(
    "bursts of several clients are taken in parts, a turn each, and nobody has to wait for all") {
  constexpr std::size_t kPerTurn = 5;
  EventLoop loop;
  StderrLogger logger{LogLevel::kError};
  Node node;
  node.body.resize(8);
  node.requests_per_turn = kPerTurn;
  std::array<Client, 3> clients;
  ClientServerOptions options;
  node.clients = serve(loop, logger, options, node);
  for (Client& client : clients) {
    client.reads_at_once = true;
    client.connection =
        Connection::dial(loop, node.clients->listen_address(), ConnectionLimits{}, &client).value();
  }
  std::unique_ptr<Timer> deadline;
  const auto end = [&] {
    for (Client& client : clients) client.connection.reset();
    node.clients.reset();
    deadline.reset();
    loop.stop();
  };
  deadline = std::make_unique<Timer>(loop, end);
  deadline->start(20000, 0);
  std::size_t most_in_a_turn = 0;
  std::size_t turns = 0;
  std::size_t fewest_when_one_had_all = kRequests;
  loop.set_turn_handler([&] {
    if (!node.clients) return;
    most_in_a_turn = std::max(most_in_a_turn, node.this_turn);
    if (std::exchange(node.this_turn, 0) > 0) ++turns;
    node.clients->flush();
    std::size_t all = 0;
    std::size_t fewest = kRequests;
    bool one_has_all = false;
    for (const Client& client : clients) {
      all += client.answers;
      fewest = std::min(fewest, client.answers);
      one_has_all = one_has_all || client.answers == kRequests;
    }
    if (one_has_all) fewest_when_one_had_all = std::min(fewest_when_one_had_all, fewest);
    if (all == clients.size() * kRequests) end();
  });
  REQUIRE(loop.run());
  for (const Client& client : clients) CHECK(client.answers == kRequests);
  // When the room is used up, each other session is seen to have something.
  CHECK(most_in_a_turn <= kPerTurn + clients.size() - 1);
  CHECK(turns >= clients.size() * kRequests / (kPerTurn + clients.size() - 1));
  CHECK(fewest_when_one_had_all > kRequests / 4);
}

namespace {

// A loop with a node and clients, until `until` says that it is enough.
struct Served {
  Served(ClientServerOptions options, std::size_t count) : clients(count) {
    node.clients = serve(loop, logger, options, node);
    for (Client& client : clients) {
      client.connection =
          Connection::dial(loop, node.clients->listen_address(), ConnectionLimits{}, &client)
              .value();
    }
  }

  void run(const std::function<bool()>& until) {
    bool timed_out = true;
    std::unique_ptr<Timer> deadline;
    std::unique_ptr<Timer> tick;
    const auto end = [&] {
      for (Client& client : clients) client.connection.reset();
      sum_at_end = node.clients->outgoing_bytes();
      node.clients.reset();
      deadline.reset();
      tick.reset();
      loop.stop();
    };
    deadline = std::make_unique<Timer>(loop, end);
    deadline->start(20000, 0);
    tick = std::make_unique<Timer>(loop, [] {});
    tick->start(5, 5);
    loop.set_turn_handler([&] {
      if (!node.clients) return;
      most_in_turn = std::max(most_in_turn, std::exchange(node.this_turn, 0));
      node.clients->flush();
      if (!until()) return;
      timed_out = false;
      end();
    });
    REQUIRE(loop.run());
    CHECK_FALSE(timed_out);
  }

  EventLoop loop;
  StderrLogger logger{LogLevel::kError};
  Node node;
  std::vector<Client> clients;
  std::size_t sum_at_end = 0;
  std::size_t most_in_turn = 0;  // requests; a turn begins with flush()
};

}  // namespace

TEST_CASE("a client that takes nothing of what waits for it is closed, and one that reads is not") {
  ClientServerOptions options;
  options.unread_bytes_max = 8U << 20;
  options.unread_timeout_ms = 1000;
  Served served(options, 2);
  served.clients[1].reads_at_once = true;
  std::size_t most = 0;
  served.run([&] {
    most = std::max(most, served.node.clients->outgoing_bytes());
    return served.node.ended == 1 && served.clients[1].answers == kRequests;
  });
  CHECK_FALSE(served.clients[1].closed);
  CHECK(most > options.unread_bytes_max);
}

TEST_CASE("a turn takes requests for so long, and one at least, from however many clients") {
  ClientServerOptions options;
  options.turn_us = 0;
  Served served(options, 20);
  served.node.body.resize(8);
  for (Client& client : served.clients) client.reads_at_once = true;
  served.run([&] { return served.node.requests == served.clients.size() * kRequests; });
  CHECK(served.most_in_turn == 1);
}

TEST_CASE("of clients that wait for a turn with time each has its turn before any has another") {
  constexpr std::size_t kClients = 7;
  ClientServerOptions options;
  options.turn_us = 0;
  Served served(options, kClients);
  served.node.body.resize(8);
  for (Client& client : served.clients) client.reads_at_once = true;
  served.run([&] { return served.node.requests == kClients * kRequests; });
  const std::vector<SessionId>& order = served.node.order;
  REQUIRE(order.size() == kClients * kRequests);
  // From when all are there, until one is done.
  std::map<SessionId, std::size_t> taken;
  std::size_t windows = 0;
  for (std::size_t i = 0; i < order.size() && taken[order[i]] < kRequests - 1; ++i) {
    if (++taken[order[i]] == 1 || taken.size() < kClients || i < 2 * kClients) continue;
    const std::set<SessionId> latest(order.begin() + static_cast<std::ptrdiff_t>(i + 1 - kClients),
                                     order.begin() + static_cast<std::ptrdiff_t>(i + 1));
    const auto has_begun = [](const auto& one) { return one.second > 1; };
    if (!std::all_of(taken.begin(), taken.end(), has_begun)) continue;
    CHECK(latest.size() == kClients);
    ++windows;
  }
  CHECK(windows > kClients * kRequests / 2);
}

TEST_CASE("requests that wait for a turn with time have room together, and beyond it are refused") {
  ClientServerOptions options;
  options.turn_us = 0;
  options.frames.bytes_max = 100;
  Served served(options, 20);
  served.node.body.resize(8);
  for (Client& client : served.clients) {
    client.reads_at_once = true;
    client.request_bytes = 60;
  }
  const auto sum_of = [&](std::size_t Client::*counter) {
    std::size_t sum = 0;
    for (const Client& client : served.clients) sum += client.*counter;
    return sum;
  };
  served.run([&] {
    return sum_of(&Client::answers) + sum_of(&Client::refusals) ==
           served.clients.size() * kRequests;
  });
  CHECK(sum_of(&Client::refusals) > 0);
  CHECK(sum_of(&Client::answers) > 0);
}

TEST_CASE("while too much waits for all clients, those are read for whom nothing waits") {
  constexpr std::size_t kStopped = 20;
  ClientServerOptions options;
  options.outgoing_bytes_max = 1U << 20;
  options.unread_bytes_max = 8U << 20;
  Served served(options, kStopped + 1);
  served.clients[0].reads_at_once = true;
  std::size_t most = 0;
  std::size_t ended_before_reader = 0;
  served.run([&] {
    most = std::max(most, served.node.clients->outgoing_bytes());
    ended_before_reader = served.node.ended;
    return served.clients[0].answers == kRequests;
  });
  CHECK(ended_before_reader == 0);
  CHECK(most > options.outgoing_bytes_max);
  // One answer each, and what the session took before all together had so much.
  CHECK(most <= options.outgoing_bytes_max + (kStopped + 1) * (kAnswer + 1024));
  CHECK_FALSE(served.clients[0].closed);
}

TEST_CASE("of a client no more requests are taken than may be in flight") {
  ClientServerOptions options;
  options.requests_max = 10;
  Served served(options, 1);
  Node& node = served.node;
  node.body.resize(8);
  node.answers_later = true;
  served.clients[0].reads_at_once = true;
  std::size_t most = 0;
  served.run([&] {
    most = std::max(most, node.held.size());
    if (node.held.size() >= options.requests_max) {
      for (const Asker asker : std::exchange(node.held, {})) {
        node.clients->answer(asker, FrameKind::kStatusReply, node.body);
      }
    }
    return served.clients[0].answers == kRequests;
  });
  CHECK(most == options.requests_max);
}

TEST_CASE("a client for whom too much waits at once is closed, and keeps nothing") {
  ClientServerOptions options;
  options.slow_bytes_max = 8U << 20;
  options.requests_max = 1;
  Served served(options, 1);
  served.node.answers_each = 100;  // 25 MiB; its socket takes some of it
  std::size_t most = 0;
  served.run([&] {
    most = std::max(most, served.node.clients->outgoing_bytes());
    return served.node.ended == 1;
  });
  CHECK(served.node.requests == 1);
  CHECK(most <= options.slow_bytes_max + kAnswer + 1024);
  CHECK(served.sum_at_end == 0);
}

TEST_CASE("a few bytes now and then are no progress") {
  constexpr std::size_t kWaiting = 1U << 20;
  ReadProgress progress;
  std::uint64_t taken = 0;
  for (unsigned look = 0; look < ReadProgress::kLooks; ++look) {
    CHECK_FALSE(progress.is_stuck(taken += 1000, kWaiting));
  }
  CHECK(progress.is_stuck(taken + 1000, kWaiting));
  // Enough of them are, and so is it to have taken everything.
  CHECK_FALSE(progress.is_stuck(ReadProgress::kBytesMin, kWaiting));
  for (unsigned look = 0; look < ReadProgress::kLooks; ++look) {
    CHECK_FALSE(progress.is_stuck(ReadProgress::kBytesMin, kWaiting));
  }
  CHECK_FALSE(progress.is_stuck(ReadProgress::kBytesMin + 1, 0));
  CHECK_FALSE(progress.is_stuck(ReadProgress::kBytesMin + 1, kWaiting));
}

TEST_CASE("what waits for all clients is counted, and goes with the client it waited for") {
  ClientServerOptions options;
  options.unread_timeout_ms = 200;
  Served served(options, 3);
  std::size_t most = 0;
  served.run([&] {
    most = std::max(most, served.node.clients->outgoing_bytes());
    return served.node.ended == 3;
  });
  CHECK(most > 2 * options.unread_bytes_max);
  CHECK(served.sum_at_end == 0);
}

TEST_CASE("an answer that no client takes is refused in its place, and the connection stays") {
  Served served({}, 1);
  served.node.body.resize(wire::kPeerFrameBodyMax + std::size_t{1});
  Client& client = served.clients[0];
  client.reads_at_once = true;
  served.run([&] { return client.refusals == kRequests; });
  CHECK_FALSE(client.closed);
  CHECK(client.refusal.code == wire::ErrorCode::kInvalid);
  CHECK(client.refusal.message.find("--limit") != std::string::npos);
}
