// bib setup: what it writes, what it prints, and what it refuses.
#include <catch2/catch.hpp>
#include <regex>

#include "cli/config/cluster_token.h"
#include "cli/config/config_file.h"
#include "cli/config/setup_plan.h"
#include "run.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::cli;
using bib::test::Session;

namespace {

wire::Result<std::string> this_machine() {
  return std::string("192.0.2.7");
}

wire::NodeConfig load(const std::string& path, const Environment& environment) {
  ConfigSources sources;
  sources.path = path;
  sources.must_exist = true;
  LoadedConfig loaded = load_config(sources, environment);
  CAPTURE(config_error(loaded).message);
  REQUIRE(loaded.problems.empty());
  return loaded.config;
}

struct Home {
  std::map<std::string, std::string> variables() const { return {{"HOME", dir.path().string()}}; }
  std::string config() const { return (dir / ".config/bibd/config.yaml").string(); }
  support::TempDir dir;
};

}  // namespace

TEST_CASE("setup of a cluster prints exactly what the documentation shows, and the file is valid") {
  Home home;
  Session session({"setup", "--daemon", "--cluster", "--yes"}, "", home.variables());
  REQUIRE(session.run() == 0);
  std::regex form(
      "✓ Configuration saved to: ~/\\.config/bibd/config\\.yaml\n"
      "\n"
      "=== Cluster Initialized ===\n"
      "Node ID: ([0-9a-f]{16})\n"
      "Cluster Name: bib-cluster\n"
      "\n"
      "Share this join token with other nodes:\n"
      "\n"
      "  ([A-Za-z0-9+/]+=*)\n"
      "\n"
      "To join another node to this cluster, run:\n"
      "  bib setup --daemon --cluster-join <token>\n"
      "\n"
      "NOTE: A minimum of 3 voting nodes is required for HA quorum\\.\n");
  std::string out = session.out();
  CAPTURE(out);
  std::smatch match;
  REQUIRE(std::regex_match(out, match, form));

  wire::NodeConfig config = load(home.config(), Environment(home.variables()));
  REQUIRE(wire::to_string(config.node_id) == match[1]);
  REQUIRE(config.join_token == match[2]);
  REQUIRE(config.enabled);
  REQUIRE(config.bootstrap);
  auto token = read_token(config.join_token);
  REQUIRE(token);
  REQUIRE(token->leader_addr == "127.0.0.1:4002");
  REQUIRE(token->cluster_name == "bib-cluster");
  REQUIRE(token->token.size() == 64);
}

TEST_CASE("setup alone writes a single node, which is no member of a cluster") {
  Home home;
  REQUIRE(Session({"setup", "--daemon"}, "", home.variables()).run() == 0);
  wire::NodeConfig config = load(home.config(), Environment(home.variables()));
  REQUIRE_FALSE(config.enabled);
  REQUIRE(config.bootstrap);
  REQUIRE(config.join_token.empty());
}

TEST_CASE("setup never overwrites a configuration without --force") {
  Home home;
  REQUIRE(Session({"setup", "--daemon"}, "", home.variables()).run() == 0);
  std::string before = support::read_file(home.config());
  Session again({"setup", "--daemon", "--cluster"}, "", home.variables());
  REQUIRE(again.run() == 3);
  REQUIRE(again.err().find("--force") != std::string::npos);
  REQUIRE(again.out().empty());
  REQUIRE(support::read_file(home.config()) == before);
  REQUIRE(Session({"setup", "--daemon", "--force"}, "", home.variables()).run() == 0);
  REQUIRE(support::read_file(home.config()) != before);
}

TEST_CASE("setup does not put a new node on an earlier node's data") {
  Home home;
  std::filesystem::create_directories(home.dir / "data");
  support::write_file(home.dir / "data/log", "x");
  std::string data = (home.dir / "data").string();
  Session session({"setup", "--daemon", "--data-dir", data}, "", home.variables());
  REQUIRE(session.run() == 3);
  REQUIRE_FALSE(std::filesystem::exists(home.config()));
}

