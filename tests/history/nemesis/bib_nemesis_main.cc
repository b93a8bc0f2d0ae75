// bib_nemesis: a cluster of real bibd processes under faults, and the history of what its clients
// saw (docs/testing.md).
//
// Exit code: 0 every promise was kept, 1 one was broken (printed), 2 wrong usage, 3 the run could
// not be made, 4 the history was not decided within the checker's limits, 130 interrupted.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>

#include "audit.h"
#include "levels.h"
#include "nemesis.h"
#include "raw_clients.h"
#include "support/linearizability.h"
#include "support/test_support.h"
#include "workload.h"

namespace bib::nemesis {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

enum class Exit : int {
  kKept = 0,
  kBroken = 1,
  kUsage = 2,
  kNoRun = 3,
  kUnknown = 4,
  kInterrupted = 130
};

struct Options {
  std::size_t nodes = 3;
  std::uint64_t duration_s = 15;
  std::uint64_t seed = 1;
  std::string faults = "kill,pause,partition,slow-disk";
  std::string network = "auto";
  std::string timeouts = "quick";
  std::size_t clients = 6;
  std::uint64_t rate = 600;
  fs::path out;
};

std::atomic<bool> interrupted = false;

void on_interrupt(int) {
  interrupted = true;
}

// The programs that were built beside this one, unless the environment names others.
void find_programs() {
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  ::setenv("BIB_BIB", (here / "bib").c_str(), 0);
  ::setenv("BIB_BIBD", (here / "bibd").c_str(), 0);
  ::setenv("BIB_SLOW_DISK_SHIM", (here / "libbib_slow_disk.so").c_str(), 0);
}

std::unique_ptr<Network> make_network(const Options& options) {
  if (options.network == "proxy") return make_proxy();
  if (!enter_own_network()) {
    if (options.network == "auto") return make_proxy();
    throw std::runtime_error("network namespaces are not allowed here: use --network proxy");
  }
  if (options.network == "namespaces") return make_namespaces(options.nodes);
  try {
    return make_namespaces(options.nodes);
  } catch (const std::exception& error) {
    fmt::print("no namespaces for the nodes ({}): a proxy instead\n", error.what());
    return make_proxy();
  }
}

class Run {
 public:
  Run(const Options& options, std::vector<FaultKind> kinds)
      : options_(options),
        kinds_(std::move(kinds)),
        network_(make_network(options)),
        cluster_(environment(options)),
        recorder_(options.out / "history.jsonl") {
    std::vector<std::vector<std::string>> runners;
    for (std::size_t node = 0; node < options.nodes; ++node) {
      disks_.push_back(std::make_unique<SlowDisk>(scratch_ / ("disk" + std::to_string(node))));
      // Nobody survives the harness, not even if it is killed.
      std::vector<std::string> runner{"/usr/bin/setpriv", "--pdeathsig", "KILL"};
      const bool slows =
          std::find(kinds_.begin(), kinds_.end(), FaultKind::kSlowDisk) != kinds_.end();
      if (slows) {
        const auto slow = disks_.back()->runner();
        runner.insert(runner.end(), slow.begin(), slow.end());
      }
      runners.push_back(std::move(runner));
    }
    network_->attach(cluster_, runners);
  }

  Exit run();

 private:
  // Every other seed: snapshots are made and followers that were away need them. Otherwise the log
  // stays whole, and so the audit sees all of it.
  static bool has_small_snapshots(const Options& options) { return options.seed % 2 == 0; }
  static bool has_default_timeouts(const Options& options) { return options.timeouts == "default"; }
  static cluster::Environment environment(const Options& options) {
    cluster::Environment environment;
    if (!has_default_timeouts(options)) environment = cluster::quick_timeouts();
    if (has_small_snapshots(options)) {
      environment["BIBD_CLUSTER_SNAPSHOT_THRESHOLD"] = "500";
      environment["BIBD_CLUSTER_SNAPSHOT_INTERVAL"] = "1s";
      environment["BIBD_CLUSTER_RAFT_TRAILING_LOGS"] = "200";
    } else {
      environment["BIBD_CLUSTER_SNAPSHOT_THRESHOLD"] = "1000000";
    }
    return environment;
  }

  // False: interrupted, or a node is gone.
  bool follow_schedule(Nemesis& nemesis);
  bool wait_for(milliseconds until, Nemesis& nemesis);
  void check_whole();
  void check_log();
  Exit judge(const Nemesis& nemesis);
  void broken(const std::string& what) {
    fmt::print("BROKEN: {}\n", what);
    is_broken_ = true;
  }
  void keep_node_logs() const;

