// The table of keys, the configuration that follows from it, and what its values must be to each
// other.
#include <catch2/catch.hpp>
#include <set>

#include "wire/config/config_key.h"
#include "wire/config/node_config.h"
#include "wire/peer/join_token.h"

using namespace bib::wire;
using Catch::Matchers::Contains;

namespace {

bool is_number(const ConfigKey& key) {
  return key.kind == ValueKind::kDuration || key.kind == ValueKind::kSize ||
         key.kind == ValueKind::kCount;
}

// Beside each other no two values of it are wrong.
NodeConfig valid() {
  NodeConfig config;
  config.node_id = NodeId(1);
  config.data_dir = "/data";
  return config;
}

std::string refusal(const NodeConfig& config) {
  const Status status = validate(config);
  REQUIRE_FALSE(status);
  CHECK(status.error().code == ErrorCode::kConfig);
  return status.error().message;
}

// Another value than the default that the key may have.
ConfigValue other_value(const ConfigKey& key) {
  const ConfigValue preset = value_of(NodeConfig(), key);
  if (is_number(key)) return std::get<std::uint64_t>(preset) == key.max ? key.min : key.max;
  switch (key.kind) {
    case ValueKind::kBool:
      return !std::get<bool>(preset);
    case ValueKind::kNodeId:
      return std::string("00000000000000ff");
    case ValueKind::kAddress:
      return std::string("127.0.0.1:1");
    case ValueKind::kAddressList:
      return std::vector<std::string>{"127.0.0.1:1"};
    case ValueKind::kLogLevel:
      return std::string(kLogLevels.back());
    case ValueKind::kJoinToken:
      return encode_join_token({"c", "127.0.0.1:1", "secret", 0});
    default:
      return std::string("/other");
  }
}

}  // namespace

TEST_CASE("each key has a place of its own, and sets nothing else") {
  std::set<std::string> names;
  for (const ConfigKey& key : config_keys()) {
    CAPTURE(key.name);
    CHECK(find_config_key(key.name) == &key);
    CHECK(names.insert(environment_name(key)).second);
    const ConfigValue other = other_value(key);
    REQUIRE(check_value(key, other));
    NodeConfig config;
    set_value(config, key, other);
    CHECK((config != NodeConfig()) == key.has_effect());
    for (const ConfigKey& each : config_keys()) {
      const bool is_set = &each == &key && key.has_effect();
      CHECK((value_of(config, each) == (is_set ? other : value_of(NodeConfig(), each))));
    }
  }
}

TEST_CASE("a number is taken at both ends of its range and refused beyond them") {
  for (const ConfigKey& key : config_keys()) {
    if (!is_number(key)) continue;
    CAPTURE(key.name);
    CHECK(check_value(key, key.min));
    CHECK(check_value(key, key.max));
    const Status above = check_value(key, key.max + 1);
    REQUIRE_FALSE(above);
    CHECK_THAT(above.error().message, Contains("is out of range") && Contains(allowed_text(key)));
    if (key.min > 0) CHECK_FALSE(check_value(key, key.min - 1));
  }
}

TEST_CASE(
    "a configuration that was filled in by hand is checked by the table, and says which key") {
  CHECK(validate(valid()));
  NodeConfig config = valid();
  config.node_id = NodeId();
  CHECK_THAT(refusal(config), Contains("cluster.node_id: is missing"));
  config = valid();
  config.data_dir.clear();
  CHECK_THAT(refusal(config), Contains("cluster.data_dir: is empty"));
  config = valid();
  config.raft.max_inflight = 0;
  CHECK_THAT(refusal(config), Contains("cluster.raft.max_inflight: '0' is out of range"));
  config = valid();
  config.cluster_name.clear();
  CHECK_THAT(refusal(config), Contains("cluster.cluster_name: "));
  config = valid();
  config.log_level = "loud";
  CHECK_THAT(refusal(config), Contains("log_level: 'loud' is not a log level: debug"));
  config = valid();
  config.listen_addr = "nowhere";
  CHECK_THAT(refusal(config), Contains("cluster.listen_addr: "));
  config = valid();
  config.join_addrs = {"127.0.0.1:4002", "nowhere"};
  CHECK_THAT(refusal(config), Contains("cluster.join_addrs: "));
  config = valid();
  config.join_token = "abc";
  CHECK_THAT(refusal(config), Contains("cluster.join_token: "));
}

TEST_CASE("values that do not fit together are all named, the one to blame first") {
  NodeConfig config = valid();
  config.raft.election_timeout_ms = config.raft.heartbeat_timeout_ms;
  config.snapshot.bytes_min = config.snapshot.bytes_max + 1;
  config.listen_addr = "0.0.0.0:4002";
  config.api_listen_addr = config.listen_addr;
  config.api_advertise_addr = "[::]:1";
  std::vector<std::vector<std::string_view>> keys;
  for (const ConfigMismatch& mismatch : mismatches(config)) keys.push_back(mismatch.keys);
  CHECK(keys == std::vector<std::vector<std::string_view>>{
                    {"cluster.raft.election_timeout", "cluster.raft.heartbeat_timeout"},
                    {"cluster.snapshot.bytes_min", "cluster.snapshot.bytes_max"},
                    {"cluster.listen_addr", "cluster.advertise_addr"},
                    {"cluster.listen_addr", "insecure"},
                    {"api.advertise_addr"},
                    {"api.listen_addr", "insecure"},
                    {"api.listen_addr", "cluster.listen_addr"}});
  for (const auto& named : keys) {
    for (const std::string_view key : named) CHECK(find_config_key(key) != nullptr);
  }
  CHECK_THAT(refusal(config), Contains("cluster.raft.election_timeout: is 1s, which is not above"));
}

TEST_CASE("two listeners may both ask for a free port") {
  NodeConfig config = valid();
  config.listen_addr = "127.0.0.1:0";
  config.api_listen_addr = "127.0.0.1:0";
  CHECK(validate(config));
}
