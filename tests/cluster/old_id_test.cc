// A node id that somebody has set by hand, on a machine or a disk that is not the one which had it:
// refused while it belongs to a member, and another member's once that one is removed.
#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

const char* const kSaysRemoved = "was removed from the cluster";

void require_done(const Cluster& cluster, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--timeout", "20s"});
  const Finished result = cluster.bib(arguments);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
}

// As the leader sees it: so many voters, and all of them healthy.
bool has_healthy_voters(const Cluster& cluster, std::size_t count) {
  const auto leader = cluster.leader();
  const auto seen = leader ? cluster.view(*leader) : std::nullopt;
  if (!seen || seen->members.size() != count) return false;
  for (const cli::MemberView& member : seen->members) {
    if (!member.voter || !member.healthy) return false;
  }
  return true;
}

// A machine that has nothing but a token of a living member, and this id in its configuration.
std::size_t start_machine(Cluster& cluster, const std::string& id) {
  const Finished token =
      cluster.bib({"-o", "json", "--timeout", "20s", "cluster", "token", "create"});
  INFO(token.err);
  REQUIRE(token.exit_code == 0);
  const std::string text = nlohmann::json::parse(token.out).at("token");
  const std::size_t node = cluster.add_node({"--cluster-join", text, "--node-id", id});
  cluster.start(node);
  return node;
}

}  // namespace

TEST_CASE("a machine that is given the id of a member is refused, and the member stays one") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t member = (leader_of(cluster) + 1) % 3;
  const std::string id = to_string(cluster.id(member));
  for (const bool is_away : {false, true}) {
    if (is_away) cluster.kill_9(member);
    const std::size_t machine = start_machine(cluster, id);
    REQUIRE(cluster.process(machine).wait(30s) == 10);
    const std::string log = cluster.node_log(machine);
    CHECK_THAT(log, Contains("node " + id + " is a member already"));
    CHECK_THAT(log, Contains("disk was lost or replaced"));
    CHECK_THAT(log, Contains("bib cluster member remove " + id));
    CHECK_THAT(log, Contains("--cluster-join TOKEN --force"));
    require_done(cluster, {"config", "set", "k", is_away ? "2" : "1"});
  }
  cluster.start(member);
  REQUIRE(support::wait_until([&] { return has_healthy_voters(cluster, 3); }, 30s));
}

// The founder, whose log began with itself as the only voter: whoever has its id reads that again.
TEST_CASE("an id whose member was removed is a new member's, who is told nothing of the old one") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::string id = to_string(cluster.id(0));
  require_done(cluster, {"config", "set", "k", "1"});
  cluster.kill_9(0);
  leader_of(cluster);
  require_done(cluster, {"cluster", "member", "remove", id});

  const std::size_t machine = start_machine(cluster, id);
  REQUIRE(support::wait_until([&] { return has_healthy_voters(cluster, 3); }, 30s));
  // All of its log is applied when it starts again, and it learns its part from the beginning on.
  cluster.process(machine).signal(SIGTERM);
  REQUIRE(cluster.process(machine).wait(20s) == 0);
  cluster.start(machine);
  REQUIRE(support::wait_until([&] { return has_healthy_voters(cluster, 3); }, 30s));
  CHECK_THAT(cluster.node_log(machine), !Contains(kSaysRemoved));
  require_done(cluster, {"cluster", "transfer", id});
  CHECK(leader_of(cluster) == machine);
  require_done(cluster, {"config", "set", "k", "2"});
}

TEST_CASE("the old disk of a member that has joined again under its id is refused") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t old = (leader_of(cluster) + 1) % 3;
  const std::string id = to_string(cluster.id(old));
  cluster.process(old).signal(SIGTERM);
  REQUIRE(cluster.process(old).wait(20s) == 0);
  require_done(cluster, {"cluster", "member", "remove", id});
  start_machine(cluster, id);
  REQUIRE(support::wait_until([&] { return has_healthy_voters(cluster, 3); }, 30s));
  const wire::Term term = cluster.view(leader_of(cluster))->term;

  cluster.start(old);
  REQUIRE(cluster.process(old).wait(30s) == 10);
  const std::string log = cluster.node_log(old);
  CHECK_THAT(log, Contains("disk was lost or replaced"));
  CHECK_THAT(log, Contains("bib cluster member remove " + id));
  require_done(cluster, {"config", "set", "k", "1"});
  CHECK(cluster.view(leader_of(cluster))->term == term);
  CHECK(has_healthy_voters(cluster, 3));
}
