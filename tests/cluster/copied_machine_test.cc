// A member's directory, copied and started beside the original: the copy is refused and ends, both
// addresses are named, and the member goes on. And what a new node says that asks in vain.
#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>

#include "steps.h"
#include "wire/peer/join_token.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

void write(const Cluster& cluster, const std::string& value) {
  const Finished result = cluster.bib({"--timeout", "20s", "config", "set", "k", value});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
}

void require_healthy(const Cluster& cluster) {
  REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
}

std::string raft_address(const Cluster& cluster, std::size_t node) {
  return "127.0.0.1:" + std::to_string(cluster.raft_port(node));
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

// A copy of a node's machine that is stopped: its directory and its configuration, with addresses
// of its own.
class Copy {
 public:
  Copy(const Cluster& cluster, std::size_t node) : address_(address_of_free_port()) {
    fs::copy(cluster.data(node), scratch_ / "data", fs::copy_options::recursive);
    text_ = support::read_file(cluster.config(node));
    replace_all(text_, cluster.data(node).string(), (scratch_ / "data").string());
    replace_all(text_, raft_address(cluster, node), address_);
    replace_all(text_, cluster.api(node), address_of_free_port());
  }
  const std::string& address() const { return address_; }
  void start(Environment environment = quick_timeouts()) {
    support::write_file(scratch_ / "config.yaml", text_);
    process_ =
        std::make_unique<Process>(std::vector<std::string>{program("BIB_BIBD"), "--config",
                                                           (scratch_ / "config.yaml").string()},
                                  environment, scratch_ / "log");
  }
  Process& process() { return *process_; }
  std::string log() const { return support::read_file(scratch_ / "log"); }

 private:
  static std::string address_of_free_port() { return "127.0.0.1:" + std::to_string(free_port()); }

  support::TempDir scratch_;
  std::string address_;
  std::string text_;
  std::unique_ptr<Process> process_;
};

std::size_t lines_of(const std::string& log) {
  return count_of(log, "\n");
}

// The copy ends, has said where both are, and so has each of the other nodes, once.
void check_refused(Cluster& cluster, std::size_t original, Copy& copy) {
  REQUIRE(copy.process().wait(30s) == 10);
  CHECK_THAT(copy.log(), Contains("runs twice: one answers at " + raft_address(cluster, original)));
  require_healthy(cluster);
  for (std::size_t node = 0; node < cluster.size(); ++node) {
    if (node == original) continue;
    const std::string log = cluster.node_log(node);
    INFO(log);
    CHECK(count_of(log, "runs twice: one answers at " + raft_address(cluster, original)) == 1);
    CHECK(lines_of(log) < 300);
  }
  CHECK(cluster.process(original).is_running());
  write(cluster, "2");
}

}  // namespace

TEST_CASE("a copy of a follower's machine is refused and ends, and the follower stays") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t node = (leader_of(cluster) + 1) % 3;
  write(cluster, "1");
  stop(cluster, node);
  Copy copy(cluster, node);
  cluster.start(node);
  require_healthy(cluster);
  SECTION("under another address") {
    copy.start();
    check_refused(cluster, node, copy);
    CHECK_THAT(copy.log(), Contains("greets from " + copy.address()));
  }
  SECTION("which says that it is reached at the original's") {
    Environment environment = quick_timeouts();
    environment["BIBD_CLUSTER_ADVERTISE_ADDR"] = raft_address(cluster, node);
    copy.start(environment);
    check_refused(cluster, node, copy);
    CHECK_THAT(copy.log(), Contains("dials from 127.0.0.1"));
  }
}

TEST_CASE("a copy of the leader's machine is refused and ends, and the leader goes on to lead") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  write(cluster, "1");
  const std::size_t node = (leader_of(cluster) + 1) % 3;
  stop(cluster, node);
  Copy copy(cluster, node);
  cluster.start(node);
  require_healthy(cluster);
  const std::string id = to_string(cluster.id(node));
  REQUIRE(cluster.bib({"--timeout", "20s", "cluster", "transfer", id}).exit_code == 0);
  REQUIRE(leader_of(cluster) == node);
  const wire::Term term = cluster.view(node)->term;
  copy.start();
  check_refused(cluster, node, copy);
  CHECK(cluster.view(leader_of(cluster))->term == term);
}

// The members cannot reach it: they dial the address that they know.
TEST_CASE("a copy that was started while the original was down ends when the original is back") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  write(cluster, "1");
  const std::size_t node = (leader_of(cluster) + 1) % 3;
  stop(cluster, node);
  Copy copy(cluster, node);
  copy.start();
  REQUIRE(support::wait_until([&] { return count_of(copy.log(), "connected to") >= 2; }, 20s));
  write(cluster, "2");
  CHECK(copy.process().is_running());
  cluster.start(node);
  check_refused(cluster, node, copy);
}

TEST_CASE("a new node that asks in vain says what is wrong with the address that it has") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  const int silent_port = free_port();
  const TakenPort silent(silent_port);
  wire::JoinToken token = wire::decode_join_token(cluster.token()).value();
  const std::string host = "127.0.0.1:";
  std::string expected;
  SECTION("nobody listens there") {
    token.leader_addr = host + std::to_string(free_port());
    expected = "connection refused";
  }
  SECTION("what listens there says nothing") {
    token.leader_addr = host + std::to_string(silent_port);
    expected = "there is no answer yet";
  }
  SECTION("it is the member's address for clients") {
    token.leader_addr = cluster.api(0);
    expected = "other nodes reach it at " + raft_address(cluster, 0);
  }
  const std::size_t node = cluster.add_node({"--cluster-join", wire::encode_join_token(token)});
  cluster.start(node);
  REQUIRE(support::wait_until(
      [&] {
        const std::string log = cluster.node_log(node);
        return log.find("asking " + token.leader_addr + " to let this node join: ") !=
                   std::string::npos &&
               log.find(expected) != std::string::npos;
      },
      40s));
  CHECK(cluster.process(node).is_running());
  cluster.process(node).signal(SIGTERM);
  CHECK(cluster.process(node).wait(20s) == 0);
}
