// Snapshots and cut logs with real processes: whoever was away, joins, or dies in the middle gets
// the state, and all end with the same.
#include <signal.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "cluster.h"
#include "wire/base/ids.h"
#include "wire/base/prng.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;

namespace {

// Logs of many small files, cut soon behind frequent snapshots.
Environment small_logs() {
  Environment environment = quick_timeouts();
  environment["BIBD_LOG_SEGMENT_BYTES"] = "64KiB";
  environment["BIBD_LOG_CACHE_BYTES"] = "1MiB";
  environment["BIBD_CLUSTER_SNAPSHOT_THRESHOLD"] = "100";
  environment["BIBD_CLUSTER_RAFT_TRAILING_LOGS"] = "20";
  return environment;
}

// Sets keys to values that do not compress, one after another, on a thread of its own.
class Load {
 public:
  explicit Load(const Cluster& cluster, std::size_t value_bytes = 2000)
      : servers_(cluster.servers()), value_bytes_(value_bytes), thread_([this] { run(); }) {}
  ~Load() { stop(); }

  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  std::size_t count() const { return count_; }
  std::size_t failures() const { return failures_; }

 private:
  void run() {
    cli::ClientOptions options;
    options.servers = servers_;
    options.timeout = 20s;
    options.inflight_max = 2;  // so that entries stay small and many
    cli::Client client(options);
    wire::Prng random(7);
    std::uint64_t number = 0;
    std::vector<cli::Completion> completions;
    while (!stop_ || client.inflight() > 0) {
      while (!stop_ && client.can_submit()) {
        const std::string key = "load.k" + std::to_string(++number % 5000);
        client.submit(wire::CommandBody(wire::SetConfig{key, hex_text(random, value_bytes_)}));
      }
      completions.clear();
      client.poll(cli::Clock::now() + 100ms, completions);
      for (const cli::Completion& completion : completions) {
        ++(completion.reply ? count_ : failures_);
      }
    }
  }

  std::vector<cli::ServerAddress> servers_;
  std::size_t value_bytes_;
  std::atomic<std::size_t> count_ = 0;
  std::atomic<std::size_t> failures_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

std::uint64_t first_index(const Cluster& cluster, std::size_t node) {
  const auto seen = cluster.view(node);
  return seen ? seen->first.value() : 0;
}

void require_clean(const Cluster& cluster, std::size_t node) {
  const Finished verify = run({program("BIB_RAFT_INSPECT"), "verify", cluster.data(node).string()});
  INFO(verify.out << verify.err);
  REQUIRE(verify.exit_code == 0);
}

// Everything from here on takes the node's word only together with the digests of all.
void require_converged(const Cluster& cluster) {
  const bool converged = support::wait_until([&] { return cluster.converged(); }, 30s);
  std::string logs;
  if (!converged) {
    for (std::size_t node = 0; node < cluster.size(); ++node) {
      logs += fmt::format("---- node {}\n{}", node + 1, cluster.node_log(node));
    }
  }
  INFO(logs);
  REQUIRE(converged);
}

}  // namespace

TEST_CASE("a follower behind the start of the leader's log is sent a snapshot") {
  Cluster cluster(small_logs());
  cluster.form(3);
  const std::size_t away = *cluster.leader() == 0 ? 1 : 0;
  cluster.kill_9(away);
  const std::uint64_t stopped_at = cluster.view(*cluster.leader())->last.value();
  Load load(cluster);
  REQUIRE(support::wait_until(
      [&] {
        const auto leader = cluster.leader();
        return leader && first_index(cluster, *leader) > stopped_at + 1;
      },
      60s));
  cluster.start(away);
  REQUIRE(support::wait_until(
      [&] { return cluster.node_log(away).find("is in place") != std::string::npos; }, 60s));
  load.stop();
  CHECK(load.failures() == 0);
  require_converged(cluster);
  REQUIRE(first_index(cluster, away) > stopped_at);

  SECTION("and all nodes restart from logs that begin in the middle") {
    for (std::size_t node = 0; node < 3; ++node) cluster.kill_9(node);
    for (std::size_t node = 0; node < 3; ++node) cluster.start(node);
    REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
    REQUIRE(cluster.bib({"config", "set", "after", "the restart"}).exit_code == 0);
    require_converged(cluster);
  }
  SECTION("and an orderly shutdown leaves logs and snapshots that verify") {
    for (std::size_t node = 0; node < 3; ++node) {
      cluster.process(node).signal(SIGTERM);
      REQUIRE(cluster.process(node).wait(15s) == 0);
      require_clean(cluster, node);
    }
  }
}

TEST_CASE("a node that joins a cluster with cut logs is sent a snapshot and becomes a voter") {
  Cluster cluster(small_logs());
  cluster.form(1);
  Load load(cluster);
  REQUIRE(support::wait_until([&] { return first_index(cluster, 0) > 100; }, 60s));
  cluster.start(cluster.add_node({"--cluster-join", cluster.token()}));
  REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 60s));
  load.stop();
  require_converged(cluster);
  REQUIRE(cluster.node_log(1).find("is in place") != std::string::npos);
}

