// bib_faults: what clients see while disks, links and members of a cluster of real processes are
// not well, with every timeout at its default. Clients write all the time, each a key of its own.
//
// Each mode has a fresh cluster, and prints a line for each phase: writes that were acknowledged, a
// second, the longest that one took, and how many were refused for good; and at the end what is
// missing of what was acknowledged. faults.sh builds and starts this; --help lists the modes.

#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cluster.h"
#include "load.h"

namespace bib::cluster {
namespace {

using namespace std::chrono_literals;
using cli::Clock;

struct Options {
  std::string mode = "stall";
  unsigned seconds = 30;  // of each phase with a fault
  std::size_t clients = 0;
};

double in_seconds(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

void require(const std::function<bool()>& condition, const std::string& what) {
  if (!support::wait_until(condition, 120s)) throw std::runtime_error("in vain: " + what);
}

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options), cluster_(environment_of(options.mode, stalls_.path().string())) {}

  int run() {
    const bool has_proxy = options_.mode == "one-way" || options_.mode == "links";
    if (has_proxy) cluster_.use_proxy();
    cluster_.form(options_.mode == "joins" ? 1 : 3);
    for (std::size_t i = 0; i < cluster_.size(); ++i) ids_.push_back(cluster_.id(i));
    const std::size_t usual = options_.mode == "clients" ? 200 : 8;
    load_ = std::make_unique<Load>(cluster_, options_.clients > 0 ? options_.clients : usual);
    require([&] { return load_->count() > 100; }, "the first writes");
    (void)load_->longest();
    phase("all is well", 5s);
    if (options_.mode == "stall") stall();
    if (options_.mode == "clients") kill_leader();
    if (options_.mode == "one-way") cut_one_way();
    if (options_.mode == "links") slow_links();
    if (options_.mode == "joins") join();
    return report();
  }

 private:
  static Environment environment_of(const std::string& mode, const std::string& stalls) {
    if (mode != "stall") return {};
    return {{"LD_PRELOAD", program("BIB_STALLED_DISK")}, {"BIB_STALL_DIR", stalls}};
  }

  // One line of figures; `during` is called at its begin and may end the phase later.
  void phase(const std::string& what, std::chrono::milliseconds time,
             const std::function<std::string()>& during = {}) {
    const std::uint64_t before = load_->count();
    const std::uint64_t failed_before = load_->failures();
    const Clock::time_point begin = Clock::now();
    const std::string note = during ? during() : std::string();
    std::this_thread::sleep_until(begin + time);
    const double took = in_seconds(Clock::now() - begin);
    const std::uint64_t writes = load_->count() - before;
    std::cout << fmt::format(
                     "{}: {}: {} writes in {:.1f} s ({:.0f}/s), longest {} ms, {} failed{}\n",
                     options_.mode, what, writes, took, static_cast<double>(writes) / took,
                     load_->longest().count(), load_->failures() - failed_before, note)
              << std::flush;
  }

  std::chrono::seconds fault_time() const { return std::chrono::seconds(options_.seconds); }

  // How long until another node than this one leads; this one, which may not answer, is not asked.
  std::string until_another_leads(std::size_t old) const {
    const Clock::time_point begin = Clock::now();
    require(
        [&] {
          for (std::size_t node = 0; node < cluster_.size(); ++node) {
            const auto seen = node != old ? cluster_.view(node) : std::nullopt;
            if (seen && seen->role == "leader") return true;
          }
          return false;
        },
        "another leader");
    return fmt::format("; another node leads after {:.0f} ms",
                       in_seconds(Clock::now() - begin) * 1000);
  }

  void stall() {
    const std::size_t leader = leader_of(cluster_);
    const auto stalled = stalls_ / std::to_string(cluster_.process(leader).id());
    phase("the leader's disk is stalled", fault_time(), [&] {
      support::write_file(stalled, "");
      return until_another_leads(leader);
    });
    std::filesystem::remove(stalled);
    phase("the disk works again", 5s);
  }

