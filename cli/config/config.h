// Config: what the configuration file of a node says, as plain values, and the table of its keys.
//
// Owned by whoever loads it; no YAML and no engine here: config_file.h reads and writes the file,
// bibd_config.h makes engine::NodeConfig of it. Durations are milliseconds, sizes bytes.
//
// The table is the one list of keys: reading a file, the environment, the defaults and
// docs/configuration.md all follow it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "wire/base/result.h"

namespace bib::cli {

struct Config {
  bool enabled = true;
  std::string node_id;  // 16 hex digits
  std::string cluster_name = "bib-cluster";
  std::string data_dir;  // never empty after loading
  std::string listen_addr = "127.0.0.1:4002";
  std::string advertise_addr;  // empty: listen_addr
  bool is_voter = true;
  bool bootstrap = false;
  std::string join_token;
  std::vector<std::string> join_addrs;
  bool enable_dht_discovery = false;

  std::uint64_t heartbeat_timeout = 1000;
  std::uint64_t election_timeout = 5000;
  std::uint64_t commit_timeout = 50;
  std::uint64_t probe_interval = 100;
  std::uint64_t disk_stall_timeout = 500;
  std::uint64_t max_append_entries = 64;
  std::uint64_t trailing_logs = 10000;
  std::uint64_t max_inflight = 256;

  std::uint64_t snapshot_interval = 30 * 60 * 1000;
  std::uint64_t snapshot_threshold = 8192;
  std::uint64_t snapshot_retain_count = 3;

  std::string api_listen_addr = "127.0.0.1:4000";
  std::string api_advertise_addr;  // empty: api_listen_addr
  std::string api_socket;          // empty: <data_dir>/bibd.sock

  std::uint64_t log_segment_bytes = 64U << 20;
  std::uint64_t log_cache_bytes = 16U << 20;

  std::uint64_t client_connections = 1024;
  std::uint64_t requests_in_flight = 4096;
  std::uint64_t uncommitted_bytes = 64U << 20;
  std::uint64_t session_retention = 24ULL * 60 * 60 * 1000;
  std::uint64_t sessions_max = 100000;

  bool insecure = false;
  std::string log_level = "info";

  bool operator==(const Config&) const = default;

  // What nodes and clients are told to dial.
  const std::string& raft_address() const {
    return advertise_addr.empty() ? listen_addr : advertise_addr;
  }
  const std::string& api_address() const {
    return api_advertise_addr.empty() ? api_listen_addr : api_advertise_addr;
  }
  // The Unix socket for the local `bib`.
  std::string socket_path() const;
};

enum class ValueKind : std::uint8_t {
  kBool,         // true, false
  kClusterName,  // a cluster's name
  kNodeId,       // 16 hex digits, not all zero
  kPath,         // absolute, or below the home directory as ~/...
  kAddress,      // host:port
  kDuration,     // min to max milliseconds
  kSize,         // min to max bytes
  kCount,        // min to max
  kLogLevel,
  kJoinToken,  // as `bib` prints it
  kAddressList,
};

using ConfigMember = std::variant<bool Config::*, std::uint64_t Config::*, std::string Config::*,
                                  std::vector<std::string> Config::*>;

struct ConfigKey {
  std::string_view name;  // "cluster.raft.election_timeout"
  ValueKind kind;
  ConfigMember member;
  std::string_view help;
  std::uint64_t min = 0;
  std::uint64_t max = 0;
};

// In the order of the file. Names begin with their sections, joined with dots.
std::span<const ConfigKey> config_keys();
const ConfigKey* find_config_key(std::string_view name);

// "BIBD_CLUSTER_RAFT_ELECTION_TIMEOUT": BIBD_, then the name in capitals with '_' for '.'.
std::string environment_name(const ConfigKey& key);
// "true or false", "a duration of 10ms to 10m (units ms, s, m, h)".
std::string allowed_text(const ConfigKey& key);
// The value as the file spells it, without quotes; lists are joined with commas.
std::string value_text(const Config& config, const ConfigKey& key);

// Sets one key from its text; a list takes comma-separated items. kConfig says what is allowed;
// the message does not repeat the key. `home` replaces a leading ~ of a path.
wire::Status set_from_text(Config& config, const ConfigKey& key, std::string_view text,
                           std::string_view home);

}  // namespace bib::cli
