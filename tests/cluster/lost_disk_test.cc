// A disk that was lost or rolled back comes back under its old id: noticed, and refused with words
// that say what to do, whoever leads and however often all restart.
#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

void write(const Cluster& cluster, const std::string& value) {
  const Finished result = cluster.bib({"--timeout", "20s", "config", "set", "k", value});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
}

void require_refused(Cluster& cluster, std::size_t node) {
  cluster.start(node);
  REQUIRE(cluster.process(node).wait(30s) == 10);
  const std::string log = cluster.node_log(node);
  CHECK_THAT(log, Contains("disk was lost or replaced"));
  CHECK_THAT(log, Contains("bib cluster member remove"));
  CHECK_THAT(log, Contains("--cluster-join TOKEN --force"));
}

bool leads(const Cluster& cluster) {
  return cluster.leader().has_value();
}

}  // namespace

TEST_CASE("a voter whose disk was wiped is refused under its old id, by every leader") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t wiped = cluster.leader() == 1U ? 2 : 1;  // one that joined, and follows
  write(cluster, "1");
  cluster.kill_9(wiped);
  std::filesystem::remove_all(cluster.data(wiped));
  require_refused(cluster, wiped);

  REQUIRE(cluster.bib({"--timeout", "20s", "cluster", "transfer"}).exit_code == 0);
  require_refused(cluster, wiped);

  for (std::size_t node = 0; node < 3; ++node) {
    if (node != wiped) cluster.kill_9(node);
  }
  for (std::size_t node = 0; node < 3; ++node) {
    if (node != wiped) cluster.start(node);
  }
  REQUIRE(support::wait_until([&] { return leads(cluster); }, 20s));
  require_refused(cluster, wiped);
  write(cluster, "2");
}

TEST_CASE("a founder whose disk was wiped stops once it has founded a second cluster") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  write(cluster, "1");
  cluster.kill_9(0);
  std::filesystem::remove_all(cluster.data(0));
  REQUIRE(support::wait_until([&] { return leads(cluster); }, 20s));
  cluster.start(0);
  REQUIRE(cluster.process(0).wait(30s) == 10);
  CHECK_THAT(cluster.node_log(0), Contains("it has founded a second cluster"));
  write(cluster, "2");
}

TEST_CASE("a follower whose disk was rolled back is refused by the leader that it had answered") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  write(cluster, "1");
  const auto leader = cluster.leader();
  REQUIRE(leader);
  const std::size_t follower = (*leader + 1) % 3;
  cluster.process(follower).signal(SIGTERM);
  REQUIRE(cluster.process(follower).wait(20s) == 0);
  const support::TempDir scratch;
  std::filesystem::copy(cluster.data(follower), scratch / "copy",
                        std::filesystem::copy_options::recursive);
  cluster.start(follower);
  REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 20s));
  for (int i = 0; i < 5; ++i) write(cluster, std::to_string(i));
  REQUIRE(support::wait_until([&] { return cluster.converged(); }, 20s));
  cluster.process(follower).signal(SIGTERM);
  REQUIRE(cluster.process(follower).wait(20s) == 0);
  REQUIRE(cluster.leader() == leader);

  std::filesystem::remove_all(cluster.data(follower));
  std::filesystem::copy(scratch / "copy", cluster.data(follower),
                        std::filesystem::copy_options::recursive);
  cluster.start(follower);
  REQUIRE(cluster.process(follower).wait(30s) == 10);
  CHECK_THAT(cluster.node_log(follower), Contains("its disk was rolled back"));
  write(cluster, "2");
}
