// bib setup --force: what the replaced configuration says, and the command does not, stays.
#include <catch2/catch.hpp>

#include "cli/config/cluster_token.h"
#include "cli/config/config_file.h"
#include "run.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::cli;
using bib::test::Session;

namespace {

// A node's machine: its home, and the configuration in it.
struct Machine {
  std::map<std::string, std::string> variables() const { return {{"HOME", dir.path().string()}}; }
  std::string path() const { return (dir / ".config/bibd/config.yaml").string(); }

  void write(const std::string& text) const { REQUIRE(write_config_file(path(), text, true)); }
  wire::NodeConfig config() const {
    ConfigSources sources;
    sources.path = path();
    sources.must_exist = true;
    LoadedConfig loaded = load_config(sources, Environment(variables()));
    CAPTURE(config_error(loaded).message);
    REQUIRE(loaded.problems.empty());
    return loaded.config;
  }
  // `bib setup --daemon ARGUMENTS`; its exit code.
  int set_up(std::vector<std::string> arguments, std::map<std::string, std::string> more = {}) {
    arguments.insert(arguments.begin(), {"setup", "--daemon"});
    more.merge(variables());
    Session session(std::move(arguments), "", std::move(more));
    const int code = session.run();
    err = session.err();
    return code;
  }

  support::TempDir dir;
  std::string err;
};

constexpr const char* kText =
    "insecure: true\n"
    "log_level: warn\n"
    "cluster:\n"
    "  node_id: a1b2c3d4e5f60718\n"
    "  cluster_name: our-cluster\n"
    "  data_dir: /var/lib/bibd\n"
    "  listen_addr: 10.0.0.3:4102\n"
    "  advertise_addr: node3.example:4102\n"
    "  is_voter: false\n"
    "  bootstrap: true\n"
    "  join_addrs: [\"10.0.0.2:4002\"]\n"
    "  raft: {election_timeout: 9s}\n"
    "api:\n"
    "  listen_addr: 10.0.0.3:4100\n"
    "  advertise_addr: node3.example:4100\n"
    "limits: {disk_reserve: 1GiB}\n";

std::string token_of(const std::string& cluster) {
  return make_token(cluster, "10.0.0.1:4002", 60000).text;
}

}  // namespace

TEST_CASE("a node that joins again with --force keeps its old configuration, but for its id") {
  Machine machine;
  machine.write(kText);
  const wire::NodeConfig before = machine.config();
  const std::string token = token_of("our-cluster");
  const int code = machine.set_up({"--cluster-join", token, "--force"});
  INFO(machine.err);
  REQUIRE(code == 0);
  CHECK(machine.err.find("stay as they are in ~/.config/bibd/config.yaml") != std::string::npos);

  wire::NodeConfig expected = before;
  const wire::NodeConfig config = machine.config();
  CHECK(config.node_id != before.node_id);
  expected.node_id = config.node_id;
  expected.join_token = token;
  expected.bootstrap = false;
  CHECK(config == expected);
}

TEST_CASE("what is given again replaces what the old configuration says") {
  Machine machine;
  machine.write(kText);
  REQUIRE(machine.set_up({"--cluster-join", token_of("our-cluster"), "--force", "--data-dir",
                          "/srv/bibd", "--listen", "10.0.0.9:4102"}) == 0);
  const wire::NodeConfig config = machine.config();
  CHECK(config.data_dir == "/srv/bibd");
  CHECK(config.listen_addr == "10.0.0.9:4102");
  // The old names belong to the old address.
  CHECK(config.advertise_addr.empty());
  CHECK(config.api_listen_addr == "10.0.0.9:4100");
  CHECK(config.api_advertise_addr.empty());
  CHECK(config.raft.election_timeout_ms == 9000);
}

TEST_CASE("more addresses to try when joining are kept for the same cluster only") {
  for (const bool is_same : {true, false}) {
    Machine machine;
    machine.write(kText);
    REQUIRE(machine.set_up(
                {"--cluster-join", token_of(is_same ? "our-cluster" : "another"), "--force"}) == 0);
    CHECK(machine.config().join_addrs.size() == (is_same ? 1 : 0));
    CHECK(machine.config().cluster_name == (is_same ? "our-cluster" : "another"));
  }
}

TEST_CASE("a variable of the moment does not get into the file that setup writes") {
  Machine machine;
  machine.write(kText);
  REQUIRE(machine.set_up({"--cluster-join", token_of("our-cluster"), "--force"},
                         {{"BIBD_LOG_LEVEL", "debug"}}) == 0);
  CHECK(machine.config().log_level == "warn");
}

TEST_CASE("what cannot be used of the old configuration is named, and replaced all the same") {
  Machine machine;
  machine.write("cluster: {data_dir: /srv/bibd, listen_addr: nowhere}\nlog_level: error\n");
  const int code = machine.set_up({"--cluster", "--force"});
  INFO(machine.err);
  REQUIRE(code == 0);
  CHECK(machine.err.find("cluster.listen_addr: 'nowhere' is not an address") != std::string::npos);
  CHECK(machine.config().data_dir == "/srv/bibd");
  CHECK(machine.config().listen_addr == "127.0.0.1:4002");
  CHECK(machine.config().log_level == "error");

  machine.write("\tnot YAML");
  REQUIRE(machine.set_up({"--cluster", "--force"}) == 0);
  CHECK(machine.config().log_level == "info");
}

TEST_CASE("what was kept and what is given must fit together") {
  Machine machine;
  machine.write(kText);
  const std::string before = support::read_file(machine.path());
  CHECK(machine.set_up({"--cluster-join", token_of("our-cluster"), "--force", "--api-listen",
                        "10.0.0.3:4102"}) == 2);
  CHECK(machine.err.find("are the same") != std::string::npos);
  CHECK(support::read_file(machine.path()) == before);
  machine.write("cluster: {raft: {heartbeat_timeout: 9s}}\n");
  CHECK(machine.set_up({"--cluster", "--force"}) == 3);
  CHECK(machine.err.find("cluster.raft.election_timeout") != std::string::npos);
  CHECK(machine.err.find("nothing was written") != std::string::npos);
}

TEST_CASE("on a terminal setup --force offers the old values") {
  Machine machine;
  machine.write(kText);
  Session session({"setup", "--daemon", "--cluster-join", token_of("our-cluster"), "--force"},
                  "\n\n\n", machine.variables());
  session.context().in_is_terminal = true;
  INFO(session.err());
  REQUIRE(session.run() == 0);
  CHECK(session.err().find("Data directory [/var/lib/bibd]: ") != std::string::npos);
  CHECK(session.err().find("Address for other nodes [10.0.0.3:4102]: ") != std::string::npos);
  CHECK(session.err().find("Address for clients [10.0.0.3:4100]: ") != std::string::npos);
  CHECK(machine.config().listen_addr == "10.0.0.3:4102");
  CHECK(machine.config().advertise_addr == "node3.example:4102");
}
