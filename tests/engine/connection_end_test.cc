// How a connection ends: what its owner is told, when, and that it may destroy the connection
// wherever it is called.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/uv/connection.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/listener.h"
#include "wire/base/address.h"

using namespace bib;
using namespace bib::engine;

namespace {

using Calls = std::vector<std::string>;

// Notes each call, and destroys its connection in those that the test names.
struct Witness final : Connection::Handler {
  std::unique_ptr<Connection> connection;
  Calls ends_in{"closed"};
  Calls told;
  wire::ErrorCode reason = wire::ErrorCode::kNone;
  bool must_not_be_called = false;
  std::function<void()> in_frame = [] {};
  EventLoop* loop = nullptr;

  void note(const std::string& call) {
    CHECK_FALSE(must_not_be_called);
    told.push_back(call);
    if (std::find(ends_in.begin(), ends_in.end(), call) != ends_in.end()) connection.reset();
    loop->continue_soon();
  }
  void on_connected() override { note("connected"); }
  void on_frame(wire::Frame&&) override {
    in_frame();
    note("frame");
  }
  void on_drained() override { note("drained"); }
  void on_closed(const wire::Error& error) override {
    reason = error.code;
    note("closed");
  }

  bool was_told(const std::string& call) const {
    return std::find(told.begin(), told.end(), call) != told.end();
  }
  // None of it may call back.
  void send(std::size_t frames, std::size_t bytes) {
    must_not_be_called = true;
    const std::string text(bytes, 'x');
    for (std::size_t i = 0; i < frames; ++i) {
      connection->send(wire::FrameKind::kStatus, 1, wire::as_bytes(text));
    }
    connection->flush();
    must_not_be_called = false;
  }
};

// A listener whose connections go to `server`. `step` is called once per turn, until it says that
// the test is over.
struct Rig {
  EventLoop loop;
  Witness server;
  Witness client;
  std::unique_ptr<Listener> listener = Listener::open(loop, "127.0.0.1:0").value();
  std::unique_ptr<Timer> deadline = std::make_unique<Timer>(loop, [this] { end(); });
  std::function<bool()> step;
  bool timed_out = true;

