// Nodes that may have few descriptors.
#include <catch2/catch.hpp>
#include <chrono>
#include <regex>
#include <string>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

Place under_ulimit(const std::string& option) {
  Place place;
  place.runner = {"/bin/sh", "-c", "ulimit " + option + "; exec \"$@\"", "sh"};
  return place;
}

}  // namespace

TEST_CASE("a node whose descriptors do not suffice says so, and starts as it was told") {
  std::string clients;
  {
    Cluster cluster(quick_timeouts());
    cluster.use_places({under_ulimit("-n 2048")});
    const std::size_t node = cluster.add_node({"--cluster"});
    cluster.start(node);
    CHECK(cluster.process(node).wait(20s) == 3);
    const std::string log = cluster.node_log(node);
    CHECK_THAT(log, Contains("may need 2820 descriptors") && Contains("may have 2048"));
    std::smatch found;
    REQUIRE(std::regex_search(log, found, std::regex("client_connections to ([0-9]+) or less")));
    clients = found[1];
  }
  Environment environment = quick_timeouts();
  environment["BIBD_LIMITS_CLIENT_CONNECTIONS"] = clients;
  Cluster cluster(environment);
  cluster.use_places({under_ulimit("-n 2048")});
  cluster.form(1);
  CHECK(cluster.bib({"config", "set", "k", "v"}).exit_code == 0);
}

TEST_CASE("a node that is started with a low soft limit raises it") {
  Cluster cluster(quick_timeouts());
  cluster.use_places({under_ulimit("-Sn 128")});
  cluster.form(1);
  const std::string limits =
      support::read_file("/proc/" + std::to_string(cluster.process(0).id()) + "/limits");
  std::smatch found;
  REQUIRE(std::regex_search(limits, found, std::regex("Max open files +([0-9]+) +([0-9]+)")));
  CHECK(found[1] == found[2]);
}
