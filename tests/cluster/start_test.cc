// What a node knows of itself when it starts again, before it has heard of anybody.
#include <catch2/catch.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;

namespace {

// What the node's files say; it may be running.
nlohmann::json inspected(const Cluster& cluster, std::size_t node) {
  const Finished seen =
      run({program("BIB_RAFT_INSPECT"), "status", "-o", "json", cluster.data(node).string()});
  INFO(seen.err);
  REQUIRE(seen.exit_code == 0);
  return nlohmann::json::parse(seen.out);
}

std::uint64_t noted_commit(const Cluster& cluster, std::size_t node) {
  const nlohmann::json noted = inspected(cluster, node).at("committed_index");
  return noted.is_null() ? 0 : noted.get<std::uint64_t>();
}

// One write; the index up to which the cluster has committed then.
std::uint64_t write(const Cluster& cluster) {
  const Finished done = cluster.bib({"--timeout", "20s", "config", "set", "shown", "yes"});
  INFO(done.err);
  REQUIRE(done.exit_code == 0);
  const auto seen = cluster.view(leader_of(cluster));
  REQUIRE(seen);
  return seen->commit.value();
}

}  // namespace

TEST_CASE("a node that was killed and starts alone shows what it knew to be committed") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t node = (leader_of(cluster) + 1) % 3;
  const std::uint64_t written = write(cluster);
  REQUIRE(support::wait_until([&] { return noted_commit(cluster, node) >= written; }, 20s));
  for (std::size_t each = 0; each < 3; ++each) cluster.kill_9(each);
  cluster.start(node);
  CHECK(support::wait_until(
      [&] {
        const Finished read = run({program("BIB_BIB"), "--server", cluster.api(node), "config",
                                   "get", "shown", "--consistency", "stale"});
        return read.exit_code == 0 && read.out.find("yes") != std::string::npos;
      },
      20s));
}

TEST_CASE("three nodes that are killed at once and start again take writes without a timeout") {
  Environment environment;
  SECTION("every timeout is at its default") {}
  SECTION("an election timeout is longer than this test") {
    // So the election that lets it pass waited for none: each asked when another came into reach.
    environment["BIBD_CLUSTER_RAFT_ELECTION_TIMEOUT"] = "10m";
  }
  Cluster cluster(environment);
  cluster.form(3);
  const std::uint64_t written = write(cluster);
  for (std::size_t node = 0; node < 3; ++node) cluster.kill_9(node);
  for (std::size_t node = 0; node < 3; ++node) cluster.start(node);
  REQUIRE(support::wait_until([&] { return cluster.leader().has_value(); }, 60s));
  CHECK(write(cluster) > written);
  CHECK(support::wait_until([&] { return cluster.all_healthy() && cluster.converged(); }, 60s));
}

TEST_CASE("the rows of a few writes are on the disk after a while, though nobody stops the node") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  const std::uint64_t written = write(cluster);
  CHECK(support::wait_until(
      [&] {
        const nlohmann::json rows = inspected(cluster, 0).at("rows");
        return rows.contains("applied_index") &&
               rows.at("applied_index").get<std::uint64_t>() >= written;
      },
      60s));
}
