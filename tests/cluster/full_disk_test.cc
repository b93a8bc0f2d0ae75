// A node whose disk has less room than it must keep: it refuses writes, and does all else.
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kReserve = std::uint64_t{1} << 40;

}  // namespace

TEST_CASE("a leader that is short of disk space refuses writes, says why, and answers reads") {
  Environment environment = quick_timeouts();
  environment["BIBD_LIMITS_DISK_RESERVE"] = "1024GiB";
  Cluster cluster(environment);
  cluster.form(1);
  if (std::filesystem::space(cluster.data(0)).available >= kReserve) return;  // it has the room
  REQUIRE(support::wait_until(
      [&] { return cluster.node_log(0).find("is nearly full") != std::string::npos; }, 30s));
  const Finished set = cluster.bib({"--timeout", "1s", "config", "set", "key", "value"});
  CHECK(set.exit_code != 0);
  CHECK(set.err.find("less than limits.disk_reserve (1024GiB)") != std::string::npos);
  CHECK(set.err.find("Make room there") != std::string::npos);
  const Finished list = cluster.bib({"config", "list"});
  CHECK(list.exit_code == 0);
  const Finished status = cluster.bib({"-o", "json", "cluster", "status"});
  REQUIRE(status.exit_code == 0);
  CHECK(nlohmann::json::parse(status.out).at("node").at("counters").at("disk.is_nearly_full") == 1);
}
