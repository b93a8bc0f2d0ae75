// Nothing that was acknowledged is lost, whoever dies.
#include <signal.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "cluster.h"
#include "wire/base/prng.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;

namespace {

// Writes dataset versions without a pause on a thread of its own, and remembers which of them were
// acknowledged.
class Writer {
 public:
  explicit Writer(const Cluster& cluster)
      : servers_(cluster.servers()), thread_([this] { run(); }) {}
  ~Writer() { stop(); }

  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  std::set<std::string> acknowledged() const {
    const std::lock_guard lock(mutex_);
    return acknowledged_;
  }
  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return acknowledged_.size();
  }
  std::size_t failures() const { return failures_; }

 private:
  void run() {
    cli::ClientOptions options;
    options.servers = servers_;
    options.timeout = 20s;
    options.inflight_max = 16;
    cli::Client client(options);
    std::map<std::uint64_t, std::string> under_way;
    std::uint64_t number = 0;
    std::vector<cli::Completion> completions;
    while (!stop_ || client.inflight() > 0) {
      while (!stop_ && client.can_submit()) {
        std::string name = "d" + std::to_string(++number);
        wire::AddDatasetVersion add;
        add.version.topic = "load";
        add.version.dataset = name;
        add.version.version = "1";
        under_way[client.submit(wire::CommandBody(add))] = std::move(name);
      }
      completions.clear();
      client.poll(cli::Clock::now() + 100ms, completions);
      for (const cli::Completion& completion : completions) {
        const auto name = under_way.extract(completion.ticket);
        if (!completion.reply) {
          ++failures_;
          continue;
        }
        const std::lock_guard lock(mutex_);
        acknowledged_.insert(name.mapped());
      }
    }
  }

  std::vector<cli::ServerAddress> servers_;
  mutable std::mutex mutex_;
  std::set<std::string> acknowledged_;
  std::atomic<std::size_t> failures_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

std::set<std::string> datasets_on(const Cluster& cluster, std::size_t node) {
  const Finished list = run({program("BIB_BIB"), "--server", cluster.api(node), "--consistency",
                             "stale", "-o", "json", "catalog", "list", "load"});
  REQUIRE(list.exit_code == 0);
  std::set<std::string> names;
  for (const auto& row : nlohmann::json::parse(list.out)) names.insert(row.at("name"));
  return names;
}

void require_nothing_lost(const Cluster& cluster, const std::set<std::string>& acknowledged) {
  for (std::size_t node = 0; node < cluster.size(); ++node) {
    const std::set<std::string> there = datasets_on(cluster, node);
    for (const std::string& name : acknowledged) {
      INFO("node " << node << " lacks " << name);
      REQUIRE(there.contains(name));
    }
  }
}

}  // namespace

TEST_CASE("twenty leaders are killed during an import and no acknowledged write is missing") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  REQUIRE(cluster.bib({"topic", "create", "load"}).exit_code == 0);
  Writer writer(cluster);
  wire::Prng random(20);
  for (int round = 0; round < 20; ++round) {
    const std::size_t before = writer.count();
    REQUIRE(support::wait_until([&] { return writer.count() >= before + 20 + random.below(400); },
                                20s));
    const auto leader = cluster.leader();
    REQUIRE(leader);
    cluster.kill_9(*leader);
    const std::size_t at_kill = writer.count();
    // More answers may have been under way: fifty new ones need a new leader.
    REQUIRE(support::wait_until([&] { return writer.count() > at_kill + 50; }, 20s));
    cluster.start(*leader);
    REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
  }
  writer.stop();
  CHECK(writer.failures() == 0);
  REQUIRE(support::wait_until([&] { return cluster.converged(); }, 20s));
  require_nothing_lost(cluster, writer.acknowledged());
}

TEST_CASE("all three nodes are killed at once and nothing acknowledged is missing") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  REQUIRE(cluster.bib({"topic", "create", "load"}).exit_code == 0);
  Writer writer(cluster);
  REQUIRE(support::wait_until([&] { return writer.count() > 500; }, 20s));
  for (std::size_t node = 0; node < 3; ++node) cluster.kill_9(node);
  const std::size_t at_kill = writer.count();
  for (std::size_t node = 0; node < 3; ++node) cluster.start(node);
  REQUIRE(support::wait_until([&] { return writer.count() > at_kill + 50; }, 20s));
  writer.stop();
  CHECK(writer.failures() == 0);
  REQUIRE(support::wait_until([&] { return cluster.converged(); }, 20s));
  require_nothing_lost(cluster, writer.acknowledged());
}

