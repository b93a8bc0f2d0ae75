// The configuration file: every default, every mistake with its place, and who wins.
#include <sys/stat.h>
#include <set>

#include <catch2/catch.hpp>
#include <fstream>

#include "cli/config/cluster_token.h"
#include "cli/config/config_file.h"
#include "support/test_support.h"
#include "wire/base/units.h"

using namespace bib;
using namespace bib::cli;

namespace {

constexpr const char* kNodeId = "cluster:\n  node_id: a1b2c3d4e5f60718\n";

struct Loaded {
  explicit Loaded(const std::string& text, std::map<std::string, std::string> variables = {},
                  std::vector<ConfigOverride> overrides = {}) {
    path = (dir / "config.yaml").string();
    support::write_file(path, text);
    variables.emplace("HOME", "/home/someone");
    ConfigSources sources;
    sources.path = path;
    sources.must_exist = true;
    sources.overrides = std::move(overrides);
    loaded = load_config(sources, Environment(variables));
  }
  // "12:5 cluster.enabled: message" of each problem.
  std::vector<std::string> problems() const {
    std::vector<std::string> lines;
    for (const ConfigProblem& problem : loaded.problems) {
      std::string place = problem.place;
      if (place.rfind(path, 0) == 0) place = place.substr(path.size());
      lines.push_back(fmt::format("{} {}: {}", place, problem.key, problem.message));
    }
    return lines;
  }

  support::TempDir dir;
  std::string path;
  LoadedConfig loaded;
};

}  // namespace

TEST_CASE("a file with nothing but the node's id gives the documented defaults") {
  Loaded config(kNodeId);
  REQUIRE(config.problems().empty());
  Config expected;
  expected.node_id = "a1b2c3d4e5f60718";
  expected.data_dir = "/home/someone/.local/share/bibd";
  REQUIRE(config.loaded.config == expected);

  const std::map<std::string, std::string> defaults = {
      {"cluster.cluster_name", "bib-cluster"},
      {"cluster.listen_addr", "127.0.0.1:4002"},
      {"cluster.is_voter", "true"},
      {"cluster.bootstrap", "false"},
      {"cluster.raft.heartbeat_timeout", "1s"},
      {"cluster.raft.election_timeout", "5s"},
      {"cluster.raft.commit_timeout", "50ms"},
      {"cluster.raft.probe_interval", "100ms"},
      {"cluster.raft.disk_stall_timeout", "500ms"},
      {"cluster.raft.max_append_entries", "64"},
      {"cluster.raft.trailing_logs", "10000"},
      {"cluster.raft.max_inflight", "256"},
      {"cluster.snapshot.interval", "30m"},
      {"cluster.snapshot.threshold", "8192"},
      {"cluster.snapshot.retain_count", "3"},
      {"api.listen_addr", "127.0.0.1:4000"},
      {"log.segment_bytes", "64MiB"},
  };
  for (const auto& [name, value] : defaults) {
    CAPTURE(name);
    REQUIRE(value_text(config.loaded.config, *find_config_key(name)) == value);
  }
}

TEST_CASE("every key can be set in the file, and every value that the file spells is read back") {
  NewToken token = make_token("other-name", "10.1.2.3:4002", 1000);
  Config config;
  for (const ConfigKey& key : config_keys()) {
    CAPTURE(key.name);
    std::string text;
    switch (key.kind) {
      case ValueKind::kBool:
        text = value_text(Config(), key) == "true" ? "false" : "true";
        break;
      case ValueKind::kClusterName:
        text = "other \"quoted\" \\ name";
        break;
      case ValueKind::kJoinToken:
        text = token.text;
        break;
      case ValueKind::kNodeId:
        text = "0000000000000001";
        break;
      case ValueKind::kPath:
        text = "/some where/else";
        break;
      case ValueKind::kAddress:
        // Distinct ports, and the wildcard rules of listening do not matter to loopback.
        text = fmt::format("[::1]:{}", 5000 + (&key - config_keys().data()));
        break;
      case ValueKind::kAddressList:
        text = "10.0.0.1:4002,10.0.0.2:4002";
        break;
      case ValueKind::kDuration:
        text =
            wire::format_duration(key.name == "cluster.raft.election_timeout" ? key.max : key.min);
        break;
      case ValueKind::kSize:
        text = wire::format_size(key.min + 1);
        break;
      case ValueKind::kCount:
        text = std::to_string(key.min + 1);
        break;
      case ValueKind::kLogLevel:
        text = "debug";
        break;
    }
    auto status = set_from_text(config, key, text, "/home/someone");
    CAPTURE(status ? "" : status.error().message);
    REQUIRE(status);
    REQUIRE(value_text(config, key) == text);
    REQUIRE(value_text(config, key) != value_text(Config(), key));
  }
  Loaded read(render_config(config));
  CAPTURE(render_config(config), read.problems());
  REQUIRE(read.problems().empty());
  REQUIRE(read.loaded.config == config);
  REQUIRE(read.loaded.warnings.size() == 1);
  REQUIRE(read.loaded.warnings[0].find("not available yet") != std::string::npos);
}