TEST_CASE("a node joins with a token from the command line or from standard input") {
  const std::string text = make_token("our-cluster", "10.9.8.7:4002", 60000).text;
  const std::string broken = "  " + text.substr(0, 70) + "\r\n\t " + text.substr(70) + "\n";
  for (const auto& [argument, input] : std::vector<std::pair<std::string, std::string>>{
           {text, ""}, {broken, ""}, {"-", text}, {"-", broken}}) {
    CAPTURE(argument, input);
    Home home;
    Session session({"setup", "--daemon", "--cluster-join", argument, "-o", "json", "--listen",
                     "10.9.8.6:4002", "--insecure"},
                    input, home.variables());
    REQUIRE(session.run() == 0);
    Json data = Json::parse(session.out());
    REQUIRE(data["cluster_name"] == "our-cluster");
    REQUIRE(data["leader_addr"] == "10.9.8.7:4002");
    REQUIRE(data["config"] == home.config());
    wire::NodeConfig config = load(home.config(), Environment(home.variables()));
    REQUIRE(config.join_token == text);
    REQUIRE(config.cluster_name == "our-cluster");
    REQUIRE_FALSE(config.bootstrap);
    // Clients are sent to it from other machines too.
    REQUIRE(config.api_listen_addr == "10.9.8.6:4000");
  }
}

TEST_CASE("a node that others could not dial does not join a cluster of other machines") {
  Home home;
  const std::string text = make_token("our-cluster", "10.9.8.7:4002", 60000).text;
  Session session({"setup", "--daemon", "--cluster-join", text}, "", home.variables());
  REQUIRE(session.run() == 3);
  REQUIRE(session.err().find("the cluster is at 10.9.8.7:4002") != std::string::npos);
  REQUIRE(session.err().find("--listen HOST:PORT --insecure") != std::string::npos);
  REQUIRE_FALSE(std::filesystem::exists(home.config()));
}

TEST_CASE("the address for clients follows the one for nodes, unless another is named") {
  Environment environment(std::map<std::string, std::string>{{"HOME", "/home/someone"}});
  SetupOptions options;
  options.mode = SetupMode::kNewCluster;
  options.insecure = true;
  const auto api_of = [&](const std::string& listen, const std::string& api) {
    options.listen = listen;
    options.api_listen = api;
    const auto plan = plan_setup(options, environment, this_machine);
    REQUIRE(plan);
    return plan->config.api_listen_addr;
  };
  REQUIRE(api_of("", "") == "127.0.0.1:4000");
  REQUIRE(api_of("127.0.0.1:4012", "") == "127.0.0.1:4000");
  REQUIRE(api_of("10.0.0.1:4012", "") == "10.0.0.1:4000");
  REQUIRE(api_of("10.0.0.1:4012", "127.0.0.1:4010") == "127.0.0.1:4010");
}

TEST_CASE("a damaged, cut, or expired token is refused before anything is written") {
  std::string good = make_token("our-cluster", "10.9.8.7:4002", 60000).text;
  wire::JoinToken old = *wire::decode_join_token(good);
  old.expires_at = 1000000;
  std::string flipped = good;
  flipped[flipped.size() / 2] = '!';
  wire::JoinToken named = old;
  named.expires_at = INT64_MAX / 2;
  named.cluster_name = "a\x1b[31m\nb: c";
  wire::JoinToken nowhere = *wire::decode_join_token(good);
  nowhere.leader_addr = "0.0.0.0:4002";
  for (const std::string& text :
       {wire::encode_join_token(named), wire::encode_join_token(nowhere), std::string("nonsense"),
        good.substr(0, good.size() - 9), flipped, std::string(), wire::encode_join_token(old)}) {
    CAPTURE(text);
    Home home;
    Session session({"setup", "--daemon", "--cluster-join", "-"}, text, home.variables());
    REQUIRE(session.run() == 5);
    REQUIRE(session.err().find("token") != std::string::npos);
    REQUIRE_FALSE(std::filesystem::exists(home.config()));
  }
}

