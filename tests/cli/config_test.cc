// The configuration file: every default, every mistake with its place, and who wins.
#include <sys/stat.h>
#include <set>

#include <catch2/catch.hpp>
#include <fstream>

#include "cli/config/cluster_token.h"
#include "cli/config/config_file.h"
#include "cli/config/config_text.h"
#include "support/document.h"
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

TEST_CASE("a file with nothing but the node's id gives the defaults") {
  Loaded config(kNodeId);
  REQUIRE(config.problems().empty());
  wire::NodeConfig expected;
  expected.node_id = *wire::parse_node_id("a1b2c3d4e5f60718");
  expected.data_dir = "/home/someone/.local/share/bibd";
  REQUIRE(config.loaded.config == expected);
}

TEST_CASE("every key can be set in the file, and every value that the file spells is read back") {
  NewToken token = make_token("other-name", "10.1.2.3:4002", 1000);
  wire::NodeConfig config;
  for (const wire::ConfigKey& key : wire::config_keys()) {
    CAPTURE(key.name);
    std::string text;
    switch (key.kind) {
      case wire::ValueKind::kBool:
        text = value_text(wire::NodeConfig(), key) == "true" ? "false" : "true";
        break;
      case wire::ValueKind::kClusterName:
        text = "other \"quoted\" \\ name";
        break;
      case wire::ValueKind::kJoinToken:
        text = token.text;
        break;
      case wire::ValueKind::kNodeId:
        text = "0000000000000001";
        break;
      case wire::ValueKind::kPath:
        text = "/some where/else";
        break;
      case wire::ValueKind::kAddress:
        // Distinct ports, and the wildcard rules of listening do not matter to loopback.
        text = fmt::format("[::1]:{}", 5000 + (&key - wire::config_keys().data()));
        break;
      case wire::ValueKind::kAddressList:
        text = "10.0.0.1:4002,10.0.0.2:4002";
        break;
      case wire::ValueKind::kDuration:
        text =
            wire::format_duration(key.name == "cluster.raft.election_timeout" ? key.max : key.min);
        break;
      case wire::ValueKind::kSize:
        text = wire::format_size(key.min + 1);
        break;
      case wire::ValueKind::kCount:
        text = std::to_string(key.min + 1);
        break;
      case wire::ValueKind::kLogLevel:
        text = "debug";
        break;
    }
    auto status = set_from_text(config, key, text, "/home/someone");
    CAPTURE(status ? "" : status.error().message);
    REQUIRE(status);
    // What has no effect is checked and not kept.
    REQUIRE(value_text(config, key) ==
            (key.has_effect() ? text : value_text(wire::NodeConfig(), key)));
    REQUIRE(text != value_text(wire::NodeConfig(), key));
  }
  Loaded read(render_config(config));
  CAPTURE(render_config(config), read.problems());
  REQUIRE(read.problems().empty());
  REQUIRE(read.loaded.config == config);
  REQUIRE(read.loaded.warnings.empty());
}

TEST_CASE("a key without effect is accepted, and warned of where something is wanted of it") {
  std::size_t keys = 0;
  for (const wire::ConfigKey& key : wire::config_keys()) {
    if (key.has_effect()) continue;
    ++keys;
    CAPTURE(key.name);
    REQUIRE(key.kind == wire::ValueKind::kBool);
    REQUIRE(key.help.find("No effect yet") == 0);
    const std::string variable = environment_name(key);
    const std::string preset = value_text(wire::NodeConfig(), key);
    const std::string other = preset == "true" ? "false" : "true";
    REQUIRE(Loaded(kNodeId, {{variable, preset}}).loaded.warnings.empty());
    REQUIRE(Loaded(kNodeId, {{variable, "maybe"}}).problems().size() == 1);
    const Loaded wanted(kNodeId, {{variable, other}});
    REQUIRE(wanted.problems().empty());
    REQUIRE(wanted.loaded.warnings ==
            std::vector<std::string>{fmt::format("{}: {}", key.name, key.help)});
  }
  REQUIRE(keys == 1);  // cluster.enable_dht_discovery
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
  for (const wire::ConfigKey& key : wire::config_keys()) {
    CAPTURE(key.name);
    REQUIRE(names.insert(environment_name(key)).second);
  }
  REQUIRE(environment_name(*wire::find_config_key("cluster.raft.election_timeout")) ==
          "BIBD_CLUSTER_RAFT_ELECTION_TIMEOUT");
  Loaded config(kNodeId, {{"BIBD_CLUSTER_RAFT_ELECTION_TIMEOUT", "2s"},
                          {"BIBD_CLUSTER_JOIN_ADDRS", "10.0.0.1:4002, 10.0.0.2:4002"}});
  REQUIRE(config.problems().empty());
  REQUIRE(config.loaded.config.raft.election_timeout_ms == 2000);
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
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(dir / "new/folder")) {
    ++files;
  }
  REQUIRE(files == 1);
}

TEST_CASE("the document's tables are the table of keys: names, defaults, ranges, meanings") {
  std::vector<std::string> expected;
  for (const wire::ConfigKey& key : wire::config_keys()) {
    const std::string value = value_text(wire::NodeConfig(), key);
    expected.push_back(fmt::format("| `{}` | {} | {} | {} | `{}` |", key.name,
                                   value.empty() ? "" : "`" + value + "`", allowed_text(key),
                                   key.help, environment_name(key)));
  }
  std::vector<std::string> rows;
  for (const std::string& line : support::document_lines("docs/configuration.md")) {
    if (line.rfind("| `", 0) == 0) rows.push_back(line);
  }
  CHECK(rows == expected);
}
