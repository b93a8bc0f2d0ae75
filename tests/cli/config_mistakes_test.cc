// Every kind of mistake in a configuration: where it is, which key it is, what is allowed instead.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "cli/config/config_file.h"
#include "support/test_support.h"
#include "wire/config/config_key.h"

using namespace bib;
using namespace bib::cli;

namespace {

struct Mistake {
  std::string name;
  std::string text;
  std::string place;              // "line:column", or "" for the file as a whole
  std::string key;                // "" where none is to blame
  std::vector<std::string> says;  // what is wrong, and what is allowed
};

// A section of the file with the one line that must be there.
std::string in_cluster(const std::string& lines) {
  return "cluster:\n  node_id: a1b2c3d4e5f60718\n" + lines;
}

const std::vector<Mistake> kMistakes = {
    // ---- keys
    {"an unknown key at the top",
     in_cluster("clustre:\n  node_id: x\n"),
     "3:1",
     "clustre",
     {"is not a key", "did you mean cluster?",
      "allowed here: cluster, api, log, store, limits, insecure, log_level"}},
    {"an unknown key in a section",
     in_cluster("  bogus: 1\n"),
     "3:3",
     "cluster.bogus",
     {"is not a key", "allowed here: enabled, node_id, cluster_name"}},
    {"an unknown key two sections deep",
     in_cluster("  raft:\n    heartbeat: 1s\n"),
     "4:5",
     "cluster.raft.heartbeat",
     {"is not a key", "allowed here: heartbeat_timeout, election_timeout, commit_timeout"}},
    {"a key in the wrong section",
     in_cluster("  log_level: debug\n"),
     "3:3",
     "cluster.log_level",
     {"is not a key", "did you mean log_level?"}},
    {"a key that belongs deeper",
     in_cluster("  election_timeout: 5s\n"),
     "3:3",
     "cluster.election_timeout",
     {"did you mean cluster.raft.election_timeout?"}},
    {"a key with dots",
     "cluster.node_id: a1b2c3d4e5f60718\n",
     "1:1",
     "cluster.node_id",
     {"is not a key", "write it as node_id in the section cluster"}},
    {"a key that is given twice",
     in_cluster("  is_voter: true\n  is_voter: false\n"),
     "4:3",
     "cluster.is_voter",
     {"is given twice; keep one"}},
    {"a section that is given twice",
     in_cluster("  raft:\n    max_inflight: 1\n  raft:\n    max_inflight: 2\n"),
     "5:3",
     "cluster.raft",
     {"is given twice; keep one"}},
    {"a key that is a list",
     in_cluster("? [a, b]\n: 1\n"),
     "3:3",
     "",
     {"a key must be a plain word"}},
    // ---- types
    {"a key without a value",
     in_cluster("  data_dir:\nlog_level: info\n"),
     "3:3",
     "cluster.data_dir",
     {"has no value; give a path, or remove the line"}},
    {"a section where a value belongs",
     in_cluster("  is_voter:\n    yes: 1\n"),
     "4:5",
     "cluster.is_voter",
     {"is a section; give true or false"}},
    {"a list where a value belongs",
     in_cluster("  data_dir: [/a, /b]\n"),
     "3:13",
     "cluster.data_dir",
     {"is a list; give a path"}},
    {"a section without keys",
     in_cluster("  raft:\n    # heartbeat_timeout: 1s\nlog_level: info\n"),
     "3:3",
     "cluster.raft",
     {"has no value; give the keys heartbeat_timeout, election_timeout", "remove the line"}},
    {"the section of the required key without keys",
     "cluster:\nlog_level: info\n",
     "1:1",
     "cluster",
     {"has no value; give the keys enabled, node_id"}},
    {"the required key without a value",
     "cluster:\n  node_id:\n",
     "2:3",
     "cluster.node_id",
     {"has no value; give 16 hex digits"}},
    {"a value where a section belongs",
     in_cluster("  raft: fast\n"),
     "3:9",
     "cluster.raft",
     {"must be a section with the keys heartbeat_timeout, election_timeout"}},
    {"a list where a section belongs",
     in_cluster("api:\n  - listen_addr\n"),
     "4:3",
     "api",
     {"must be a section with the keys listen_addr, advertise_addr, socket"}},
    {"a value where a list belongs",
     in_cluster("  join_addrs: 10.0.0.1:4002\n"),
     "3:15",
     "cluster.join_addrs",
     {"is not a list; give a list of host:port, such as [10.0.0.1:4002]"}},
    {"a section in a list",
     in_cluster("  join_addrs:\n    - 10.0.0.1:4002\n    - {a: b}\n"),
     "5:7",
     "cluster.join_addrs",
     {"give a list of host:port"}},
    {"a wrong address in a list",
     in_cluster("  join_addrs: [10.0.0.1:4002, nowhere]\n"),
     "3:31",
     "cluster.join_addrs",
     {"'nowhere'", "host:port"}},
    {"a file that is a list",
     "- cluster\n",
     "1:1",
     "",
     {"must be a section with the keys cluster, api, log, store, limits, insecure, log_level"}},
    {"a file that is a word", "cluster\n", "1:1", "", {"must be a section"}},
    // ---- truth values, texts, words
    {"a truth value in other words",
     in_cluster("  is_voter: yes\n"),
     "3:13",
     "cluster.is_voter",
     {"'yes' is not a truth value: true or false"}},
    {"a truth value as a number",
     in_cluster("insecure: 1\n"),
     "3:11",
     "insecure",
     {"'1' is not a truth value: true or false"}},
    {"an empty text",
     in_cluster("  cluster_name: \"\"\n"),
     "3:17",
     "cluster.cluster_name",
     {"is empty: 1 to 256 bytes"}},
    {"an unknown log level",
     in_cluster("log_level: loud\n"),
     "3:12",
     "log_level",
     {"'loud' is not a log level: debug, info, warn, error"}},
    {"a misspelt log level",
     in_cluster("log_level: eror\n"),
     "3:12",
     "log_level",
     {"did you mean error?"}},
    {"a relative path",
     in_cluster("  data_dir: data\n"),
     "3:13",
     "cluster.data_dir",
     {"'data' is not an absolute path (/... or ~/...)"}},
    // ---- durations, sizes, counts
    {"a duration without a unit",
     in_cluster("  raft:\n    commit_timeout: 50\n"),
     "4:21",
     "cluster.raft.commit_timeout",
     {"'50' has no unit", "ms, s, m or h"}},
    {"a duration with an unknown unit",
     in_cluster("  snapshot:\n    interval: 2 days\n"),
     "4:15",
     "cluster.snapshot.interval",
     {"the unknown unit ' days'", "ms, s, m or h"}},
    {"a duration with a size's unit",
     in_cluster("  snapshot:\n    interval: 1KiB\n"),
     "4:15",
     "cluster.snapshot.interval",
     {"the unknown unit 'KiB'", "ms, s, m or h"}},
    {"a duration with a fraction",
     in_cluster("  snapshot:\n    interval: 1.5h\n"),
     "4:15",
     "cluster.snapshot.interval",
     {"'1.5h'", "ms, s, m or h"}},
    {"a negative duration",
     in_cluster("  snapshot:\n    interval: -1s\n"),
     "4:15",
     "cluster.snapshot.interval",
     {"'-1s' is not a whole number with a unit: ms, s, m or h"}},
    {"a duration that is too short",
     in_cluster("  raft:\n    heartbeat_timeout: 1ms\n"),
     "4:24",
     "cluster.raft.heartbeat_timeout",
     {"'1ms' is out of range: a duration of "}},
    {"a duration beyond all numbers",
     in_cluster("  snapshot:\n    interval: 99999999999999999999h\n"),
     "4:15",
     "cluster.snapshot.interval",
     {"is too large"}},
    {"a duration whose product overflows",
     in_cluster("  snapshot:\n    interval: 18446744073709551615h\n"),
     "4:15",
     "cluster.snapshot.interval",
     {"is too large"}},
    {"a size in decimal units",
     in_cluster("log:\n  segment_bytes: 64MB\n"),
     "4:18",
     "log.segment_bytes",
     {"the unknown unit 'MB'", "KiB, MiB or GiB"}},
    {"a size that is too small",
     in_cluster("log:\n  segment_bytes: 64\n"),
     "4:18",
     "log.segment_bytes",
     {"'64' is out of range: a size of "}},
    {"a segment larger than the log's format allows",
     in_cluster("log:\n  segment_bytes: 2GiB\n"),
     "4:18",
     "log.segment_bytes",
     {"'2GiB' is out of range: a size of "}},
    {"a count with a unit",
     in_cluster("  raft:\n    max_inflight: 1k\n"),
     "4:19",
     "cluster.raft.max_inflight",
     {"'1k'", "a whole number"}},
    {"a count of none",
     in_cluster("  raft:\n    max_inflight: 0\n"),
     "4:19",
     "cluster.raft.max_inflight",
     {"'0' is out of range: a number of "}},
    {"a count below zero",
     in_cluster("  raft:\n    max_inflight: -1\n"),
     "4:19",
     "cluster.raft.max_inflight",
     {"'-1' is not a whole number", "a number of "}},
    {"a name of a cluster that is no text",
     in_cluster("  cluster_name: \"a\\x1b[31m\"\n"),
     "3:17",
     "cluster.cluster_name",
     {"control character", "1 to 256 bytes of UTF-8"}},
    {"a name of a cluster that is too long",
     in_cluster("  cluster_name: " + std::string(257, 'x') + "\n"),
     "3:17",
     "cluster.cluster_name",
     {"has 257 bytes", "1 to 256 bytes of UTF-8"}},
    {"a count in words",
     in_cluster("limits:\n  sessions_max: many\n"),
     "4:17",
     "limits.sessions_max",
     {"'many' is not a whole number"}},
    // ---- names and addresses
    {"no node id",
     "cluster:\n  cluster_name: c\n",
     "",
     "cluster.node_id",
     {"is missing", "`bib setup --daemon`"}},
    {"an empty file", "", "", "cluster.node_id", {"is missing", "`bib setup --daemon`"}},
    {"a node id of another form",
     "cluster:\n  node_id: node-1\n",
     "2:12",
     "cluster.node_id",
     {"'node-1' is not a node id: 16 hex digits"}},
    {"a node id of zeros",
     "cluster:\n  node_id: \"0000000000000000\"\n",
     "2:12",
     "cluster.node_id",
     {"not all zero"}},
    {"an address without a port",
     in_cluster("  listen_addr: 127.0.0.1\n"),
     "3:16",
     "cluster.listen_addr",
     {"'127.0.0.1'", "host:port"}},
    {"an address with a port beyond all ports",
     in_cluster("api:\n  listen_addr: \"[::1]:70000\"\n"),
     "4:16",
     "api.listen_addr",
     {"'[::1]:70000'", "65535"}},
    {"an IPv6 address without brackets",
     in_cluster("  listen_addr: \"::1:4002\"\n"),
     "3:16",
     "cluster.listen_addr",
     {"put an IPv6 address in brackets", "[::1]:4000"}},
    {"an invalid join token",
     in_cluster("  join_token: abc\n"),
     "3:15",
     "cluster.join_token",
     {"token"}},
    // ---- what must fit together
    {"an election timeout not above the heartbeat",
     in_cluster("  raft:\n    heartbeat_timeout: 2s\n    election_timeout: 2s\n"),
     "5:23",
     "cluster.raft.election_timeout",
     {"is 2s, which is not above cluster.raft.heartbeat_timeout (2s)", "Five times"}},
    {"a heartbeat above the default election timeout",
     in_cluster("  raft:\n    heartbeat_timeout: 6s\n"),
     "4:24",
     "cluster.raft.election_timeout",
     {"is 5s, which is not above cluster.raft.heartbeat_timeout (6s)"}},
    {"an address beyond loopback",
     in_cluster("  listen_addr: 10.0.0.1:4002\n"),
     "3:16",
     "cluster.listen_addr",
     {"beyond loopback", "no TLS", "insecure: true", "--insecure"}},
    {"an API beyond loopback",
     in_cluster("api:\n  listen_addr: 10.0.0.1:4000\n"),
     "4:16",
     "api.listen_addr",
     {"beyond loopback", "insecure: true"}},
    {"a wildcard that nobody can dial",
     in_cluster("  listen_addr: 0.0.0.0:4002\ninsecure: true\n"),
     "3:16",
     "cluster.listen_addr",
     {"every interface", "set cluster.advertise_addr"}},
    {"a wildcard that is advertised",
     in_cluster("  advertise_addr: \"[::]:4002\"\n"),
     "3:19",
     "cluster.advertise_addr",
     {"cannot be dialled", "address of this machine"}},
    {"a wildcard with an invalid advertised address",
     in_cluster("  listen_addr: 0.0.0.0:4002\n  advertise_addr: here\ninsecure: true\n"),
     "4:19",
     "cluster.advertise_addr",
     {"'here'", "host:port"}},
    {"an address beyond loopback, accepted in the wrong words",
     in_cluster("  listen_addr: 10.0.0.1:4002\ninsecure: yes\n"),
     "4:11",
     "insecure",
     {"'yes' is not a truth value"}},
    {"one port for two listeners",
     in_cluster("api:\n  listen_addr: 127.0.0.1:4002\n"),
     "4:16",
     "api.listen_addr",
     {"is the same as cluster.listen_addr", "a port each"}},
    {"a socket's path that is too long",
     in_cluster("api:\n  socket: /" + std::string(107, 's') + "\n"),
     "4:11",
     "api.socket",
     {"is 108 bytes long", "the system takes 107", "set api.socket to a shorter path"}},
    {"a data directory in which the socket's path is too long",
     in_cluster("  data_dir: /" + std::string(97, 'd') + "\n"),
     "3:13",
     "api.socket",
     {"/bibd.sock' is 108 bytes long"}},
    // ---- YAML itself
    {"a tab as indentation", "cluster:\n\tnode_id: a1b2c3d4e5f60718\n", "2:9", "", {"is not YAML"}},
    {"a quote that is not closed",
     in_cluster("  data_dir: \"/x\nlog_level: info\n"),
     "3:13",
     "cluster.data_dir",
     {"begins with a quote that is never closed"}},
    {"a bracket that is not closed", in_cluster("  join_addrs: [a\n"), "4:1", "", {"is not YAML"}},
    {"two documents",
     in_cluster("---\nlog_level: info\n"),
     "4:1",
     "",
     {"a second YAML document begins here"}},
    {"a value that is nested too deep",
     in_cluster("  data_dir: " + std::string(1000, '[') + std::string(1000, ']') + "\n"),
     "3:2013",
     "",
     {"is nested more than", "the configuration has three"}},
};

}  // namespace