TEST_CASE("a wildcard never becomes the address in a token") {
  Environment environment(std::map<std::string, std::string>{{"HOME", "/home/someone"}});
  SetupOptions options;
  options.mode = SetupMode::kNewCluster;
  options.listen = "0.0.0.0:4002";
  options.insecure = true;
  auto plan = plan_setup(options, environment, this_machine);
  REQUIRE(plan);
  REQUIRE(plan->config.listen_addr == "0.0.0.0:4002");
  REQUIRE(plan->config.advertise_addr == "192.0.2.7:4002");
  REQUIRE(read_token(plan->config.join_token)->leader_addr == "192.0.2.7:4002");

  options.advertise = "node1.example:4002";
  plan = plan_setup(options, environment, this_machine);
  REQUIRE(read_token(plan->config.join_token)->leader_addr == "node1.example:4002");

  options.advertise = "[::]:4002";
  REQUIRE_FALSE(plan_setup(options, environment, this_machine));

  options.advertise.clear();
  plan = plan_setup(options, environment, []() -> wire::Result<std::string> {
    return wire::fail(wire::ErrorCode::kNotFound, "no interface is up");
  });
  REQUIRE_FALSE(plan);
  REQUIRE(plan.error().message.find("--advertise") != std::string::npos);
}

TEST_CASE("where all interfaces are listened on, clients dial the host that --advertise names") {
  Environment environment(std::map<std::string, std::string>{{"HOME", "/home/someone"}});
  SetupOptions options;
  options.mode = SetupMode::kNewCluster;
  options.listen = "0.0.0.0:4012";
  options.advertise = "node1.example:4002";
  options.insecure = true;
  auto plan = plan_setup(options, environment, this_machine);
  REQUIRE(plan);
  REQUIRE(plan->config.api_listen_addr == "0.0.0.0:4000");
  REQUIRE(plan->config.api_advertise_addr == "node1.example:4000");

  options.api_advertise = "front.example:80";
  plan = plan_setup(options, environment, this_machine);
  REQUIRE(plan->config.api_advertise_addr == "front.example:80");

  options.api_advertise.clear();
  options.api_listen = "10.0.0.1:4000";  // can be dialled as it is
  plan = plan_setup(options, environment, this_machine);
  REQUIRE(plan->config.api_advertise_addr.empty());
}

TEST_CASE("an address beyond loopback needs --insecure, and the message says why") {
  Home home;
  Session session({"setup", "--daemon", "--cluster", "--listen", "10.0.0.1:4002"}, "",
                  home.variables());
  REQUIRE(session.run() == 3);
  REQUIRE(session.err().find("TLS") != std::string::npos);
  REQUIRE(session.err().find("--insecure") != std::string::npos);
  REQUIRE_FALSE(std::filesystem::exists(home.config()));
}

TEST_CASE("a joining node is told when its address is the cluster's own") {
  Environment environment(std::map<std::string, std::string>{{"HOME", "/home/someone"}});
  SetupOptions options;
  options.mode = SetupMode::kJoin;
  options.join_token = make_token("c", "127.0.0.1:4002", 60000).text;
  auto plan = plan_setup(options, environment, this_machine);
  REQUIRE_FALSE(plan);
  REQUIRE(plan.error().code == wire::ErrorCode::kConfig);
  options.listen = "127.0.0.1:4012";
  REQUIRE(plan_setup(options, environment, this_machine));
  options.cluster_name = "another";
  REQUIRE_FALSE(plan_setup(options, environment, this_machine));
}

