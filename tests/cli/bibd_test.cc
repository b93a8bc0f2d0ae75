// bibd's command line, and the configuration as the engine gets it.
#include <catch2/catch.hpp>

#include "cli/bibd/bibd_command.h"
#include "cli/bibd/bibd_config.h"
#include "cli/config/cluster_token.h"
#include "cli/config/config_file.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::cli;

TEST_CASE("the file's defaults are the engine's defaults") {
  engine::NodeConfig from_file = to_node_config(Config());
  engine::NodeConfig defaults;
  REQUIRE(from_file.enabled == defaults.enabled);
  REQUIRE(from_file.cluster_name == defaults.cluster_name);
  REQUIRE(from_file.listen_addr == defaults.listen_addr);
  REQUIRE(from_file.api_listen_addr == defaults.api_listen_addr);
  REQUIRE(from_file.is_voter == defaults.is_voter);
  REQUIRE(from_file.bootstrap == defaults.bootstrap);
  REQUIRE(from_file.raft.heartbeat_timeout_ms == defaults.raft.heartbeat_timeout_ms);
  REQUIRE(from_file.raft.election_timeout_ms == defaults.raft.election_timeout_ms);
  REQUIRE(from_file.raft.commit_timeout_ms == defaults.raft.commit_timeout_ms);
  REQUIRE(from_file.raft.probe_interval_ms == defaults.raft.probe_interval_ms);
  REQUIRE(from_file.raft.disk_stall_timeout_ms == defaults.raft.disk_stall_timeout_ms);
  REQUIRE(from_file.raft.max_append_entries == defaults.raft.max_append_entries);
  REQUIRE(from_file.raft.max_inflight == defaults.raft.max_inflight);
  REQUIRE(from_file.raft.trailing_logs == defaults.raft.trailing_logs);
  REQUIRE(from_file.snapshot.interval_ms == defaults.snapshot.interval_ms);
  REQUIRE(from_file.snapshot.threshold == defaults.snapshot.threshold);
  REQUIRE(from_file.snapshot.retain_count == defaults.snapshot.retain_count);
  REQUIRE(from_file.log.segment_bytes == defaults.log.segment_bytes);
  REQUIRE(from_file.log.cache_bytes == defaults.log.cache_bytes);
  REQUIRE(from_file.limits.client_connections == defaults.limits.client_connections);
  REQUIRE(from_file.limits.requests_in_flight == defaults.limits.requests_in_flight);
  REQUIRE(from_file.limits.uncommitted_bytes == defaults.limits.uncommitted_bytes);
  REQUIRE(from_file.limits.session_retention_ms == defaults.limits.session_retention_ms);
  REQUIRE(from_file.limits.sessions_max == defaults.limits.sessions_max);
  REQUIRE(from_file.log_level == defaults.log_level);
}

TEST_CASE("a node that is no member of a cluster founds its own") {
  Config config;
  CHECK_FALSE(to_node_config(config).bootstrap);
  config.enabled = false;
  CHECK(to_node_config(config).bootstrap);
}

TEST_CASE("a founder gets the secret of its token, a joining node the whole token") {
  Config config;
  config.join_token = make_token("c", "127.0.0.1:4002", 60000).text;
  REQUIRE(to_node_config(config).join_token == config.join_token);
  config.bootstrap = true;
  auto token = wire::decode_join_token(config.join_token);
  REQUIRE(to_node_config(config).join_token == token->token);
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
  REQUIRE(start.config.api_socket == "/x/bibd.sock");

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
