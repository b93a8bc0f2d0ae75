// The node loop's building blocks over real sockets and real threads.
#include "engine/uv/connection.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "connection_side.h"
#include "engine/node/entry_cache.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/listener.h"
#include "engine/uv/mailbox.h"

using namespace bib;
using namespace bib::engine;

namespace {

// A listener whose connections all go to `server`, and a client that dialled it.
struct Pair {
  EventLoop loop;
  Side server;
  Side client;
  std::unique_ptr<Listener> listener;
  // A test that waits in vain ends by this.
  std::unique_ptr<Timer> deadline = std::make_unique<Timer>(loop, [this] { end(); });
  bool timed_out = true;

  explicit Pair(ConnectionLimits limits = {}) : Pair(limits, limits) {}
  Pair(ConnectionLimits limits, ConnectionLimits of_client) {
    listener = Listener::open(loop, "127.0.0.1:0").value();
    listener->serve(limits, [this](std::unique_ptr<Connection> c) {
      server.connection = std::move(c);
      server.connection->start(&server);
    });
    client.connection = Connection::dial(loop, listener->address(), of_client, &client).value();
    deadline->start(20000, 0);
  }

  void finish() {
    timed_out = false;
    end();
  }
  void end() {
    server.connection.reset();
    client.connection.reset();
    listener.reset();
    deadline.reset();
    loop.stop();
  }
};

}  // namespace

TEST_CASE("frames of all sizes go both ways in order and the loop closes clean") {
  Pair pair;
  pair.server.echo = true;
  std::vector<std::string> sent;
  for (const std::size_t size : {0U, 1U, 100U, 65536U, 3000000U}) {
    sent.emplace_back(size, static_cast<char>('a' + sent.size()));
  }
  pair.client.on_change = [&] {
    if (pair.client.connected && pair.client.received.empty()) {
      for (const std::string& text : sent) {
        pair.client.connection->send(wire::FrameKind::kStatus, 7, wire::as_bytes(text));
      }
      pair.client.connection->flush();
      pair.client.connected = false;
    }
    if (pair.client.received.size() == sent.size()) pair.finish();
  };
  REQUIRE(pair.loop.run());
  CHECK_FALSE(pair.timed_out);
  CHECK(pair.client.received == sent);
}

TEST_CASE("a shared body is sent without being copied together") {
  Pair pair;
  const std::string text(100000, 'x');
  const std::vector<wire::Bytes> shared{wire::Bytes::copy_of(wire::as_bytes(text)),
                                        wire::Bytes::copy_of(wire::as_bytes("tail"))};
  pair.client.on_change = [&] {
    pair.client.connection->send(wire::FrameKind::kPeerMessage, 1, wire::as_bytes("head"), shared);
    pair.client.connection->flush();
  };
  pair.server.on_change = [&] { pair.finish(); };
  REQUIRE(pair.loop.run());
  REQUIRE(pair.server.received.size() == 1);
  CHECK(pair.server.received[0] == "head" + text + "tail");
}

TEST_CASE("bytes that are no frame close the connection with a reason") {
  Pair pair(ConnectionLimits{.frame_body_max = 10}, ConnectionLimits{});
  pair.client.on_change = [&] {
    if (!pair.client.connected) return;
    pair.client.connection->send(wire::FrameKind::kStatus, 1,
                                 wire::as_bytes("more than ten bytes"));
    pair.client.connection->flush();
    pair.client.connected = false;
  };
  pair.server.on_change = [&] { pair.finish(); };
  REQUIRE(pair.loop.run());
  CHECK_FALSE(pair.timed_out);
  REQUIRE(pair.server.closed.size() == 1);
  CHECK(pair.server.closed[0].code == wire::ErrorCode::kInvalid);
}

TEST_CASE("what the other side would not take is not sent, and ends the connection with a reason") {
  const std::size_t limit = GENERATE(std::size_t{10}, std::size_t{wire::kPeerFrameBodyMax});
  Pair pair(ConnectionLimits{.sent_body_max = static_cast<std::uint32_t>(limit)});
  pair.client.on_change = [&] {
    if (!pair.client.closed.empty()) return pair.finish();
    if (!pair.client.connected) return;
    const wire::Bytes half(wire::Bytes::Builder(limit / 2 + 1));
    const std::vector<wire::Bytes> halves{half, half};
    pair.client.connection->send(wire::FrameKind::kPeerMessage, 1, {}, halves);
    pair.client.connection->flush();
  };
  REQUIRE(pair.loop.run());
  CHECK_FALSE(pair.timed_out);
  CHECK(pair.server.received.empty());
  REQUIRE(pair.client.closed.size() == 1);
  CHECK(pair.client.closed[0].code == wire::ErrorCode::kInvalid);
  CHECK(pair.client.closed[0].message.find(std::to_string(limit)) != std::string::npos);
}