  Options options_;
  std::vector<FaultKind> kinds_;
  std::unique_ptr<Network> network_;
  support::TempDir scratch_;
  std::vector<std::unique_ptr<SlowDisk>> disks_;
  cluster::Cluster cluster_;
  Recorder recorder_;
  std::unique_ptr<Workload> workload_;
  std::unique_ptr<RawClients> raw_clients_;
  std::chrono::steady_clock::time_point begun_;
  bool is_broken_ = false;
};

Exit Run::run() {
  fmt::print("{} nodes over {}, seed {}, {} s of {}, {}\n", options_.nodes, network_->name(),
             options_.seed, options_.duration_s, options_.faults,
             has_small_snapshots(options_) ? "small snapshots" : "the log whole");
  cluster_.form(options_.nodes);
  network_->settle(cluster_);
  WorkloadOptions load;
  load.servers = cluster_.servers();
  load.clients = options_.clients;
  load.seed = options_.seed;
  load.rate = options_.rate;
  workload_ = std::make_unique<Workload>(load, recorder_);
  raw_clients_ = std::make_unique<RawClients>(load, *workload_, recorder_);
  Nemesis nemesis(cluster_, *network_, disks_, recorder_);
  begun_ = std::chrono::steady_clock::now();
  const bool is_done = follow_schedule(nemesis);
  raw_clients_->stop();
  workload_->stop();
  nemesis.heal();
  if (is_done) check_whole();
  if (is_done && !is_broken_) check_log();
  keep_node_logs();
  if (!recorder_.finish()) throw std::runtime_error("the history could not be written");
  if (interrupted) {
    fmt::print("interrupted\n");
    return Exit::kInterrupted;
  }
  return judge(nemesis);
}

bool Run::wait_for(milliseconds until, Nemesis& nemesis) {
  const auto time = begun_ + until;
  const auto left = [&] {
    return std::chrono::duration_cast<milliseconds>(time - std::chrono::steady_clock::now());
  };
  while (left().count() > 0 && !interrupted) {
    (void)support::wait_until([] { return interrupted.load(); },
                              std::min(left(), milliseconds(250)));
    const auto dead = nemesis.dead_by_themselves();
    for (const std::size_t node : dead) {
      const std::string log = cluster_.node_log(node);
      broken(fmt::format("node{} has ended by itself:\n{}", node + 1,
                         log.substr(log.size() - std::min<std::size_t>(log.size(), 4000))));
    }
    if (!dead.empty()) return false;
  }
  return !interrupted;
}

bool Run::follow_schedule(Nemesis& nemesis) {
  const milliseconds duration = seconds(options_.duration_s);
  // With the default timeouts two nodes believe they lead for as long as a partition lasts.
  const FaultLength length =
      has_default_timeouts(options_) ? FaultLength{1000, 4000} : FaultLength{};
  const std::vector<Fault> schedule = draw_schedule(options_.seed, duration, kinds_, length);
  std::multimap<milliseconds, std::pair<bool, const Fault*>> moments;
  for (const Fault& fault : schedule) {
    moments.emplace(fault.begins, std::pair(true, &fault));
    moments.emplace(fault.ends, std::pair(false, &fault));
  }
  for (const auto& [moment, what] : moments) {
    if (!wait_for(moment, nemesis)) return false;
    const auto& [begins, fault] = what;
    if (begins) nemesis.begin(*fault);
    if (!begins) nemesis.end(*fault);
  }
  return wait_for(duration, nemesis);
}

// Everybody is back, everybody has the same, and what was acknowledged can be read everywhere.
void Run::check_whole() {
  const auto ready = [this] { return interrupted || cluster_.all_healthy(); };
  if (!support::wait_until(ready, seconds(60)))
    return broken("the cluster does not become healthy");
  workload_->read_all();
  const auto equal = [this] { return interrupted || cluster_.converged(); };
  if (!support::wait_until(equal, seconds(60))) {
    broken("the nodes' digests do not become equal");
  }
}

// From the node whose log goes back furthest, as far as it goes; a snapshot may cut it meanwhile.
void Run::check_log() {
  cluster::Finished listed;
  wire::LogIndex first;
  const auto list = [&] {
    std::size_t from = 0;
    first = wire::LogIndex();
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
      const auto view = cluster_.view(node);
      if (!view || (first != wire::LogIndex() && view->first >= first)) continue;
      from = node;
      first = view->first;
    }
    listed =
        cluster::run({cluster::program("BIB_BIB"), "--server", cluster_.api(from), "--consistency",
                      "stale", "-o", "json", "events", "list", "--limit", "0", "--from",
                      std::to_string(first.value()) + ":0", "--stream", "config/history"});
    return interrupted || listed.exit_code == 0;
  };
  if (!support::wait_until(list, seconds(20))) {
    return broken("the events cannot be listed: " + listed.err);
  }
  const AuditResult audit = audit_events(listed.out, recorder_);
  fmt::print("log: {} events, {} acknowledged changes looked up\n", audit.events,
             audit.acknowledged);
  for (const std::string& wrong : audit.wrong) broken(wrong);
  const LevelResult levels = judge_levels(listed.out, first, recorder_, cluster_.size());
  fmt::print("levels: {} reads judged; {} requests repeated or altered\n", levels.reads,
             raw_clients_->repeats());
  for (const std::string& wrong : levels.wrong) broken(wrong);
  if (levels.reads == 0) broken("no read of another level was answered");
}

