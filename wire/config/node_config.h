// NodeConfig: everything that a node is told before it starts, as plain values.
//
// A value; no file and no text here. `bib setup` and bibd fill it from text (cli/config), tests by
// hand, and the node reads it as it is. The names, defaults and ranges of the values are in the
// table of keys (config_key.h) and nowhere else: NodeConfig() has the table's defaults. Durations
// are milliseconds, sizes bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::wire {

// Bytes of a Unix socket's path: what the system takes.
inline constexpr std::size_t kSocketPathMax = 107;

struct NodeConfig {
  // Every key at its default.
  NodeConfig();

  bool operator==(const NodeConfig&) const = default;

  bool enabled{};
  NodeId node_id;  // never 0 in a running node
  std::string cluster_name;
  std::string data_dir;

  std::string listen_addr;     // peers, "host:port"
  std::string advertise_addr;  // empty: listen_addr
  std::string api_listen_addr;
  std::string api_advertise_addr;  // empty: api_listen_addr
  std::string api_socket;          // empty: see socket_path()
  bool insecure{};                 // may listen beyond loopback although there is no TLS yet

  bool is_voter{};
  bool bootstrap{};                     // found a new cluster if data_dir is empty
  std::string join_token;               // a founder's first token; else: how to join
  std::vector<std::string> join_addrs;  // tried besides the token's address

  struct Raft {
    bool operator==(const Raft&) const = default;

    std::uint32_t heartbeat_timeout_ms{};
    std::uint32_t election_timeout_ms{};    // above the heartbeat timeout
    std::uint32_t commit_timeout_ms{};      // followers learn the commit index at least this soon
    std::uint32_t probe_interval_ms{};      // four unanswered ones, and the leader is suspected
    std::uint32_t disk_stall_timeout_ms{};  // of one write; then a leader hands over
    std::uint32_t max_append_entries{};     // per message
    std::uint32_t max_inflight{};           // messages under way to one peer
    std::uint64_t trailing_logs{};          // entries kept before a snapshot's position
    std::uint64_t trailing_bytes{};         // the same in bytes; the lesser counts
  } raft;

  struct Snapshot {
    bool operator==(const Snapshot&) const = default;

    std::uint64_t interval_ms{};
    std::uint64_t threshold{};       // entries
    std::uint64_t bytes_min{};       // of log; no snapshot by `threshold` before
    std::uint64_t bytes_max{};       // of log; then one whatever `threshold` says
    std::uint64_t held_bytes_max{};  // of log kept for one who fetches
    std::uint32_t retain_count{};
  } snapshot;

  struct Log {
    bool operator==(const Log&) const = default;

    std::uint64_t segment_bytes{};
    std::uint64_t cache_bytes{};  // recent entries kept in memory for the peers
  } log;

  struct Store {
    bool operator==(const Store&) const = default;

    std::uint64_t block_cache_bytes{};  // 0: by the machine's memory
    std::uint64_t row_cache_bytes{};
  } store;

  struct Limits {
    bool operator==(const Limits&) const = default;

    std::uint32_t client_connections{};  // over TCP
    std::uint32_t socket_connections{};  // over the Unix socket
    std::uint32_t new_connections{};     // that have not greeted, of each listener
    std::uint64_t greeting_timeout_ms{};
    std::uint32_t joining_nodes{};         // that wait for their answer
    std::uint64_t incoming_frame_bytes{};  // of frames not whole yet; clients' and nodes' each
    std::uint64_t frame_timeout_ms{};      // from a frame's first byte to its last
    std::uint64_t peer_bytes{};            // that wait for one node; more is dropped
    std::uint32_t requests_in_flight{};    // per connection; more are not read yet
    std::uint64_t unread_bytes{};          // that wait for one client
    std::uint64_t outgoing_bytes{};        // that wait for all clients
    std::uint64_t unread_timeout_ms{};     // of a client that takes nothing of what waits
    std::uint32_t feeds{};                 // lists and followers of events
    std::uint32_t feeds_per_client{};      // ... of one connection
    std::uint64_t feed_bytes{};            // that wait for all of them
    std::uint64_t uncommitted_bytes{};     // proposals beyond are refused: overloaded
    std::uint64_t unwritten_bytes{};       // of rows; beyond, nothing more is applied
    std::uint64_t disk_reserve{};          // free bytes; below, commands are refused. 0: never
    std::uint64_t session_retention_ms{};  // exactly-once records
    std::uint32_t sessions_max{};          // exactly-once records
    std::uint32_t log_lines{};             // of one kind, in ten seconds
    std::uint32_t session_window{};        // of one client, beyond what it has acknowledged
  } limits;

  std::string log_level;  // one of kLogLevels

  // The address that others are told to dial.
  const std::string& raft_address() const {
    return advertise_addr.empty() ? listen_addr : advertise_addr;
  }
  const std::string& api_address() const {
    return api_advertise_addr.empty() ? api_listen_addr : api_advertise_addr;
  }
  // The Unix socket for the local `bib`; at most kSocketPathMax bytes.
  std::string socket_path() const {
    return api_socket.empty() ? data_dir + "/bibd.sock" : api_socket;
  }
  // A node that takes part in no cluster has no one to join.
  bool founds_cluster() const { return bootstrap || !enabled; }
};

// What is wrong with values that are each right by themselves. `keys` begins with the one to blame;
// who knows where a key was set names the first that was set by somebody.
struct ConfigMismatch {
  std::vector<std::string_view> keys;
  std::string message;  // a half sentence, to follow the name of the first key
};

// All of them.
std::vector<ConfigMismatch> mismatches(const NodeConfig& config);

// Each value by its key's range, then mismatches(): kConfig "KEY: what is wrong" of the first
// problem. For a configuration that was filled in by hand; one that cli/config has loaded without a
// problem is valid.
Status validate(const NodeConfig& config);

}  // namespace bib::wire
