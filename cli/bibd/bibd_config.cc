#include "cli/bibd/bibd_config.h"

#include "wire/base/check.h"
#include "wire/peer/join_token.h"

namespace bib::cli {
namespace {

// The table of keys bounds the value; a key without a bound would be our bug.
std::uint32_t narrow(std::uint64_t value) {
  BIB_CHECK(value <= 0xffffffffU, "a configuration value of {} has no bound in the table", value);
  return static_cast<std::uint32_t>(value);
}

// A founder accepts the secret; a joining node needs the whole token.
std::string token_for_engine(const Config& config) {
  if (!config.bootstrap) return config.join_token;
  auto token = wire::decode_join_token(config.join_token);
  return token ? token->token : std::string();
}

}  // namespace

engine::NodeConfig to_node_config(const Config& config) {
  engine::NodeConfig node;
  node.enabled = config.enabled;
  node.node_id = wire::parse_node_id(config.node_id).value_or(wire::NodeId());
  node.cluster_name = config.cluster_name;
  node.data_dir = config.data_dir;

  node.listen_addr = config.listen_addr;
  node.advertise_addr = config.advertise_addr;
  node.api_listen_addr = config.api_listen_addr;
  node.api_advertise_addr = config.api_advertise_addr;
  node.api_socket = config.socket_path();
  node.insecure = config.insecure;

  node.is_voter = config.is_voter;
  // Who is no member of a cluster has nobody to join.
  node.bootstrap = config.bootstrap || !config.enabled;
  node.join_token = token_for_engine(config);
  node.join_addrs = config.join_addrs;
  node.enable_dht_discovery = config.enable_dht_discovery;

  node.raft.heartbeat_timeout_ms = narrow(config.heartbeat_timeout);
  node.raft.election_timeout_ms = narrow(config.election_timeout);
  node.raft.commit_timeout_ms = narrow(config.commit_timeout);
  node.raft.probe_interval_ms = narrow(config.probe_interval);
  node.raft.disk_stall_timeout_ms = narrow(config.disk_stall_timeout);
  node.raft.max_append_entries = narrow(config.max_append_entries);
  node.raft.max_inflight = narrow(config.max_inflight);
  node.raft.trailing_logs = config.trailing_logs;

  node.snapshot.interval_ms = config.snapshot_interval;
  node.snapshot.threshold = config.snapshot_threshold;
  node.snapshot.retain_count = narrow(config.snapshot_retain_count);

  node.log.segment_bytes = config.log_segment_bytes;
  node.log.cache_bytes = config.log_cache_bytes;

  node.limits.client_connections = narrow(config.client_connections);
  node.limits.requests_in_flight = narrow(config.requests_in_flight);
  node.limits.uncommitted_bytes = config.uncommitted_bytes;
  node.limits.session_retention_ms = config.session_retention;
  node.limits.sessions_max = narrow(config.sessions_max);
  node.log_level = config.log_level;
  return node;
}

}  // namespace bib::cli
