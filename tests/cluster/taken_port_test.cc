// A node whose address another process has: it becomes no member and founds nothing.
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <set>
#include <string>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

std::set<std::string> names_in(const std::filesystem::path& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

// Starts the node while the port is taken: it ends, says what to change, and leaves its directory
// without a log and without a socket.
void check_refuses_to_start(Cluster& cluster, std::size_t node, int port, const std::string& key) {
  const TakenPort taken(port);
  cluster.start(node);
  CHECK(cluster.process(node).wait(20s) == 1);
  CHECK_THAT(cluster.node_log(node), Contains(key + ": cannot listen on 127.0.0.1:" +
                                              std::to_string(port) + ": another process does") &&
                                         Contains("Set " + key + " to "));
  CHECK(names_in(cluster.data(node)) == std::set<std::string>{"LOCK"});
}

}  // namespace

TEST_CASE("a node whose port is taken does not join, and joins once the port is free") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  const std::size_t joiner = cluster.add_node({"--cluster-join", cluster.token()});
  check_refuses_to_start(cluster, joiner, cluster.api_port(joiner), "api.listen_addr");
  check_refuses_to_start(cluster, joiner, cluster.raft_port(joiner), "cluster.listen_addr");
  const auto seen = cluster.view(0);
  REQUIRE(seen);
  CHECK(seen->members.size() == 1);
  cluster.start(joiner);
  CHECK(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
}

TEST_CASE("a founder whose port is taken founds nothing, and does once the port is free") {
  Cluster cluster(quick_timeouts());
  const std::size_t founder = cluster.add_node({"--cluster"});
  check_refuses_to_start(cluster, founder, cluster.api_port(founder), "api.listen_addr");
  check_refuses_to_start(cluster, founder, cluster.raft_port(founder), "cluster.listen_addr");
  cluster.start(founder);
  CHECK(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
}

TEST_CASE("a member whose port is taken does not touch its log, and starts once the port is free") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  REQUIRE(cluster.bib({"config", "set", "k", "kept"}).exit_code == 0);
  cluster.kill_9(0);
  const auto segment = cluster.data(0) / "log" / "00000000000000000001.seg";
  const std::string before = support::read_file(segment);
  {
    const TakenPort taken(cluster.api_port(0));
    cluster.start(0);
    CHECK(cluster.process(0).wait(20s) == 1);
  }
  CHECK(support::read_file(segment) == before);
  cluster.start(0);
  REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
  CHECK_THAT(cluster.bib({"config", "get", "k"}).out, Contains("kept"));
}

TEST_CASE("two nodes that start at once on one port do not both join") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  const std::size_t first = cluster.add_node({"--cluster-join", cluster.token()});
  const std::size_t second = cluster.add_node({"--cluster-join", cluster.token()});
  std::string config = support::read_file(cluster.config(second));
  const std::size_t at = config.find(cluster.api(second));
  REQUIRE(at != std::string::npos);
  config.replace(at, cluster.api(second).size(), cluster.api(first));
  support::write_file(cluster.config(second), config);
  cluster.start(first);
  cluster.start(second);
  const auto ended = [&](std::size_t node) { return !cluster.process(node).is_running(); };
  REQUIRE(support::wait_until([&] { return ended(first) || ended(second); }, 20s));
  const std::size_t refused = ended(first) ? first : second;
  CHECK(cluster.process(refused).wait(20s) == 1);
  CHECK(names_in(cluster.data(refused)) == std::set<std::string>{"LOCK"});
}
