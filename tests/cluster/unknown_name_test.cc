// A member is dialled by a name that is not found: nobody waits for it, its address is named, and
// it comes back once the name is right.
#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

void must_bib(const Cluster& cluster, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--timeout", "30s"});
  const Finished result = cluster.bib(arguments);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
}

}  // namespace

TEST_CASE("members start and elect although the name of one is not found") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t away = (leader_of(cluster) + 1) % 3;
  const std::string id = to_string(cluster.id(away));
  const std::string name = "no-such-host.invalid:4002";
  must_bib(cluster, {"cluster", "member", "update", id, "--address", name});
  for (std::size_t node = 0; node < 3; ++node) cluster.kill_9(node);
  for (std::size_t node = 0; node < 3; ++node) {
    if (node != away) cluster.start(node);
  }
  (void)leader_of(cluster);
  must_bib(cluster, {"config", "set", "k", "1"});
  for (std::size_t node = 0; node < 3; ++node) {
    if (node == away) continue;
    const auto log = [&] { return cluster.node_log(node); };
    CHECK(support::wait_until(
        [&] { return count_of(log(), "no connection to " + id + " at " + name) > 0; }, 30s));
    CHECK_THAT(log(), Contains("resolving the address"));
    CHECK(count_of(log(), "connection to " + id + " at " + name) < 5);
  }
  cluster.start(away);
  const std::string address = "127.0.0.1:" + std::to_string(cluster.raft_port(away));
  must_bib(cluster, {"cluster", "member", "update", id, "--address", address});
  CHECK(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
}
