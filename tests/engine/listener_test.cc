// What is listened on: addresses that are taken, refused, replaced.
#include "engine/uv/listener.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "connection_side.h"
#include "engine/uv/listeners.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::engine;

TEST_CASE(
    "an address is taken before it is served, and until then all who connect are turned away") {
  EventLoop loop;
  Side early;
  Side late;
  Side server;
  auto listener = Listener::open(loop, "127.0.0.1:0").value();
  CHECK_FALSE(Listener::open(loop, listener->address()));
  const auto end = [&] {
    late.connection.reset();
    server.connection.reset();
    listener.reset();
    loop.stop();
  };
  early.on_change = [&] {
    if (early.closed.empty()) return;
    listener->serve({}, [&](std::unique_ptr<Connection> c) {
      server.connection = std::move(c);
      end();
    });
    late.connection = Connection::dial(loop, listener->address(), {}, &late).value();
  };
  late.on_change = [&] {
    if (!late.closed.empty()) end();
  };
  early.connection = Connection::dial(loop, listener->address(), {}, &early).value();
  REQUIRE(loop.run());
  CHECK(early.closed.size() == 1);
  CHECK(late.closed.empty());
}

TEST_CASE("a socket file that nobody serves is replaced and is private") {
  const support::TempDir scratch;
  const std::string path = (scratch / "api.sock").string();
  EventLoop loop;
  auto first = Listener::open(loop, path);
  REQUIRE(first);
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  // While it is served, a second listener is refused.
  CHECK_FALSE(Listener::open(loop, path));
  loop.stop();
  first->reset();
  REQUIRE(loop.run());
}

TEST_CASE("an address that cannot be listened on is refused with its setting and the reason") {
  const support::TempDir scratch;
  EventLoop loop;
  wire::NodeConfig config;
  config.api_listen_addr = "127.0.0.1:0";
  config.api_socket = (scratch / "api.sock").string();
  struct Case {
    const char* address;
    const char* says;
  };
  for (const Case& expected :
       {Case{"127.0.0.1:4002x", "the port '4002x' is not a number from 0 to 65535"},
        Case{"db1.example:4002", "the host must be a numeric address"},
        Case{"127.0.0.1", "the port is missing"}}) {
    config.listen_addr = expected.address;
    const auto listeners = open_listeners(loop, config);
    REQUIRE_FALSE(listeners);
    CHECK_THAT(listeners.error().message, Catch::StartsWith("cluster.listen_addr: "));
    CHECK_THAT(listeners.error().message, Catch::Contains(expected.says));
  }
  loop.stop();
  REQUIRE(loop.run());
}