  void kill_leader() {
    const std::size_t leader = leader_of(cluster_);
    phase("the leader is killed", fault_time(), [&] {
      cluster_.kill_9(leader);
      return until_another_leads(leader);
    });
    cluster_.start(leader);
    phase("it has started again", 5s);
  }

  void cut_one_way() {
    const auto cut = [&](const std::string& what, bool hears_nobody, std::size_t links) {
      const std::size_t leader = leader_of(cluster_);
      phase(what, fault_time(), [&] {
        for (std::size_t i = 1; i <= links; ++i) {
          const wire::NodeId other = ids_[(leader + i) % ids_.size()];
          if (hears_nobody) {
            cluster_.proxy().cut_one_way(other, ids_[leader]);
          } else {
            cluster_.proxy().cut_one_way(ids_[leader], other);
          }
        }
        return std::string();
      });
      cluster_.proxy().mend_all();
      require([&] { return cluster_.all_healthy(); }, "all nodes are healthy");
      (void)load_->longest();
    };
    cut("a follower does not hear the leader", false, 1);
    cut("the leader does not hear a follower", true, 1);
    cut("nobody hears the leader", false, ids_.size() - 1);
    cut("the leader hears nobody", true, ids_.size() - 1);
  }

  void slow_links() {
    cluster_.proxy().set_weather({.delay = 100ms});
    phase("links take 100 ms", fault_time());
    cluster_.proxy().set_weather({.delay = 100ms, .stall_every = 7s, .stall_for = 2s});
    phase("and stand still for 2 s every 7 s", fault_time());
    cluster_.proxy().set_weather({});
    phase("links are as before", 5s);
  }

  void join() {
    constexpr std::size_t kJoining = 5;
    phase("five nodes join at once", 0s, [&] {
      for (std::size_t i = 0; i < kJoining; ++i) {
        cluster_.add_node({"--cluster-join", cluster_.token()});
      }
      const Clock::time_point begin = Clock::now();
      for (std::size_t i = 1; i <= kJoining; ++i) cluster_.start(i);
      require([&] { return cluster_.all_healthy(); }, "six voters that are healthy");
      return fmt::format("; six voters after {:.1f} s", in_seconds(Clock::now() - begin));
    });
    phase("six nodes", 5s);
  }

  int report() {
    load_->stop();
    require([&] { return cluster_.all_healthy() && cluster_.converged(); }, "all nodes are equal");
    const std::string missing = load_->missing();
    const auto lost = std::count(missing.begin(), missing.end(), '\n');
    std::cout << fmt::format("{}: in all {} writes acknowledged, {} failed, {} keys lost writes\n",
                             options_.mode, load_->count(), load_->failures(), lost);
    if (!missing.empty()) std::cout << missing;
    return missing.empty() && load_->failures() == 0 ? 0 : 1;
  }

  Options options_;
  support::TempDir stalls_;
  Cluster cluster_;
  std::vector<wire::NodeId> ids_;
  std::unique_ptr<Load> load_;
};

int run_bench(int argc, char** argv) {
  Options options;
  CLI::App app("What clients see while disks, links and members are not well");
  app.add_option("--mode", options.mode, "stall, clients, one-way, links or joins")
      ->check(CLI::IsMember({"stall", "clients", "one-way", "links", "joins"}));
  app.add_option("--seconds", options.seconds, "of each fault")->check(CLI::Range(1, 3600));
  app.add_option("--clients", options.clients, "that write; 200 for the mode clients, else 8")
      ->check(CLI::Range(1, 10'000));
  CLI11_PARSE(app, argc, argv);
  return Bench(options).run();
}

}  // namespace
}  // namespace bib::cluster

int main(int argc, char** argv) {
  try {
    return bib::cluster::run_bench(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "bib_faults: " << error.what() << "\n";
    return 1;
  }
}
