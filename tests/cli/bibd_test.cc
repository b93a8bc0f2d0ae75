// bibd's command line, and the configuration that the node gets.
#include <catch2/catch.hpp>

#include "cli/bibd/bibd_command.h"
#include "cli/config/config_file.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::cli;

TEST_CASE("a node that is no member of a cluster founds its own") {
  wire::NodeConfig config;
  CHECK_FALSE(config.founds_cluster());
  config.enabled = false;
  CHECK(config.founds_cluster());
}

TEST_CASE("bibd ends with 3 on a wrong configuration, 2 on a wrong option, 0 when asked to check") {
  support::TempDir dir;
  Environment environment({{"HOME", dir.path().string()}});
  std::string path = (dir / "c.yaml").string();

  support::write_file(path, "cluster: {node_id: a1b2c3d4e5f60718, data_dir: /x, bogus: 1}\n");
  BibdStart start = parse_bibd({"--config", path}, environment);
  REQUIRE_FALSE(start.run);
  REQUIRE(start.code == ExitCode::kConfiguration);
  REQUIRE(start.err.find(path + ":1:52: cluster.bogus:") != std::string::npos);

  support::write_file(path,
                      "cluster: {node_id: a1b2c3d4e5f60718, data_dir: /x, bootstrap: true}\n");
  start = parse_bibd({"--config", path, "--check-config"}, environment);
  CAPTURE(start.err);
  REQUIRE_FALSE(start.run);
  REQUIRE(start.code == ExitCode::kOk);
  REQUIRE(start.out.find("is valid") != std::string::npos);

  start = parse_bibd({"--config", path, "--log-level", "debug"}, environment);
  REQUIRE(start.run);
  REQUIRE(start.config.log_level == "debug");
  REQUIRE(start.config.data_dir == "/x");
  REQUIRE(start.config.socket_path() == "/x/bibd.sock");

  start = parse_bibd({"--bogus"}, environment);
  REQUIRE(start.code == ExitCode::kUsage);
  start = parse_bibd({"--version"}, environment);
  REQUIRE(start.code == ExitCode::kOk);
  REQUIRE(start.out.rfind("bibd ", 0) == 0);
}

TEST_CASE("listening beyond loopback needs insecure, from the command line too") {
  support::TempDir dir;
  Environment environment({{"HOME", dir.path().string()}});
  std::string path = (dir / "c.yaml").string();
  support::write_file(path,
                      "cluster:\n  node_id: a1b2c3d4e5f60718\n  bootstrap: true\n"
                      "  listen_addr: 10.0.0.1:4002\n");
  REQUIRE(parse_bibd({"--config", path}, environment).code == ExitCode::kConfiguration);
  BibdStart start = parse_bibd({"--config", path, "--insecure"}, environment);
  CAPTURE(start.err);
  REQUIRE(start.run);
  REQUIRE(start.config.insecure);
}

TEST_CASE("a member that nodes reach and clients do not is warned of, and starts all the same") {
  support::TempDir dir;
  Environment environment({{"HOME", dir.path().string()}});
  std::string path = (dir / "c.yaml").string();
  const auto warnings = [&](const std::string& cluster, const std::string& api,
                            std::vector<std::string> options) {
    support::write_file(path, fmt::format("cluster: {{node_id: a1b2c3d4e5f60718, {}}}\n"
                                          "api: {{{}}}\ninsecure: true\n",
                                          cluster, api));
    options.insert(options.begin(), {"--config", path});
    BibdStart start = parse_bibd(options, environment);
    REQUIRE(start.code == ExitCode::kOk);
    return start.err;
  };
  for (std::vector<std::string> options : {std::vector<std::string>{"--check-config"}, {}}) {
    const std::string said = warnings("listen_addr: \"10.0.0.1:4002\"", "", options);
    CAPTURE(said);
    REQUIRE(said.find("warning: api.listen_addr: 127.0.0.1:4000") != std::string::npos);
    REQUIRE(said.find("10.0.0.1:4002") != std::string::npos);
  }
  REQUIRE(warnings("listen_addr: \"10.0.0.1:4002\"",
                   "listen_addr: \"10.0.0.1:4000\", advertise_addr: \"127.0.0.1:4000\"", {})
              .find("warning: api.advertise_addr: 127.0.0.1:4000") != std::string::npos);
  REQUIRE(warnings("listen_addr: \"10.0.0.1:4002\"", "listen_addr: \"10.0.0.1:4000\"", {}).empty());
  REQUIRE(warnings("listen_addr: \"127.0.0.1:4002\"", "", {}).empty());
  REQUIRE(warnings("listen_addr: \"10.0.0.1:4002\", enabled: false", "", {}).empty());
}
