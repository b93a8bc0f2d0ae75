// What a node checks before it writes anything.
#include "engine/bibd/bibd.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "engine/uv/event_loop.h"
#include "engine/uv/listener.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::engine;
using Catch::Matchers::Contains;

namespace {

wire::NodeConfig founder_in(const support::TempDir& scratch) {
  wire::NodeConfig config;
  config.node_id = wire::NodeId(0xaa);
  config.data_dir = (scratch / "data").string();
  config.bootstrap = true;
  config.listen_addr = "127.0.0.1:0";
  config.api_listen_addr = "127.0.0.1:0";
  config.log_level = "error";
  return config;
}

bool has_log(const support::TempDir& scratch) {
  return std::filesystem::exists(scratch / "data/log");
}

}  // namespace

TEST_CASE("a founder whose socket path another process serves founds nothing and leaves it alone") {
  const support::TempDir scratch;
  EventLoop loop;
  auto other = Listener::open(loop, (scratch / "api.sock").string()).value();
  wire::NodeConfig config = founder_in(scratch);
  config.api_socket = other->address();
  const auto node = Bibd::create(config);
  REQUIRE_FALSE(node);
  CHECK(node.error().code == wire::ErrorCode::kIo);
  CHECK_THAT(node.error().message, Contains("api.socket: cannot listen on " + other->address()) &&
                                       Contains("another process does") &&
                                       Contains("Set api.socket to "));
  CHECK_FALSE(has_log(scratch));
  CHECK(std::filesystem::is_socket(other->address()));
  other.reset();
  loop.stop();
  REQUIRE(loop.run());
}

TEST_CASE("a founder that cannot listen leaves no socket of its own behind, and lets its lock go") {
  const support::TempDir scratch;
  EventLoop loop;
  auto other = Listener::open(loop, "127.0.0.1:0").value();
  wire::NodeConfig config = founder_in(scratch);
  for (std::string* address : {&config.listen_addr, &config.api_listen_addr}) {
    const std::string free = std::exchange(*address, other->address());
    const auto node = Bibd::create(config);
    REQUIRE_FALSE(node);
    CHECK(node.error().code == wire::ErrorCode::kIo);
    CHECK_FALSE(has_log(scratch));
    CHECK_FALSE(std::filesystem::exists(scratch / "data/bibd.sock"));
    *address = free;
  }
  other.reset();
  loop.stop();
  REQUIRE(loop.run());
}

TEST_CASE("a path that is too long for a socket is a mistake of the configuration, found in time") {
  const support::TempDir scratch;
  wire::NodeConfig config = founder_in(scratch);
  config.api_socket = (scratch / std::string(120, 's')).string();
  const auto node = Bibd::create(config);
  REQUIRE_FALSE(node);
  CHECK(node.error().code == wire::ErrorCode::kConfig);
  CHECK_FALSE(has_log(scratch));
}

TEST_CASE("a founder whose log is gone from beside its rows founds nothing") {
  const support::TempDir scratch;
  const wire::NodeConfig config = founder_in(scratch);
  std::filesystem::create_directories(scratch / "data/state");
  support::write_file(scratch / "data/state/CURRENT", "MANIFEST-000005\n");
  const auto node = Bibd::create(config);
  REQUIRE_FALSE(node);
  CHECK(node.error().code == wire::ErrorCode::kCorrupt);
  CHECK_THAT(node.error().message, Contains("there is no segment of the log") &&
                                       Contains("not mounted") && Contains("new id"));
  CHECK_FALSE(has_log(scratch));
}

TEST_CASE("a joining node whose directory holds another's rows asks nobody") {
  const support::TempDir scratch;
  wire::NodeConfig config = founder_in(scratch);
  config.bootstrap = false;
  std::filesystem::create_directories(scratch / "data/snapshots/30-1");
  const auto node = Bibd::create(config);
  REQUIRE_FALSE(node);
  CHECK(node.error().code == wire::ErrorCode::kCorrupt);
  CHECK_FALSE(std::filesystem::exists(scratch / "data/JOINING"));
}