TEST_CASE("whatever finds no quorum ends with 7 and says so; a write may be carried out later") {
  Cluster cluster;  // with default timeouts the leader goes on for some seconds without a majority
  cluster.form(3);
  const std::size_t leader = cluster.leader().value();
  for (std::size_t node = 0; node < 3; ++node) {
    if (node != leader) cluster.kill_9(node);
  }
  const auto set = cluster.bib({"config", "set", "k", "v", "--timeout", "2s"});
  INFO(set.err);
  CHECK(set.exit_code == 7);
  CHECK(set.err.find("no quorum") != std::string::npos);
  CHECK(set.err.find("the outcome is unknown") != std::string::npos);
  CHECK(set.out.empty());
  const auto get = cluster.bib({"config", "get", "k", "--timeout", "1s"});
  INFO(get.err);
  CHECK(get.exit_code == 7);
  const auto events = cluster.bib({"events", "list", "--timeout", "1s"});
  INFO(events.err);
  CHECK(events.exit_code == 7);
  const auto import = cluster.bib(
      {"catalog", "import", "-", "--timeout", "1s"},
      "Package: one\nVersion: 1\nSection: misc\nSHA256: " + std::string(64, 'a') + "\n");
  INFO(import.err);
  CHECK(import.exit_code == 7);
  CHECK(import.err.find("import again to continue") != std::string::npos);
}

TEST_CASE("a follower that was away for longer than the leader's memory holds catches up") {
  Environment environment = quick_timeouts();
  environment["BIBD_LOG_CACHE_BYTES"] = "1MiB";
  Cluster cluster(environment);
  cluster.form(3);
  const auto leader = cluster.leader();
  REQUIRE(leader);
  const std::size_t follower = (*leader + 1) % 3;
  cluster.kill_9(follower);
  const Finished load = cluster.bib({"bench", "--inflight", "64", "--size", "1000", "--keys",
                                     "2000", "--warmup", "0s", "--duration", "2s"});
  REQUIRE(load.exit_code == 0);
  const auto seen = cluster.view(*leader);
  REQUIRE(seen);
  CHECK(seen->last.value() > 100);
  cluster.start(follower);
  REQUIRE(support::wait_until([&] { return cluster.converged(); }, 30s));
}

TEST_CASE("a client that repeats a command after a failover is answered once") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  wire::SetConfig set;
  set.key = "once";
  set.value = "1";
  cli::ClientOptions options;
  options.servers = cluster.servers();
  options.timeout = 20s;
  cli::Client client(options);
  // Expected revision 0: a second execution would be a conflict.
  for (int round = 0; round < 10; ++round) {
    const std::string key = "once/" + std::to_string(round);
    set.key = key;
    std::atomic<bool> answered = false;
    std::thread killer([&] {
      if (round % 2 == 0) return;
      const auto leader = cluster.leader();
      if (!leader) return;
      cluster.kill_9(*leader);
      cluster.start(*leader);
    });
    const cli::Completion reply = client.call(wire::CommandBody(set), wire::Revision(0));
    killer.join();
    INFO((reply.reply ? std::string("ok") : reply.reply.error().message));
    REQUIRE(reply.reply);
    const auto decoded = wire::decode_command_reply(reply.reply->body.view());
    REQUIRE(decoded);
    CHECK(decoded->revision == wire::Revision(1));
    REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
  }
  const Finished events = cluster.bib({"-o", "json", "events", "list", "--limit", "0"});
  INFO(events.err);
  REQUIRE(events.exit_code == 0);
  std::map<std::string, int> times;
  std::istringstream lines(events.out);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find("once/");
    if (at != std::string::npos) ++times[line.substr(at, 6)];
  }
  CHECK(times.size() == 10);
  for (const auto& [key, count] : times) {
    INFO(key);
    CHECK(count == 1);
  }
}

TEST_CASE("a node that is asked to stop hands over, closes its log cleanly and exits with 0") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  REQUIRE(cluster.bib({"config", "set", "a", "1"}).exit_code == 0);
  const auto leader = cluster.leader();
  REQUIRE(leader);
  cluster.process(*leader).signal(SIGTERM);
  CHECK(cluster.process(*leader).wait(15s) == 0);
  REQUIRE(cluster.bib({"config", "set", "a", "2"}).exit_code == 0);
  const Finished status =
      run({program("BIB_RAFT_INSPECT"), "verify", cluster.data(*leader).string()});
  INFO(status.out << status.err);
  CHECK(status.exit_code == 0);
  cluster.start(*leader);
  REQUIRE(support::wait_until([&] { return cluster.converged(); }, 20s));
}
