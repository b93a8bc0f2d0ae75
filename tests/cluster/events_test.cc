// The events of the log as a reader of any node sees them.
#include <signal.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;

namespace {

Finished events_of(const Cluster& cluster, std::size_t node, std::vector<std::string> arguments) {
  std::vector<std::string> command{program("BIB_BIB"), "--server", cluster.api(node), "-o", "json"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(command);
}

std::vector<nlohmann::json> lines_of(const Finished& finished) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(finished.out);
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace

TEST_CASE("every node lists the events that were acknowledged before it was asked") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  for (int round = 0; round < 20; ++round) {
    const std::string value = "v" + std::to_string(round);
    const Finished set = cluster.bib({"-o", "json", "config", "set", "key", value});
    REQUIRE(set.exit_code == 0);
    const std::string position = nlohmann::json::parse(set.out).at("position");
    for (std::size_t node = 0; node < cluster.size(); ++node) {
      const Finished list = events_of(cluster, node, {"events", "list", "--from", position});
      INFO("round " << round << ", node " << node << ": " << list.err);
      REQUIRE(list.exit_code == 0);
      const auto events = lines_of(list);
      REQUIRE(events.size() == 1);
      CHECK(events[0].at("position") == position);
      CHECK(events[0].at("body").at("value") == value);
    }
  }
}

TEST_CASE("without a quorum events are listed only by who asks for stale ones") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  REQUIRE(cluster.bib({"config", "set", "key", "value"}).exit_code == 0);
  REQUIRE(support::wait_until([&] { return cluster.converged(); }, 20s));
  cluster.kill_9(0);
  cluster.kill_9(1);
  REQUIRE(support::wait_until([&] { return !cluster.leader(); }, 20s));
  const std::vector<std::string> list{"events", "list", "--stream", "config/"};
  for (const char* level : {"linearizable", "leader"}) {
    std::vector<std::string> arguments{"--timeout", "2s", "--consistency", level};
    arguments.insert(arguments.end(), list.begin(), list.end());
    const Finished refused = events_of(cluster, 2, arguments);
    INFO(level << ": " << refused.err);
    CHECK(refused.exit_code == 7);
    CHECK(refused.out.empty());
  }
  std::vector<std::string> arguments{"--consistency", "stale"};
  arguments.insert(arguments.end(), list.begin(), list.end());
  CHECK(lines_of(events_of(cluster, 2, arguments)).size() == 1);
  // Whoever watches goes on watching.
  const Finished tail = events_of(
      cluster, 2, {"events", "tail", "--from", "1:0", "--stream", "config/", "--limit", "1"});
  INFO(tail.err);
  CHECK(tail.exit_code == 0);
  CHECK(lines_of(tail).size() == 1);
}

TEST_CASE("large values that are small on disk are listed in parts, and no node ends") {
  constexpr int kValues = 70;
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::string value(1U << 20, 'x');
  for (int i = 0; i < kValues; ++i) {
    const Finished set = cluster.bib({"config", "set", "k" + std::to_string(i), "-"}, value);
    INFO(set.err);
    REQUIRE(set.exit_code == 0);
  }
  for (std::size_t node = 0; node < cluster.size(); ++node) {
    const Finished list =
        events_of(cluster, node, {"events", "list", "--stream", "config/", "--limit", "1000"});
    INFO("node " << node << ": " << list.err);
    REQUIRE(list.exit_code == 0);
    CHECK(std::count(list.out.begin(), list.out.end(), '\n') == kValues);
    CHECK(list.out.size() > kValues * value.size());
  }
  for (std::size_t node = 0; node < cluster.size(); ++node)
    CHECK(cluster.process(node).is_running());
}

TEST_CASE("readers of events that have stopped share one bound, and are closed in the end") {
  constexpr std::size_t kReaders = 40;
  constexpr int kValues = 10;
  Environment environment = quick_timeouts();
  environment["BIBD_LIMITS_FEED_BYTES"] = "4MiB";
  environment["BIBD_LIMITS_UNREAD_TIMEOUT"] = "2s";
  Cluster cluster(environment);
  cluster.form(1);
  const std::string value(1U << 20, 'x');
  const auto set_all = [&](const std::string& prefix) {
    for (int i = 0; i < kValues; ++i) {
      const Finished set = cluster.bib({"config", "set", prefix + std::to_string(i), "-"}, value);
      INFO(set.err);
      REQUIRE(set.exit_code == 0);
    }
  };
  // What the caches take is there before anybody listens.
  set_all("a");
  set_all("b");
  const auto resident = [&] {
    const auto view = cluster.view(0);
    return view ? view->resident_bytes : 0;
  };
  const std::uint64_t before = resident();
  REQUIRE(before > 0);
  const support::TempDir scratch;
  std::vector<std::unique_ptr<Process>> readers;
  for (std::size_t i = 0; i < kReaders; ++i) {
    const auto out = scratch / std::to_string(i);
    readers.push_back(std::make_unique<Process>(
        std::vector<std::string>{program("BIB_BIB"), "--server", cluster.api(0), "-o", "json",
                                 "events", "tail", "--from", "1:0"},
        Environment{}, out));
    REQUIRE(support::wait_until(
        [&] { return std::filesystem::exists(out) && std::filesystem::file_size(out) > 0; }, 20s));
    readers.back()->signal(SIGSTOP);
  }
  set_all("c");
  std::uint64_t most = before;
  CHECK(support::wait_until(
      [&] {
        most = std::max(most, resident());
        return count_of(cluster.node_log(0), "limits.unread_timeout") >= kReaders;
      },
      60s));
  INFO(cluster.node_log(0));
  // By itself, each would hold a reply of four MiB at least. A sanitizer keeps what was freed.
  UNSCOPED_INFO("from " << before << " to " << most << " bytes");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(most < before + kReaders * (2U << 20));
#endif
  CHECK(cluster.process(0).is_running());
  CHECK(cluster.bib({"config", "get", "a1"}).exit_code == 0);
}
