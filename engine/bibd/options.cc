#include "engine/bibd/options.h"

#include <algorithm>

#include "wire/base/frame.h"

namespace bib::engine {
namespace {

// Room for several answers of any kind.
constexpr std::uint64_t kSlowBytesMin = 4 * wire::kClientFrameBodyMax;

IncomingFramesOptions frame_options(const wire::NodeConfig& config) {
  return {.bytes_max = config.limits.incoming_frame_bytes,
          .deadline_ms = config.limits.frame_timeout_ms};
}

}  // namespace

PeerNetworkOptions peer_options(const wire::NodeConfig& config, wire::ClusterId cluster,
                                wire::BootId boot) {
  PeerNetworkOptions options;
  options.self = config.node_id;
  options.boot = boot;
  options.cluster = cluster;
  options.cluster_name = config.cluster_name;
  options.advertise_address = config.raft_address();
  options.probe_interval_ms = config.raft.probe_interval_ms;
  options.new_connections_max = config.limits.new_connections;
  options.greeting_timeout_ms = config.limits.greeting_timeout_ms;
  options.joiners_max = config.limits.joining_nodes;
  options.link_bytes_max = config.limits.peer_bytes;
  options.frames = frame_options(config);
  return options;
}

ClientServerOptions client_options(const wire::NodeConfig& config) {
  ClientServerOptions options;
  options.sessions_max = config.limits.client_connections;
  options.socket_sessions_max = config.limits.socket_connections;
  options.new_connections_max = config.limits.new_connections;
  options.greeting_timeout_ms = config.limits.greeting_timeout_ms;
  options.requests_max = config.limits.requests_in_flight;
  options.frames = frame_options(config);
  options.unread_bytes_max = config.limits.unread_bytes / 4;
  options.slow_bytes_max = std::max(8 * config.limits.unread_bytes, kSlowBytesMin);
  options.unread_timeout_ms = config.limits.unread_timeout_ms;
  options.outgoing_bytes_max = config.limits.outgoing_bytes;
  return options;
}

StderrLoggerOptions logger_options(const wire::NodeConfig& config) {
  return {.limit = {.lines_max = config.limits.log_lines}};
}

}  // namespace bib::engine
