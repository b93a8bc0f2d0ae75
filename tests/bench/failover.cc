// bib_failover: how long clients wait when a leader goes away, in a cluster of real processes with
// every timeout at its default, while one client writes all the time.
//
// A gap begins when the leader is killed, cut off or asked to stop, and ends with the first write
// that another leader acknowledges; where all nodes are killed and started again at once, it begins
// when they start. Each round waits until the node is back and has caught up.
// failover.sh builds and starts this; --help lists the modes. One line of JSON a round to --out.

#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <deque>
#include <fstream>
#include <iostream>
#include <mutex>
#include <thread>

#include "cluster.h"
#include "wire/base/prng.h"

namespace bib::cluster {
namespace {

using namespace std::chrono_literals;
using cli::Clock;

double in_ms(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// One write after another, each as soon as the one before is acknowledged.
class Writer {
 public:
  explicit Writer(const Cluster& cluster)
      : servers_(cluster.servers()), thread_([this] { run(); }) {}
  ~Writer() {
    stop_ = true;
    thread_.join();
  }

  struct Acknowledged {
    Clock::time_point at;
    wire::NodeId by;
  };
  Acknowledged last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }
  // The first after `from` by another node than `but`.
  std::optional<Acknowledged> first_by_another(Clock::time_point from, wire::NodeId but) const {
    const std::lock_guard lock(mutex_);
    for (const Acknowledged& one : changes_) {
      if (one.at > from && one.by != but) return one;
    }
    return std::nullopt;
  }
  std::uint64_t count() const { return count_; }
  std::uint64_t failures() const { return failures_; }

 private:
  void run() {
    cli::ClientOptions options;
    options.servers = servers_;
    options.timeout = 60s;
    cli::Client client(options);
    wire::SetConfig set;
    set.key = "failover";
    std::uint64_t number = 0;
    while (!stop_) {
      const std::string value = std::to_string(++number);
      set.value = value;
      const cli::Completion done = client.call(wire::CommandBody(set));
      if (!done.reply) {
        ++failures_;
        continue;
      }
      ++count_;
      const std::lock_guard lock(mutex_);
      const bool changed = last_.by != client.server()->node;
      last_ = {Clock::now(), client.server()->node};
      if (changed) changes_.push_back(last_);
    }
  }

  std::vector<cli::ServerAddress> servers_;
  mutable std::mutex mutex_;
  Acknowledged last_;
  std::vector<Acknowledged> changes_;  // the first of each leader in turn
  std::atomic<std::uint64_t> count_ = 0;
  std::atomic<std::uint64_t> failures_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// Values that do not compress, in the log before the first round.
void preload(const Cluster& cluster, std::size_t mebibytes) {
  cli::ClientOptions options;
  options.servers = cluster.servers();
  options.timeout = 60s;
  cli::Client client(options);
  wire::Prng random(11);
  for (std::size_t i = 0; i < mebibytes; ++i) {
    const std::string value = hex_text(random, 1U << 20);  // too random for lz4
    const std::string key = fmt::format("preload/{}", i % 16);
    wire::SetConfig set;
    set.key = key;
    set.value = value;
    if (!client.call(wire::CommandBody(set)).reply) throw std::runtime_error("a preload failed");
  }
}

struct Options {
  std::string mode = "kill";
  std::size_t preload_mib = 0;
  std::size_t nodes = 3;
  std::size_t rounds = 200;
  std::string out;
};

class Bench {
 public:
  Bench(const Options& options, std::vector<Place> places)
      : options_(options), cluster_(environment_of(options)) {
    cluster_.use_places(std::move(places));
    cluster_.form(options.nodes);
    preload(cluster_, options.preload_mib);
    for (std::size_t i = 0; i < cluster_.size(); ++i) ids_.push_back(cluster_.id(i));
    writer_ = std::make_unique<Writer>(cluster_);
    if (!options.out.empty()) out_.open(options.out, std::ios::app);
  }

  int run() {
    require([&] { return writer_->count() > 100; }, "the first writes");
    for (std::size_t round = 1; round <= options_.rounds; ++round) {
      if (options_.mode == "partition-follower") {
        partition_follower(round);
      } else if (options_.mode == "restart-all") {
        restart_all(round);
      } else {
        lose_leader(round);
      }
      if (round % 20 == 0) std::cerr << fmt::format("{} of {}\n", round, options_.rounds);
    }
    return report();
  }

 private:
  // Preloaded entries stay in the log.
  static Environment environment_of(const Options& options) {
    if (options.preload_mib == 0) return {};
    return {{"BIBD_CLUSTER_SNAPSHOT_THRESHOLD", "1000000000"},
            {"BIBD_CLUSTER_SNAPSHOT_BYTES_MAX", "64GiB"},
            {"BIBD_CLUSTER_SNAPSHOT_INTERVAL", "24h"}};
  }

  static void require(const std::function<bool()>& condition, const std::string& what) {
    if (!support::wait_until(condition, 60s)) throw std::runtime_error("in vain: " + what);
  }

  std::size_t place_of(wire::NodeId id) const {
    return static_cast<std::size_t>(std::find(ids_.begin(), ids_.end(), id) - ids_.begin());
  }

  // At any moment of what the leader does.
  void wait_a_little() { std::this_thread::sleep_for(1ms * (20 + random_.below(100))); }

  // Packets to and from the node vanish at the switch; no end of a connection is told.
  static void switch_port(std::size_t node, bool open) {
    const Finished done =
        cluster::run({"/usr/bin/env", "bridge", "link", "set", "dev",
                      "port" + std::to_string(node + 1), "state", open ? "3" : "0"});
    if (done.exit_code != 0) throw std::runtime_error("bridge: " + done.err);
  }

  void take_away(std::size_t node) {
    if (options_.mode == "kill") cluster_.kill_9(node);
    if (options_.mode == "drop") switch_port(node, false);
    if (options_.mode == "pause") cluster_.process(node).signal(SIGSTOP);
    if (options_.mode == "handover") cluster_.process(node).signal(SIGTERM);
  }

  void bring_back(std::size_t node) {
    if (options_.mode == "kill") cluster_.start(node);
    if (options_.mode == "drop") switch_port(node, true);
    if (options_.mode == "pause") cluster_.process(node).signal(SIGCONT);
    if (options_.mode == "handover") {
      if (cluster_.process(node).wait(30s) != 0) throw std::runtime_error("a stop that failed");
      cluster_.start(node);
    }
  }

  // It follows another node, and has applied what that one had committed when it came back.
  void wait_until_caught_up(std::size_t node, std::size_t leader) {
    std::optional<wire::LogIndex> target;
    require(
        [&] {
          if (!target) {
            if (const auto seen = cluster_.view(leader)) target = seen->commit;
          }
          const auto seen = target ? cluster_.view(node) : std::nullopt;
          return seen && seen->applied >= *target && seen->leader != wire::NodeId();
        },
        "node " + std::to_string(node + 1) + " catches up");
  }

  void lose_leader(std::size_t round) {
    wait_a_little();
    const wire::NodeId leader = writer_->last().by;
    const std::size_t node = place_of(leader);
    const Clock::time_point begin = Clock::now();
    take_away(node);
    std::optional<Writer::Acknowledged> next;
    require([&] { return (next = writer_->first_by_another(begin, leader)).has_value(); },
            "a write after the leader is gone");
    record(round, in_ms(next->at - begin), node);
    bring_back(node);
    wait_until_caught_up(node, place_of(next->by));
  }

  void restart_all(std::size_t round) {
    wait_a_little();
    for (std::size_t node = 0; node < cluster_.size(); ++node) cluster_.kill_9(node);
    const Clock::time_point begin = Clock::now();
    for (std::size_t node = 0; node < cluster_.size(); ++node) cluster_.start(node);
    require([&] { return writer_->last().at > begin; }, "a write after all have started again");
    const Writer::Acknowledged next = writer_->last();
    record(round, in_ms(next.at - begin), place_of(next.by));
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
      wait_until_caught_up(node, place_of(next.by));
    }
  }

  void partition_follower(std::size_t round) {
    const wire::NodeId leader = writer_->last().by;
    const auto before = cluster_.view(place_of(leader));
    if (!before) throw std::runtime_error("the leader does not answer");
    const std::size_t node =
        (place_of(leader) + 1 + round % (cluster_.size() - 1)) % cluster_.size();
    switch_port(node, false);
    // Long enough for it to suspect its leader and to ask for votes, again and again.
    std::this_thread::sleep_for(1500ms);
    const Clock::time_point begin = Clock::now();
    switch_port(node, true);
    wait_until_caught_up(node, place_of(leader));
    record(round, in_ms(Clock::now() - begin), node);
    const auto after = cluster_.view(place_of(leader));
    const bool same = after && after->role == "leader" && after->term == before->term;
    if (!same) ++leader_changes_;
  }

  void record(std::size_t round, double gap, std::size_t node) {
    gaps_.push_back(gap);
    if (out_.is_open()) {
      out_ << fmt::format("{{\"mode\":\"{}\",\"round\":{},\"node\":{},\"ms\":{:.2f}}}\n",
                          options_.mode, round, node + 1, gap)
           << std::flush;
    }
  }

  int report() {
    std::sort(gaps_.begin(), gaps_.end());
    const auto quantile = [&](double share) {
      const auto at = static_cast<std::size_t>(share * static_cast<double>(gaps_.size()));
      return gaps_[std::min(at, gaps_.size() - 1)];
    };
    const char* what = options_.mode == "partition-follower" ? "until it has caught up" : "gap";
    std::cout << fmt::format(
        "{}: {} rounds, {} ms: p50 {:.1f}  p90 {:.1f}  p99 {:.1f}  max {:.1f}\n", options_.mode,
        gaps_.size(), what, quantile(0.5), quantile(0.9), quantile(0.99), gaps_.back());
    std::cout << fmt::format("{} writes acknowledged, {} failed\n", writer_->count(),
                             writer_->failures());
    if (options_.mode == "partition-follower") {
      std::cout << fmt::format("changes of leader or term: {}\n", leader_changes_);
    }
    return writer_->failures() == 0 && leader_changes_ == 0 ? 0 : 1;
  }

  Options options_;
  Cluster cluster_;
  std::vector<wire::NodeId> ids_;
  std::unique_ptr<Writer> writer_;
  wire::Prng random_{7};
  std::vector<double> gaps_;
  std::size_t leader_changes_ = 0;
  std::ofstream out_;
};

// Nodes in network namespaces of their own, as failover.sh has made them: node<N>, 10.77.0.<N>.
std::vector<Place> places_in_namespaces(std::size_t nodes) {
  std::vector<Place> places;
  for (std::size_t i = 1; i <= nodes; ++i) {
    places.push_back({"10.77.0." + std::to_string(i),
                      {"/usr/bin/env", "ip", "netns", "exec", "node" + std::to_string(i)}});
  }
  return places;
}

int run_bench(int argc, char** argv) {
  Options options;
  CLI::App app("How long clients wait when a leader goes away");
  app.add_option("--mode", options.mode,
                 "kill, pause, drop, handover, partition-follower or restart-all")
      ->check(CLI::IsMember(
          {"kill", "pause", "drop", "handover", "partition-follower", "restart-all"}));
  app.add_option("--preload-mib", options.preload_mib, "of log before the first round");
  app.add_option("--rounds", options.rounds, "how often")->check(CLI::PositiveNumber);
  app.add_option("--nodes", options.nodes, "in the cluster")->check(CLI::Range(3, 7));
  app.add_option("--out", options.out, "a file for one line of JSON a round");
  CLI11_PARSE(app, argc, argv);
  const bool in_namespaces = options.mode == "drop" || options.mode == "partition-follower";
  Bench bench(options, in_namespaces ? places_in_namespaces(options.nodes) : std::vector<Place>());
  return bench.run();
}

}  // namespace
}  // namespace bib::cluster

int main(int argc, char** argv) {
  try {
    return bib::cluster::run_bench(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "bib_failover: " << error.what() << "\n";
    return 1;
  }
}