TEST_CASE(
    "a follower that is killed while it fetches and installs snapshots gets there in the end") {
  Cluster cluster(small_logs());
  cluster.form(3);
  const std::size_t victim = *cluster.leader() == 0 ? 1 : 0;
  Load load(cluster);
  const std::vector<std::string> steps = {"snapshots/receiving.tmp",
                                          "snapshots/receiving.tmp/state",
                                          "snapshots/receiving.tmp/manifest",
                                          "state.new",
                                          "snapshots/installing",
                                          "state.old"};
  for (std::size_t round = 0; round < 2 * steps.size(); ++round) {
    cluster.kill_9(victim);
    const auto leader = cluster.leader();
    REQUIRE(leader);
    const std::uint64_t goal = cluster.view(*leader)->last.value() + 150;
    REQUIRE(support::wait_until(
        [&] {
          const auto leads = cluster.leader();
          return leads && first_index(cluster, *leads) > goal;
        },
        60s));
    const std::size_t begun = count_of(cluster.node_log(victim), "fetching snapshot");
    cluster.start(victim);
    REQUIRE(support::wait_until(
        [&] { return count_of(cluster.node_log(victim), "fetching snapshot") > begun; }, 30s));
    // Another step of the transfer or of the installation each time, if it can be seen at all.
    const std::filesystem::path step = cluster.data(victim) / steps[round % steps.size()];
    const std::size_t in_place = count_of(cluster.node_log(victim), "is in place");
    REQUIRE(support::wait_until(
        [&] {
          return std::filesystem::exists(step) ||
                 count_of(cluster.node_log(victim), "is in place") > in_place;
        },
        30s));
  }
  cluster.kill_9(victim);
  cluster.start(victim);
  load.stop();
  CHECK(load.failures() == 0);
  REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
  require_converged(cluster);
  cluster.process(victim).signal(SIGTERM);
  REQUIRE(cluster.process(victim).wait(15s) == 0);
  require_clean(cluster, victim);
}

TEST_CASE(
    "a leader that dies in the middle of sending a snapshot is replaced and another is sent") {
  Cluster cluster(small_logs());
  cluster.form(3);
  const std::size_t away = *cluster.leader() == 0 ? 1 : 0;
  cluster.kill_9(away);
  Load load(cluster);
  const auto old_leader = cluster.leader();
  REQUIRE(old_leader);
  REQUIRE(support::wait_until([&] { return first_index(cluster, *old_leader) > 300; }, 60s));
  load.stop();
  cluster.start(away);
  REQUIRE(support::wait_until(
      [&] { return cluster.node_log(away).find("fetching snapshot") != std::string::npos; }, 30s));
  cluster.kill_9(*old_leader);
  // Two are left; one of them has nothing of what was written meanwhile, unless the other gives it.
  REQUIRE(support::wait_until([&] { return cluster.leader().has_value(); }, 30s));
  REQUIRE(cluster.bib({"config", "set", "after", "the leader"}).exit_code == 0);
  cluster.start(*old_leader);
  REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
  require_converged(cluster);
}
