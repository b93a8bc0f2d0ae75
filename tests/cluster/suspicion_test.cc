// What a cluster does about nodes that fall silent. The election timeout is ten minutes here:
// nothing can be waited for that long, so whatever happens, happens by suspicion.
#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;

namespace {

Environment no_election_by_timeout() {
  return {{"BIBD_CLUSTER_RAFT_HEARTBEAT_TIMEOUT", "1s"},
          {"BIBD_CLUSTER_RAFT_ELECTION_TIMEOUT", "10m"},
          {"BIBD_LOG_SEGMENT_BYTES", "1MiB"}};
}

cli::ClientOptions patient_client(const Cluster& cluster) {
  cli::ClientOptions options;
  options.servers = cluster.servers();
  options.timeout = 60s;
  options.try_timeout = 60s;  // it must notice by itself
  return options;
}

void write(cli::Client& client, const std::string& value) {
  const cli::Completion done = client.call(wire::CommandBody(wire::SetConfig{"key", value}));
  INFO((done.reply ? std::string("ok") : done.reply.error().message));
  REQUIRE(done.reply);
}

std::size_t node_of(const Cluster& cluster, wire::NodeId id) {
  for (std::size_t node = 0; node < cluster.size(); ++node) {
    const auto seen = cluster.view(node);
    if (seen && seen->node == id) return node;
  }
  return cluster.size();
}

bool follows(const Cluster& cluster, std::size_t node, std::size_t leader) {
  const auto seen = cluster.view(node);
  const auto leading = cluster.view(leader);
  return seen && leading && leading->role == "leader" && seen->leader == leading->node &&
         seen->applied == leading->applied;
}

}  // namespace

TEST_CASE("a client continues at once when the leader is killed") {
  Cluster cluster(no_election_by_timeout());
  cluster.form(3);
  cli::Client client(patient_client(cluster));
  for (int round = 0; round < 5; ++round) {
    write(client, "before " + std::to_string(round));
    const std::size_t leader = node_of(cluster, client.server()->node);
    REQUIRE(leader < cluster.size());
    cluster.kill_9(leader);
    write(client, "after " + std::to_string(round));
    cluster.start(leader);
    REQUIRE(support::wait_until([&] { return cluster.converged(); }, 30s));
  }
}

TEST_CASE("a leader that hangs without closing anything is replaced, and follows when it wakes") {
  Cluster cluster(no_election_by_timeout());
  cluster.form(3);
  cli::Client client(patient_client(cluster));
  for (int round = 0; round < 3; ++round) {
    write(client, "before " + std::to_string(round));
    const wire::NodeId hanging = client.server()->node;
    const std::size_t leader = node_of(cluster, hanging);
    REQUIRE(leader < cluster.size());
    cluster.process(leader).signal(SIGSTOP);
    write(client, "after " + std::to_string(round));
    CHECK(client.server()->node != hanging);
    cluster.process(leader).signal(SIGCONT);
    const std::size_t next = node_of(cluster, client.server()->node);
    REQUIRE(support::wait_until([&] { return follows(cluster, leader, next); }, 30s));
  }
}

TEST_CASE("a leader that is cut off from the others is replaced, although clients still reach it") {
  Cluster cluster(no_election_by_timeout());
  cluster.use_proxy();
  cluster.form(3);
  cli::Client client(patient_client(cluster));
  write(client, "before");
  const wire::NodeId alone = client.server()->node;
  const std::size_t leader = node_of(cluster, alone);
  cluster.proxy().isolate(alone);
  write(client, "after");
  CHECK(client.server()->node != alone);
  // It still believes it leads, but a client that knows better is not led astray.
  write(client, "more");
  CHECK(client.server()->node != alone);
  cluster.proxy().mend_all();
  const std::size_t next = node_of(cluster, client.server()->node);
  REQUIRE(support::wait_until([&] { return follows(cluster, leader, next); }, 30s));
  REQUIRE(support::wait_until([&] { return cluster.converged(); }, 30s));
}

TEST_CASE("a follower that is cut off and comes back changes neither leader nor term") {
  Cluster cluster(no_election_by_timeout());
  cluster.use_proxy();
  cluster.form(3);
  const auto leader = cluster.leader();
  REQUIRE(leader);
  const auto before = cluster.view(*leader);
  REQUIRE(before);
  cli::Client client(patient_client(cluster));
  for (std::size_t round = 0; round < 6; ++round) {
    const std::size_t follower = (*leader + 1 + round % 2) % 3;
    const wire::NodeId id = cluster.id(follower);
    // Every third time only its line to the leader is cut: the other follower still hears both.
    if (round % 3 == 2) {
      cluster.proxy().cut(id, before->node);
    } else {
      cluster.proxy().isolate(id);
    }
    // It has lost sight of its leader, and asks the others for their votes.
    REQUIRE(support::wait_until(
        [&] {
          const auto seen = cluster.view(follower);
          return seen && seen->leader == wire::NodeId();
        },
        30s));
    write(client, "without " + std::to_string(follower));
    cluster.proxy().mend_all();
    REQUIRE(support::wait_until([&] { return follows(cluster, follower, *leader); }, 30s));
  }
  const auto after = cluster.view(*leader);
  REQUIRE(after);
  CHECK(after->role == "leader");
  CHECK(after->term == before->term);
}

TEST_CASE("who waits in vain for a majority that hangs is told so, and ends with 7") {
  Cluster cluster(no_election_by_timeout());
  cluster.form(3);
  const std::size_t leader = leader_of(cluster);
  for (std::size_t node = 0; node < 3; ++node) {
    if (node != leader) cluster.process(node).signal(SIGSTOP);
  }
  // Long enough for four probes, and too short for the connections to be given up.
  const Finished write = cluster.bib({"--timeout", "1s", "config", "set", "k", "v"});
  INFO(write.err);
  CHECK(write.exit_code == 7);
  CHECK(write.err.find("the leader reaches 1 of 3 voters and needs 2") != std::string::npos);
  const Finished status = cluster.bib({"--timeout", "2s", "cluster", "status"});
  CHECK(status.exit_code == 7);
  CHECK(status.out.find("NO QUORUM: 1 of 3 voters healthy") != std::string::npos);
  for (std::size_t node = 0; node < 3; ++node) {
    if (node != leader) cluster.process(node).signal(SIGCONT);
  }
  CHECK(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
}
