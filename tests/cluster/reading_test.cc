// The levels of reading on real nodes: what a node answers that is cut off from its leader.
#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

#include "cluster.h"
#include "support/document.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

// Asks this node; others may be asked by the client when it sends it away.
Finished get(const Cluster& cluster, std::size_t node, std::vector<std::string> level) {
  std::vector<std::string> command{
      program("BIB_BIB"), "--server", cluster.api(node), "--timeout", "2s", "config", "get", "k"};
  command.insert(command.begin() + 1, level.begin(), level.end());
  return run(command);
}

}  // namespace

TEST_CASE("a stale read with a bound is answered by a node that hears a leader, and by no other") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  REQUIRE(cluster.bib({"config", "set", "k", "1"}).exit_code == 0);
  REQUIRE(support::wait_until([&] { return cluster.converged(); }, 20s));
  const auto leader = cluster.leader();
  REQUIRE(leader);
  const std::size_t follower = (*leader + 1) % 3;
  const std::vector<std::string> bounded{"--consistency", "stale", "--max-age", "1s"};
  REQUIRE(support::wait_until(
      [&] {
        const auto seen = cluster.view(follower);
        return seen && seen->age_us && *seen->age_us < 500'000;
      },
      20s));
  for (std::size_t node = 0; node < 3; ++node) {
    const Finished fresh = get(cluster, node, bounded);
    INFO(fresh.err);
    CHECK(fresh.exit_code == 0);
    CHECK(fresh.out == "1\n");
    CHECK_THAT(fresh.err, Contains("As of entry") && Contains("old"));
  }

  for (std::size_t node = 0; node < 3; ++node) {
    if (node != follower) cluster.process(node).signal(SIGSTOP);
  }
  REQUIRE(support::wait_until(
      [&] {
        const auto seen = cluster.view(follower);
        return seen && seen->age_us && *seen->age_us > 1'500'000;
      },
      20s));
  const Finished old = get(cluster, follower, bounded);
  INFO(old.err);
  CHECK((old.exit_code == 7 || old.exit_code == 4));  // it says no, or a paused one says nothing
  CHECK(old.out.empty());
  const Finished any_age = get(cluster, follower, {"--consistency", "stale"});
  CHECK(any_age.exit_code == 0);
  CHECK(any_age.out == "1\n");
  CHECK(get(cluster, follower, {}).exit_code != 0);
  for (std::size_t node = 0; node < 3; ++node) {
    if (node != follower) cluster.process(node).signal(SIGCONT);
  }
  REQUIRE(support::wait_until([&] { return get(cluster, follower, bounded).exit_code == 0; }, 20s));
}

TEST_CASE("a node that was paused does not take its rows for new ones") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  REQUIRE(cluster.bib({"config", "set", "k", "1"}).exit_code == 0);
  const auto leader = cluster.leader();
  REQUIRE(leader);
  cluster.process(*leader).signal(SIGSTOP);
  // The others have a leader of their own, and go on.
  std::string value = "2";
  REQUIRE(support::wait_until(
      [&] {
        return cluster.bib({"--timeout", "5s", "config", "set", "k", value}).exit_code == 0;
      },
      30s));
  cluster.process(*leader).signal(SIGCONT);
  // Whatever it still believes, a bounded answer of it is never the old value.
  for (int i = 0; i < 20; ++i) {
    const Finished read = get(cluster, *leader, {"--consistency", "stale", "--max-age", "100ms"});
    if (read.exit_code == 0) CHECK(read.out == "2\n");
  }
}

TEST_CASE("a node's status has the counters of docs/metrics.md, and no other") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  nlohmann::json counters;  // all, once the disk was looked at
  REQUIRE(support::wait_until(
      [&] {
        const Finished status = cluster.bib({"-o", "json", "cluster", "status"});
        REQUIRE(status.exit_code == 0);
        counters = nlohmann::json::parse(status.out).at("node").at("counters");
        return counters.contains("disk.free_bytes");
      },
      20s));
  std::set<std::string> counted;
  for (const auto& [name, value] : counters.items()) counted.insert(name);
  // The rest may count what happens while a node starts.
  for (const char* name :
       {"peer.dropped.cluster", "peer.dropped.old_boot", "peer.dropped.addressee",
        "raft.dropped.stale_term", "api.overloaded.reads"}) {
    CHECK(counters.at(name) == 0);
  }
  const auto documented = support::names_of(
      support::table_rows(support::document_lines("docs/metrics.md"), "## Counters of a node"));
  CHECK(std::set<std::string>(documented.begin(), documented.end()) == counted);
}