TEST_CASE("all mistakes are reported, in the order of the file, not only the first") {
  Loaded config(
      "cluster:\n"
      "  node_id: xyz\n"
      "  raft:\n"
      "    heartbeat: 1s\n"
      "    max_inflight: 0\n"
      "log_level: loud\n",
      {{"BIBD_API_LISTEN_ADDR", "nowhere"}, {"BIBD_CLUSTER_RAFT_ELECTION_TIMOUT", "2s"}});
  std::vector<std::string> problems = config.problems();
  CAPTURE(problems);
  REQUIRE(problems.size() == 6);
  REQUIRE(problems[0].rfind(":2:12 cluster.node_id:", 0) == 0);
  REQUIRE(problems[1].rfind(":4:5 cluster.raft.heartbeat:", 0) == 0);
  REQUIRE(problems[2].rfind(":5:19 cluster.raft.max_inflight:", 0) == 0);
  REQUIRE(problems[3].rfind(":6:12 log_level:", 0) == 0);
  REQUIRE(problems[4].rfind("environment BIBD_API_LISTEN_ADDR api.listen_addr:", 0) == 0);
  REQUIRE(problems[5].find("did you mean BIBD_CLUSTER_RAFT_ELECTION_TIMEOUT") != std::string::npos);
  wire::Error error = config_error(config.loaded);
  REQUIRE(error.code == wire::ErrorCode::kConfig);
  REQUIRE(std::count(error.message.begin(), error.message.end(), '\n') == 5);
}

TEST_CASE("the environment wins over the file, and the command line over both") {
  std::string file = std::string(kNodeId) + "log_level: warn\n";
  REQUIRE(Loaded(file).loaded.config.log_level == "warn");
  REQUIRE(Loaded(file, {{"BIBD_LOG_LEVEL", "error"}}).loaded.config.log_level == "error");
  REQUIRE(Loaded(file, {{"BIBD_LOG_LEVEL", "error"}}, {{"--log-level", "log_level", "debug"}})
              .loaded.config.log_level == "debug");
}

TEST_CASE("every key has its own environment variable, which sets it") {
  std::set<std::string> names;
  for (const ConfigKey& key : config_keys()) {
    CAPTURE(key.name);
    REQUIRE(names.insert(environment_name(key)).second);
  }
  REQUIRE(environment_name(*find_config_key("cluster.raft.election_timeout")) ==
          "BIBD_CLUSTER_RAFT_ELECTION_TIMEOUT");
  Loaded config(kNodeId, {{"BIBD_CLUSTER_RAFT_ELECTION_TIMEOUT", "2s"},
                          {"BIBD_CLUSTER_JOIN_ADDRS", "10.0.0.1:4002, 10.0.0.2:4002"}});
  REQUIRE(config.problems().empty());
  REQUIRE(config.loaded.config.election_timeout == 2000);
  REQUIRE(config.loaded.config.join_addrs ==
          std::vector<std::string>{"10.0.0.1:4002", "10.0.0.2:4002"});
}

TEST_CASE("a file that was named but is not there is an error; the default one may be missing") {
  support::TempDir dir;
  ConfigSources sources;
  sources.path = (dir / "none.yaml").string();
  Environment environment(
      {{"HOME", "/home/someone"}, {"BIBD_CLUSTER_NODE_ID", "a1b2c3d4e5f60718"}});
  REQUIRE(load_config(sources, environment).problems.empty());
  sources.must_exist = true;
  auto problems = load_config(sources, environment).problems;
  REQUIRE(problems.size() == 1);
  REQUIRE(problems[0].message.find("bib setup --daemon") != std::string::npos);
}

TEST_CASE(
    "the places of the configuration and the data follow XDG, where its values are absolute") {
  Environment plain(std::map<std::string, std::string>{{"HOME", "/home/someone"}});
  REQUIRE(plain.config_path() == "/home/someone/.config/bibd/config.yaml");
  REQUIRE(plain.data_dir() == "/home/someone/.local/share/bibd");
  REQUIRE(plain.shown_path(plain.config_path()) == "~/.config/bibd/config.yaml");
  REQUIRE(plain.shown_path("/home/someoneelse/x") == "/home/someoneelse/x");
  Environment xdg(
      {{"HOME", "/home/someone"}, {"XDG_CONFIG_HOME", "/etc/xdg"}, {"XDG_DATA_HOME", "relative"}});
  REQUIRE(xdg.config_path() == "/etc/xdg/bibd/config.yaml");
  REQUIRE(xdg.data_dir() == "/home/someone/.local/share/bibd");
  Environment homeless(std::map<std::string, std::string>{{"HOME", "relative"}});
  REQUIRE(homeless.config_path().empty());
  REQUIRE(homeless.data_dir().empty());
}

TEST_CASE("the file is written for its owner only, never over another one, and leaves no other") {
  support::TempDir dir;
  std::string path = (dir / "new/folder/config.yaml").string();
  REQUIRE(write_config_file(path, "one", false));
  struct stat info {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  REQUIRE((info.st_mode & 0777) == 0600);

  auto again = write_config_file(path, "two", false);
  REQUIRE_FALSE(again);
  REQUIRE(again.error().code == wire::ErrorCode::kConfig);
  REQUIRE(support::read_file(path) == "one");
  REQUIRE(write_config_file(path, "two", true));
  REQUIRE(support::read_file(path) == "two");

  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir / "new/folder"))
    ++files;
  REQUIRE(files == 1);
}

TEST_CASE("the document of the configuration has every key with its variable and its default") {
  std::string document = support::read_file(support::source_dir() / "docs/configuration.md");
  for (const ConfigKey& key : config_keys()) {
    CAPTURE(key.name);
    std::string value = value_text(Config(), key);
    std::string row = fmt::format("| `{}` | {} | {} |", key.name,
                                  value.empty() ? "" : "`" + value + "`", allowed_text(key));
    CAPTURE(row);
    REQUIRE(document.find(row) != std::string::npos);
    REQUIRE(document.find("`" + environment_name(key) + "`") != std::string::npos);
  }
}
