#include "engine/ports/node_config.h"

#include "engine/ports/logger.h"
#include "wire/base/address.h"

namespace bib::engine {
namespace {

using wire::ErrorCode;
using wire::fail;

wire::Status check_address(const char* key, const std::string& text) {
  const auto parsed = wire::parse_address(text);
  if (!parsed) return fail(ErrorCode::kConfig, "{}: {}", key, parsed.error().message);
  return {};
}

wire::Status check_listen(const char* key, const std::string& text, bool insecure) {
  BIB_TRY_VOID(check_address(key, text));
  BIB_TRY(const wire::Address address, wire::parse_address(text));
  if (insecure || wire::is_loopback(address.host)) return {};
  return fail(ErrorCode::kConfig,
              "{}: {} can be reached from other machines, and connections are not encrypted or "
              "authenticated yet (there is no TLS): listen on 127.0.0.1, or accept the risk with "
              "--insecure",
              key, text);
}

// An address that others are told must name one machine.
wire::Status check_advertise(const char* key, const std::string& advertise,
                             const std::string& listen) {
  const std::string& told = advertise.empty() ? listen : advertise;
  BIB_TRY_VOID(check_address(key, told));
  BIB_TRY(const wire::Address address, wire::parse_address(told));
  if (!wire::is_wildcard(address.host)) return {};
  return fail(ErrorCode::kConfig,
              "{}: {} is no address that other machines can reach: set {} to this machine's "
              "address",
              key, told, key);
}

template <typename Number>
wire::Status check_range(const char* key, Number value, Number min, Number max) {
  if (value >= min && value <= max) return {};
  return fail(ErrorCode::kConfig, "{}: {} is not from {} to {}", key, value, min, max);
}

}  // namespace

wire::Status validate(const NodeConfig& config) {
  if (config.node_id == wire::NodeId()) {
    return fail(ErrorCode::kConfig, "cluster.node_id: is missing; `bib setup --daemon` draws one");
  }
  if (config.cluster_name.empty())
    return fail(ErrorCode::kConfig, "cluster.cluster_name: is empty");
  if (config.data_dir.empty()) return fail(ErrorCode::kConfig, "cluster.data_dir: is empty");
  BIB_TRY_VOID(check_listen("cluster.listen_addr", config.listen_addr, config.insecure));
  BIB_TRY_VOID(check_listen("api.listen_addr", config.api_listen_addr, config.insecure));
  BIB_TRY_VOID(
      check_advertise("cluster.advertise_addr", config.advertise_addr, config.listen_addr));
  BIB_TRY_VOID(
      check_advertise("api.advertise_addr", config.api_advertise_addr, config.api_listen_addr));
  for (const std::string& address : config.join_addrs) {
    BIB_TRY_VOID(check_address("cluster.join_addrs", address));
  }
  const RaftSettings& raft = config.raft;
  if (raft.election_timeout_ms <= raft.heartbeat_timeout_ms) {
    return fail(ErrorCode::kConfig,
                "cluster.raft.election_timeout: {} ms is not above heartbeat_timeout ({} ms)",
                raft.election_timeout_ms, raft.heartbeat_timeout_ms);
  }
  BIB_TRY_VOID(
      check_range("cluster.raft.heartbeat_timeout", raft.heartbeat_timeout_ms, 10U, 3'600'000U));
  BIB_TRY_VOID(check_range("cluster.raft.commit_timeout", raft.commit_timeout_ms, 1U, 60'000U));
  BIB_TRY_VOID(check_range("cluster.raft.probe_interval", raft.probe_interval_ms, 10U, 10'000U));
  BIB_TRY_VOID(
      check_range("cluster.raft.disk_stall_timeout", raft.disk_stall_timeout_ms, 50U, 60'000U));
  BIB_TRY_VOID(check_range("cluster.raft.max_append_entries", raft.max_append_entries, 1U, 65536U));
  BIB_TRY_VOID(check_range("cluster.raft.max_inflight", raft.max_inflight, 1U, 65536U));
  BIB_TRY_VOID(check_range<std::uint64_t>("log.segment_bytes", config.log.segment_bytes, 64U << 10,
                                          1U << 30));
  BIB_TRY_VOID(
      check_range("limits.client_connections", config.limits.client_connections, 1U, 1'000'000U));
  BIB_TRY_VOID(
      check_range("limits.requests_in_flight", config.limits.requests_in_flight, 1U, 1'000'000U));
  if (!parse_log_level(config.log_level)) {
    return fail(ErrorCode::kConfig, "log_level: '{}' is none of debug, info, warn, error",
                config.log_level);
  }
  return {};
}

}  // namespace bib::engine
