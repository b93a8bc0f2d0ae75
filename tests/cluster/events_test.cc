// The events of the log as a reader of any node sees them.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
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