  explicit Rig(ConnectionLimits limits = {}) {
    std::signal(SIGPIPE, SIG_IGN);  // as bibd does
    server.loop = client.loop = &loop;
    listener->serve(limits, [this](std::unique_ptr<Connection> incoming) {
      server.connection = std::move(incoming);
      server.connection->start(&server);
    });
    deadline->start(20000, 0);
  }
  void dial(const std::string& address, ConnectionLimits limits = {}) {
    client.must_not_be_called = true;
    client.connection = Connection::dial(loop, address, limits, &client).value();
    client.must_not_be_called = false;
  }
  void run() {
    loop.set_turn_handler([this] {
      if (!listener || !step()) return;
      timed_out = false;
      end();
    });
    REQUIRE(loop.run());
    CHECK_FALSE(timed_out);
  }
  void end() {
    server.connection.reset();
    client.connection.reset();
    listener.reset();
    deadline.reset();
    loop.stop();
  }
};

// Sends so many frames in one write, and is gone before anything is read.
void send_and_leave(const std::string& address, std::size_t frames) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < frames; ++i) {
    wire::append_frame(bytes, wire::FrameKind::kStatus, 1, wire::as_bytes("x"));
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

TEST_CASE("a connection may be destroyed in each of its callbacks, and nothing is called after") {
  struct Case {
    std::string ends_in;
    std::size_t frame_bytes;  // two are sent at once
    Calls client;
    Calls server;
  };
  constexpr std::size_t kMoreThanTheKernelTakes = 15U << 20;
  const auto expected = GENERATE(Case{"connected", 1, {"connected"}, {"closed"}},
                                 Case{"frame", 1, {"connected", "closed"}, {"frame"}},
                                 Case{"drained",
                                      kMoreThanTheKernelTakes,
                                      {"connected", "drained"},
                                      {"frame", "frame", "closed"}});
  Rig rig;
  rig.client.ends_in.push_back(expected.ends_in);
  rig.server.ends_in.push_back(expected.ends_in);
  rig.dial(rig.listener->address());
  bool sent = false;
  rig.step = [&] {
    if (!sent && rig.client.was_told("connected") && rig.client.connection) {
      sent = true;
      rig.client.send(2, expected.frame_bytes);
    }
    return rig.client.was_told("closed") || rig.server.was_told("closed");
  };
  rig.run();
  INFO(expected.ends_in);
  CHECK(rig.client.told == expected.client);
  CHECK(rig.server.told == expected.server);
}

TEST_CASE("a connection that has closed and is kept does nothing more") {
  Rig rig;
  rig.server.ends_in.push_back("frame");
  rig.client.ends_in.clear();
  rig.dial(rig.listener->address());
  int turns_closed = 0;
  bool sent = false;
  rig.step = [&] {
    if (!sent && rig.client.was_told("connected")) {
      sent = true;
      rig.client.send(1, 1);
    }
    if (!rig.client.was_told("closed")) return false;
    rig.client.connection->pause_reading();
    rig.client.connection->resume_reading();
    rig.client.send(1, 1);
    rig.loop.continue_soon();
    return ++turns_closed == 3;
  };
  rig.run();
  CHECK(rig.client.told == Calls{"connected", "closed"});
}

TEST_CASE("a send that is too much is told in a later step, unless its owner has gone") {
  const bool goes = GENERATE(false, true);
  Rig rig;
  rig.dial(rig.listener->address(), ConnectionLimits{.outgoing_bytes_max = 1000});
  bool sent = false;
  rig.step = [&] {
    if (!sent && rig.client.was_told("connected")) {
      sent = true;
      rig.client.send(3, 900);
      REQUIRE(rig.client.connection);
      rig.client.send(3, 900);  // ignored
      CHECK(rig.client.connection->outgoing_bytes() < 2000);
      if (goes) rig.client.connection.reset();
    }
    return rig.server.was_told("closed") && (goes || rig.client.was_told("closed"));
  };
  rig.run();
  CHECK(rig.server.told == Calls{"closed"});
  CHECK(rig.client.told == (goes ? Calls{"connected"} : Calls{"connected", "closed"}));
  CHECK(rig.client.reason == (goes ? wire::ErrorCode::kNone : wire::ErrorCode::kOverloaded));
}

TEST_CASE("a flush that fails while a frame is delivered ends the connection after that frame") {
  const bool goes = GENERATE(false, true);
  Rig rig;
  // The first answer is answered by a reset, so that the second cannot be written.
  rig.server.in_frame = [&] {
    rig.server.send(1, 1);
    rig.server.send(1, 1);
    rig.server.send(1, 1);
    REQUIRE(rig.server.connection);
  };
  if (goes) rig.server.ends_in.push_back("frame");
  send_and_leave(rig.listener->address(), 2);
  rig.step = [&] { return rig.server.was_told(goes ? "frame" : "closed"); };
  rig.run();
  CHECK(rig.server.told == (goes ? Calls{"frame"} : Calls{"frame", "closed"}));
  CHECK(rig.server.reason == (goes ? wire::ErrorCode::kNone : wire::ErrorCode::kIo));
}

TEST_CASE("a frame that a pause has held back may destroy the connection that resumes") {
  Rig rig;
  rig.server.in_frame = [&] { rig.server.connection->pause_reading(); };
  rig.dial(rig.listener->address());
  bool sent = false;
  bool resumed = false;
  rig.step = [&] {
    if (!sent && rig.client.was_told("connected")) {
      sent = true;
      rig.client.send(3, 1);
    }
    if (!resumed && rig.server.was_told("frame")) {
      resumed = true;
      rig.server.ends_in.push_back("frame");
      rig.server.connection->resume_reading();
      CHECK_FALSE(rig.server.connection);
    }
    return rig.client.was_told("closed");
  };
  rig.run();
  CHECK(rig.server.told == Calls{"frame", "frame"});
}

TEST_CASE("what cannot be reached is told after dial has returned") {
  // Nobody listens; the system refuses the address at once.
  const auto* address = GENERATE("127.0.0.1:1", "255.255.255.255:1");
  Rig rig;
  rig.dial(address);
  rig.step = [&] { return rig.client.was_told("closed"); };
  rig.run();
  CHECK(rig.client.told == Calls{"closed"});
  CHECK(rig.client.reason == wire::ErrorCode::kIo);
}

TEST_CASE("a name is looked up, and who gives up meanwhile is not told") {
  const bool gives_up = GENERATE(false, true);
  Rig rig;
  const auto port = wire::parse_address(rig.listener->address()).value().port;
  rig.dial(fmt::format("localhost:{}", port));
  if (gives_up) {
    rig.client.connection.reset();
    rig.loop.continue_soon();
  }
  // The name may stand for ::1, where nobody listens.
  rig.step = [&] { return gives_up || !rig.client.told.empty(); };
  rig.run();
  CHECK(rig.client.told.size() == (gives_up ? 0 : 1));
}

TEST_CASE("what is no address is neither dialled nor listened on") {
  EventLoop loop;
  Witness nobody;
  for (const char* text : {"127.0.0.1", "127.0.0.1:", ":4000", "127.0.0.1:4000x", "127.0.0.1:65536",
                           "127.0.0.1:+1", "::1:4000", "[127.0.0.1]:4000", "a b:4000"}) {
    INFO(text);
    const auto dialled = Connection::dial(loop, text, {}, &nobody);
    REQUIRE_FALSE(dialled);
    CHECK(dialled.error().code == wire::ErrorCode::kInvalid);
    CHECK_THAT(dialled.error().message, Catch::Contains("is not an address"));
    const auto opened = Listener::open(loop, text);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == wire::ErrorCode::kInvalid);
  }
  loop.stop();
  REQUIRE(loop.run());
}
