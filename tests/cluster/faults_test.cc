// Faults of disks, processes and links while clients write: the cluster goes on, nothing that was
// acknowledged is missing, and all nodes have the same rows in the end.
#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <iostream>

#include "cluster.h"
#include "load.h"
#include "whole.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

// Another node than `old` leads.
bool has_another_leader(const Cluster& cluster, std::size_t old) {
  const auto leader = cluster.leader();
  return leader && *leader != old;
}

// Three nodes behind a proxy, with a load on them.
struct Proxied {
  explicit Proxied(const Environment& environment) : cluster(environment) {
    cluster.use_proxy();
    cluster.form(3);
    for (std::size_t node = 0; node < 3; ++node) ids.push_back(cluster.id(node));
    load = std::make_unique<Load>(cluster, 8);
  }

  Cluster cluster;
  std::vector<wire::NodeId> ids;
  std::unique_ptr<Load> load;
};

}  // namespace

TEST_CASE("a leader whose disk stalls hands over, and takes part again when the disk works") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  WARN("skipped: a sanitizer must be loaded before the disk that stalls");
  return;
#endif
  const support::TempDir stalls;
  Environment environment = quick_timeouts();
  environment["LD_PRELOAD"] = program("BIB_STALLED_DISK");
  environment["BIB_STALL_DIR"] = stalls.path().string();
  Cluster cluster(environment);
  cluster.form(3);
  Load load(cluster, 8);
  REQUIRE(load.goes_on(200));
  const std::size_t leader = leader_of(cluster);
  const fs::path stall = stalls / std::to_string(cluster.process(leader).id());
  support::write_file(stall, "");
  REQUIRE(support::wait_until([&] { return has_another_leader(cluster, leader); }, 30s));
  CHECK(load.goes_on(1000));
  CHECK_THAT(cluster.node_log(leader), Catch::Matchers::Contains("the disk has stalled"));
  fs::remove(stall);
  require_whole(cluster, load);
  std::cout << fmt::format("the longest write took {} ms\n", load.longest().count());
}

TEST_CASE("a leader that is stopped is replaced, and follows when it goes on") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  Load load(cluster, 8);
  REQUIRE(load.goes_on(200));
  const std::size_t leader = leader_of(cluster);
  cluster.process(leader).signal(SIGSTOP);
  CHECK(load.goes_on(1000));
  cluster.process(leader).signal(SIGCONT);
  require_whole(cluster, load);
}

TEST_CASE("two hundred clients go on when the leader is killed") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  Load load(cluster, 200);
  REQUIRE(load.goes_on(2000));
  const std::size_t leader = leader_of(cluster);
  cluster.kill_9(leader);
  CHECK(load.goes_on(4000));
  cluster.start(leader);
  require_whole(cluster, load);
}

TEST_CASE("links that pass one way only, or not at all between two nodes, stop nobody for long") {
  Proxied three(quick_timeouts());
  Cluster& cluster = three.cluster;
  REQUIRE(three.load->goes_on(200));
  const std::size_t leader = leader_of(cluster);
  const std::size_t one = (leader + 1) % 3;
  const std::size_t other = (leader + 2) % 3;
  const auto deafen = [&](std::size_t from, std::size_t to) {
    cluster.proxy().cut_one_way(three.ids[from], three.ids[to]);
  };
  SECTION("a follower does not hear the leader") {
    deafen(leader, one);
  }
  SECTION("the leader does not hear a follower") {
    deafen(one, leader);
  }
  SECTION("nobody hears the leader") {
    deafen(leader, one);
    deafen(leader, other);
  }
  SECTION("the leader hears nobody") {
    deafen(one, leader);
    deafen(other, leader);
  }
  SECTION("the leader and a follower do not hear each other") {
    cluster.proxy().cut(three.ids[leader], three.ids[one]);
  }
  SECTION("the followers do not hear each other") {
    cluster.proxy().cut(three.ids[one], three.ids[other]);
  }
  CHECK(three.load->goes_on(1000));
  cluster.proxy().mend_all();
  require_whole(cluster, *three.load);
}

TEST_CASE("links of a hundred milliseconds that stand still for two seconds now and then") {
  Environment environment;
  environment["BIBD_CLUSTER_RAFT_PROBE_INTERVAL"] = "400ms";
  Proxied three(environment);
  three.cluster.proxy().set_weather({.delay = 100ms, .stall_every = 7s, .stall_for = 2s});
  CHECK(three.load->goes_on(300));
  three.cluster.proxy().set_weather({});
  require_whole(three.cluster, *three.load);
}

TEST_CASE("five nodes that join at once all become voters") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  Load load(cluster, 4);
  for (int i = 0; i < 5; ++i) cluster.add_node({"--cluster-join", cluster.token()});
  for (std::size_t node = 1; node < 6; ++node) cluster.start(node);
  CHECK(support::wait_until(
      [&] {
        const auto leader = cluster.leader();
        const auto seen = leader ? cluster.view(*leader) : std::nullopt;
        if (!seen || seen->members.size() != 6) return false;
        return std::all_of(seen->members.begin(), seen->members.end(),
                           [](const cli::MemberView& one) { return one.voter && one.healthy; });
      },
      60s));
  require_whole(cluster, load);
}
