// NodeConfig: everything a node is told before it starts, as plain values. No YAML here: cli/ reads
// the file and the environment and fills this in; tests fill it in by hand.
//
// Durations are milliseconds, sizes bytes. validate() checks the values against each other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::engine {

struct RaftSettings {
  std::uint32_t heartbeat_timeout_ms = 1000;
  std::uint32_t election_timeout_ms = 5000;   // must be above the heartbeat timeout
  std::uint32_t commit_timeout_ms = 50;       // followers learn the commit index at least this soon
  std::uint32_t probe_interval_ms = 100;      // four unanswered ones, and the leader is suspected
  std::uint32_t disk_stall_timeout_ms = 500;  // of one write; then a leader hands over
  std::uint32_t max_append_entries = 64;      // per message
  std::uint32_t max_inflight = 256;           // messages under way to one peer
  std::uint64_t trailing_logs = 10000;        // entries kept behind a snapshot
};

struct SnapshotSettings {
  std::uint64_t interval_ms = 30ULL * 60 * 1000;
  std::uint64_t threshold = 8192;  // entries
  std::uint32_t retain_count = 3;
};

struct LogSettings {
  std::uint64_t segment_bytes = 64ULL << 20;
  std::uint64_t cache_bytes = 16ULL << 20;  // recent entries kept in memory for the peers
};

struct Limits {
  std::uint32_t client_connections = 1024;
  std::uint32_t requests_in_flight = 4096;           // per connection; more are not read yet
  std::uint64_t uncommitted_bytes = 64ULL << 20;     // proposals beyond are refused: overloaded
  std::uint64_t session_retention_ms = 86400000ULL;  // exactly-once records, 24 hours
  std::uint32_t sessions_max = 100000;               // exactly-once records
};

struct NodeConfig {
  bool enabled = true;
  wire::NodeId node_id;  // never 0
  std::string cluster_name = "bib-cluster";
  std::string data_dir;

  std::string listen_addr = "127.0.0.1:4002";  // peers, "host:port"
  std::string advertise_addr;                  // empty: listen_addr
  std::string api_listen_addr = "127.0.0.1:4000";
  std::string api_advertise_addr;  // empty: api_listen_addr
  std::string api_socket;          // path of the Unix socket; empty: <data_dir>/bibd.sock
  bool insecure = false;           // may listen beyond loopback although there is no TLS yet

  bool is_voter = true;
  bool bootstrap = false;               // found a new cluster if data_dir is empty
  std::string join_token;               // bootstrap: the first token; else: how to join
  std::vector<std::string> join_addrs;  // tried besides the token's address
  bool enable_dht_discovery = false;    // accepted, not available yet

  RaftSettings raft;
  SnapshotSettings snapshot;
  LogSettings log;
  Limits limits;
  std::string log_level = "info";  // debug, info, warn, error

  // What others are told to dial.
  const std::string& raft_address() const {
    return advertise_addr.empty() ? listen_addr : advertise_addr;
  }
  const std::string& api_address() const {
    return api_advertise_addr.empty() ? api_listen_addr : api_advertise_addr;
  }
};

// kConfig names the key as the YAML file spells it ("cluster.raft.election_timeout") and says what
// is allowed.
wire::Status validate(const NodeConfig& config);

}  // namespace bib::engine