Exit Run::judge(const Nemesis& nemesis) {
  for (const std::string& answer : workload_->unexpected()) {
    broken("an answer that no node should give: " + answer);
  }
  const support::Verdict verdict = support::check_linearizability(recorder_.operations());
  std::map<support::Outcome, std::size_t> outcomes;
  for (const auto& operation : recorder_.operations()) ++outcomes[operation.outcome];
  fmt::print("{} faults; {} operations: {} ok, {} failed, {} unknown\n", nemesis.faults(),
             recorder_.operations().size(), outcomes[support::Outcome::kOk],
             outcomes[support::Outcome::kFail], outcomes[support::Outcome::kInfo]);
  if (workload_->acknowledged() == 0) broken("nothing was acknowledged");
  fmt::print("{}", verdict.text);
  using Kind = support::Verdict::Kind;
  if (verdict.kind == Kind::kNotLinearizable || is_broken_) {
    fmt::print("history and node logs: {}\n", options_.out.string());
    return Exit::kBroken;
  }
  return verdict.kind == Kind::kUnknown ? Exit::kUnknown : Exit::kKept;
}

void Run::keep_node_logs() const {
  for (std::size_t node = 0; node < cluster_.size(); ++node) {
    support::write_file(options_.out / ("node" + std::to_string(node + 1) + ".log"),
                        cluster_.node_log(node));
  }
}

Exit run(Options options) {
  const auto kinds = parse_faults(options.faults);
  if (!kinds) {
    fmt::print(stderr, "--faults: {}\n", kinds.error().message);
    return Exit::kUsage;
  }
  find_programs();
  std::optional<support::TempDir> scratch;
  if (options.out.empty()) options.out = scratch.emplace().path();
  fs::create_directories(options.out);
  ::signal(SIGINT, on_interrupt);
  ::signal(SIGTERM, on_interrupt);
  return Run(options, *kinds).run();
}

}  // namespace
}  // namespace bib::nemesis

int main(int argc, char** argv) {
  using namespace bib::nemesis;
  CLI::App app{"A cluster of real nodes under faults, and whether it keeps its promises",
               "bib_nemesis"};
  Options options;
  app.add_option("--nodes", options.nodes, "Nodes, 3 to 9")->check(CLI::Range(3, 9));
  app.add_option("--duration", options.duration_s, "Seconds")->check(CLI::Range(1, 86400));
  app.add_option("--seed", options.seed, "Decides the schedule and the clients' choices");
  app.add_option("--faults", options.faults, "kill,pause,partition,slow-disk, or none");
  app.add_option("--network", options.network, "auto, namespaces or proxy")
      ->check(CLI::IsMember({"auto", "namespaces", "proxy"}));
  app.add_option("--timeouts", options.timeouts,
                 "quick, or those of the default configuration and faults of 1 to 4 s")
      ->check(CLI::IsMember({"quick", "default"}));
  app.add_option("--clients", options.clients, "Clients")->check(CLI::Range(1, 64));
  app.add_option("--rate", options.rate, "Operations a second, of all clients together")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--out", options.out, "Folder for history.jsonl and the nodes' logs");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(Exit::kUsage);
  }
  try {
    return static_cast<int>(run(options));
  } catch (const std::exception& error) {
    fmt::print(stderr, "bib_nemesis: {}\n", error.what());
    return static_cast<int>(Exit::kNoRun);
  }
}
