// Signals that a node ignores, and what its threads are called.
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

TEST_CASE("SIGHUP, SIGUSR1 and SIGUSR2 are ignored by a node, which says so") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  for (const int number : {SIGPIPE, SIGXFSZ, SIGHUP, SIGUSR1, SIGUSR2}) {
    cluster.process(0).signal(number);
  }
  for (const char* name : {"SIGHUP", "SIGUSR1", "SIGUSR2"}) {
    INFO(name);
    CHECK(support::wait_until(
        [&] {
          return cluster.node_log(0).find(std::string(name) + " is ignored") != std::string::npos;
        },
        20s));
  }
  CHECK_THAT(cluster.node_log(0), Contains("restart the node"));
  CHECK(cluster.bib({"config", "set", "k", "v"}).exit_code == 0);
  CHECK(cluster.process(0).is_running());
  cluster.process(0).signal(SIGTERM);
  CHECK(cluster.process(0).wait(20s) == 0);
}

TEST_CASE("each thread of a node has a name") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  REQUIRE(cluster.bib({"config", "set", "k", "v"}).exit_code == 0);
  REQUIRE(cluster.bib({"events", "list"}).exit_code == 0);  // has the pool's threads begin
  const std::string tasks = "/proc/" + std::to_string(cluster.process(0).id()) + "/task";
  const auto names = [&] {
    std::set<std::string> found;
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      std::string name;
      std::getline(std::ifstream(task.path() / "comm"), name);
      found.insert(name);
    }
    return found;
  };
  for (const char* name :
       {"bibd", "bib-log", "bib-log-prepare", "bib-store", "bib-pool", "bib-lines"}) {
    INFO(name);
    CHECK(support::wait_until([&] { return names().count(name) == 1; }, 20s));
  }
}