TEST_CASE("what waits to be sent is bounded") {
  Pair pair(ConnectionLimits{.outgoing_bytes_max = 1U << 20});
  pair.client.on_change = [&] {
    if (!pair.client.closed.empty()) return pair.finish();
    if (!pair.client.connected) return;
    const std::string big(2U << 20, 'x');
    pair.client.connection->send(wire::FrameKind::kStatus, 1, wire::as_bytes(big));
    pair.client.connection->flush();
  };
  REQUIRE(pair.loop.run());
  REQUIRE(pair.client.closed.size() == 1);
  CHECK(pair.client.closed[0].code == wire::ErrorCode::kOverloaded);
}

TEST_CASE("a paused connection delivers what came as soon as it resumes") {
  Pair pair;
  pair.server.on_change = [&] {
    if (pair.server.received.size() == 1) {
      pair.server.connection->pause_reading();
      pair.deadline->start(20, 0);  // fires while paused
    }
    if (pair.server.received.size() == 3) pair.finish();
  };
  pair.deadline = std::make_unique<Timer>(pair.loop, [&] {
    if (pair.server.received.size() == 1) {
      pair.deadline->start(20000, 0);
      pair.server.connection->resume_reading();
    } else {
      pair.end();
    }
  });
  pair.deadline->start(20000, 0);
  pair.client.on_change = [&] {
    for (const char* text : {"1", "2", "3"}) {
      pair.client.connection->send(wire::FrameKind::kStatus, 1, wire::as_bytes(text));
    }
    pair.client.connection->flush();
  };
  REQUIRE(pair.loop.run());
  CHECK_FALSE(pair.timed_out);
  CHECK(pair.server.received == std::vector<std::string>{"1", "2", "3"});
}

TEST_CASE("dialling where nobody listens is told through on_closed") {
  EventLoop loop;
  Side side;
  side.on_change = [&] { loop.stop(); };
  side.connection = Connection::dial(loop, "127.0.0.1:1", {}, &side).value();
  REQUIRE(loop.run());
  REQUIRE(side.closed.size() == 1);
  CHECK(side.closed[0].code == wire::ErrorCode::kIo);
}

TEST_CASE("a mailbox brings letters of other threads to the loop and refuses more than it holds") {
  EventLoop loop;
  std::vector<int> letters;
  std::unique_ptr<Mailbox<int>> mailbox;
  mailbox = std::make_unique<Mailbox<int>>(loop, 3, [&](int letter) {
    letters.push_back(letter);
    if (letters.size() < 3) return;
    mailbox.reset();
    loop.stop();
  });
  std::vector<bool> taken;
  std::thread sender([&] {
    for (int letter = 1; letter <= 5; ++letter) taken.push_back(mailbox->post(letter));
  });
  sender.join();
  CHECK(taken == std::vector<bool>{true, true, true, false, false});
  REQUIRE(loop.run());
  CHECK(letters == std::vector<int>{1, 2, 3});
}

TEST_CASE("the entry cache lets go of old durable entries and of a void suffix only") {
  EntryCache cache(100);
  for (std::uint64_t index = 5; index < 10; ++index) {
    cache.append(wire::LogIndex(index), wire::Bytes::copy_of(wire::as_bytes(std::string(40, 'e'))));
  }
  cache.trim(wire::LogIndex(4));
  CHECK(cache.bytes() == 200);
  cache.trim(wire::LogIndex(6));
  CHECK(cache.find(wire::LogIndex(6)) == nullptr);
  CHECK(cache.find(wire::LogIndex(7)) != nullptr);
  cache.truncate_from(wire::LogIndex(9));
  CHECK(cache.find(wire::LogIndex(9)) == nullptr);
  CHECK(cache.bytes() == 80);
  cache.append(wire::LogIndex(9), wire::Bytes::copy_of(wire::as_bytes("new")));
  CHECK(wire::as_text(cache.find(wire::LogIndex(9))->view()) == "new");
}