TEST_CASE("on a terminal setup asks for what is left open, with the default in brackets") {
  Home home;
  Session session({"setup", "--daemon", "--cluster", "--data-dir", "~/here"},
                  "my-cluster\n\n127.0.0.1:5000\n", home.variables());
  session.context().in_is_terminal = true;
  REQUIRE(session.run() == 0);
  REQUIRE(session.err().find("Cluster name [bib-cluster]: ") != std::string::npos);
  REQUIRE(session.err().find("Data directory") == std::string::npos);  // it was given
  wire::NodeConfig config = load(home.config(), Environment(home.variables()));
  REQUIRE(config.cluster_name == "my-cluster");
  REQUIRE(config.listen_addr == "127.0.0.1:4002");
  REQUIRE(config.api_listen_addr == "127.0.0.1:5000");
  REQUIRE(config.data_dir == (home.dir / "here").string());
}

TEST_CASE("an answer that cannot be used is said to be so at once, and the question comes again") {
  Home home;
  Session session({"setup", "--daemon", "--cluster"},
                  "\n~nobody/data\nrelative/data\nnowhere\n127.0.0.1:70000\n127.0.0.1:5002\n\n",
                  home.variables());
  session.context().in_is_terminal = true;
  INFO(session.err());
  REQUIRE(session.run() == 0);
  const auto times = [&](const std::string& text) {
    std::size_t count = 0;
    const std::string err = session.err();
    for (std::size_t at = err.find(text); at != std::string::npos; at = err.find(text, at + 1)) {
      ++count;
    }
    return count;
  };
  CHECK(times("Data directory [") == 2);
  CHECK(times("Address for other nodes [") == 3);
  CHECK(times("Address for clients [") == 1);
  CHECK(times("'~nobody/data' is not an absolute path") == 1);
  CHECK(times("'nowhere' is not an address") == 1);
  wire::NodeConfig config = load(home.config(), Environment(home.variables()));
  CHECK(config.listen_addr == "127.0.0.1:5002");
  CHECK(config.data_dir == (std::filesystem::current_path() / "relative/data").string());
}

TEST_CASE("when the input ends before the last question nothing is written") {
  Home home;
  Session session({"setup", "--daemon", "--cluster"}, "my-cluster\n", home.variables());
  session.context().in_is_terminal = true;
  REQUIRE(session.run() == 1);
  REQUIRE(session.err().find("nothing was written") != std::string::npos);
  REQUIRE_FALSE(std::filesystem::exists(home.config()));
}

TEST_CASE("without a home directory setup asks for the places, and writes nothing elsewhere") {
  for (const std::map<std::string, std::string>& environment :
       {std::map<std::string, std::string>{}, {{"HOME", ""}}, {{"HOME", "relative"}}}) {
    Session session({"setup", "--daemon", "--yes"}, "", environment);
    CHECK(session.run() == 3);
    CHECK(session.err().find("HOME is not set") != std::string::npos);
    CHECK(session.err().find("--config FILE") != std::string::npos);
    Home home;
    Session without_data({"setup", "--daemon", "--yes", "--config", home.config()}, "",
                         environment);
    CHECK(without_data.run() == 3);
    CHECK(without_data.err().find("--data-dir DIR") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(home.config()));
  }
}

TEST_CASE("an option is no join token") {
  Home home;
  Session session({"setup", "--daemon", "--cluster-join", "--yes"}, "", home.variables());
  CHECK(session.run() == 2);
  CHECK(session.err().find("--cluster-join needs a token") != std::string::npos);
}

TEST_CASE("what does not fit together on setup's command line is a usage error") {
  Home home;
  REQUIRE(Session({"setup"}, "", home.variables()).run() == 2);
  REQUIRE(Session({"setup", "--daemon", "--cluster", "--cluster-join", "x"}, "", home.variables())
              .run() == 2);
  REQUIRE(Session({"setup", "--daemon", "--listen", "nonsense"}, "", home.variables()).run() == 2);
  REQUIRE(Session({"setup", "--daemon", "--node-id", "1"}, "", home.variables()).run() == 2);
  REQUIRE(Session({"setup", "--daemon", "--cluster", "--non-voter"}, "", home.variables()).run() ==
          2);
}