TEST_CASE("what a file calls its keys steers no terminal, and a hundred mistakes are enough") {
  support::TempDir dir;
  ConfigSources sources;
  sources.path = (dir / "config.yaml").string();
  std::string text = in_cluster("\"a\\e[31m\\x07\": 1\n");
  for (int i = 0; i < 50'000; ++i) text += "k" + std::to_string(i) + ": 1\n";
  support::write_file(sources.path, text);
  const Environment environment(std::map<std::string, std::string>{{"HOME", "/home/someone"}});
  const LoadedConfig loaded = load_config(sources, environment);
  CHECK(loaded.problems.size() == 50'001);
  const std::string message = config_error(loaded).message;
  CHECK(message.find('\x1b') == std::string::npos);
  CHECK(message.find('\x07') == std::string::npos);
  CHECK(message.find("a\\x1b[31m\\x07: is not a key") != std::string::npos);
  CHECK(message.find("and 49901 more") != std::string::npos);
  CHECK(message.size() < 100'000);
}

TEST_CASE("every mistake in a configuration names its place, its key and what is allowed") {
  support::TempDir dir;
  const std::string path = (dir / "config.yaml").string();
  const Environment environment(std::map<std::string, std::string>{{"HOME", "/home/someone"}});
  ConfigSources sources;
  sources.path = path;
  sources.must_exist = true;
  for (const Mistake& mistake : kMistakes) {
    support::write_file(path, mistake.text);
    const LoadedConfig loaded = load_config(sources, environment);
    INFO(mistake.name << ":\n" << mistake.text << "->\n" << config_error(loaded).message);
    CHECKED_IF(!loaded.problems.empty()) {
      const ConfigProblem& first = loaded.problems.front();
      CHECK(first.place == (mistake.place.empty() ? path : path + ":" + mistake.place));
      CHECK(first.key == mistake.key);
      for (const std::string& text : mistake.says) {
        INFO(text);
        CHECK(first.message.find(text) != std::string::npos);
      }
      if (first.message.find("out of range") != std::string::npos) {
        const wire::ConfigKey& key = *wire::find_config_key(first.key);
        CHECK(first.message.find(allowed_text(key)) != std::string::npos);
      }
    }
    // One mistake is one problem: what stands in the wrong part is not missing, too.
    CHECK(loaded.problems.size() == 1);
  }
}
