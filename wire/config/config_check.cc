// mismatches() and validate(): what the values of a configuration must be to each other.
#include "wire/base/address.h"
#include "wire/base/units.h"
#include "wire/config/config_key.h"
#include "wire/config/node_config.h"

namespace bib::wire {
namespace {

// One of a node's two addresses: where it listens, and what others are told to dial.
struct Door {
  std::string_view listen_key;
  std::string_view advertise_key;
  const std::string& listen;
  const std::string& advertise;
};

void check_door(const Door& door, bool insecure, std::vector<ConfigMismatch>& found) {
  const auto advertised = parse_address(door.advertise);
  if (advertised && is_wildcard(advertised->host)) {
    found.push_back(
        {{door.advertise_key},
         fmt::format("'{}' cannot be dialled; give the address of this machine", door.advertise)});
  }
  const auto listen = parse_address(door.listen);
  if (!listen) return;
  if (is_wildcard(listen->host) && door.advertise.empty()) {
    found.push_back(
        {{door.listen_key, door.advertise_key},
         fmt::format("'{}' is every interface, so others cannot be told what to dial; set {} to "
                     "this machine's address",
                     to_string(*listen), door.advertise_key)});
  }
  if (!is_loopback(listen->host) && !insecure) {
    found.push_back(
        {{door.listen_key, "insecure"},
         fmt::format("'{}' is beyond loopback, and connections are not encrypted or authenticated "
                     "yet (no TLS): anyone who reaches the port can read and change everything. "
                     "Listen on 127.0.0.1, or accept the risk with `insecure: true` or `bibd "
                     "--insecure`",
                     to_string(*listen))});
  }
}

}  // namespace

std::vector<ConfigMismatch> mismatches(const NodeConfig& config) {
  std::vector<ConfigMismatch> found;
  if (config.raft.election_timeout_ms <= config.raft.heartbeat_timeout_ms) {
    found.push_back({{"cluster.raft.election_timeout", "cluster.raft.heartbeat_timeout"},
                     fmt::format("is {}, which is not above cluster.raft.heartbeat_timeout ({}); "
                                 "followers would start elections under a healthy leader. Five "
                                 "times the heartbeat is usual",
                                 format_duration(config.raft.election_timeout_ms),
                                 format_duration(config.raft.heartbeat_timeout_ms))});
  }
  if (config.snapshot.bytes_min > config.snapshot.bytes_max) {
    found.push_back(
        {{"cluster.snapshot.bytes_min", "cluster.snapshot.bytes_max"},
         fmt::format("is {}, which is above cluster.snapshot.bytes_max ({}): a snapshot is made at "
                     "bytes_max whatever else is set",
                     format_size(config.snapshot.bytes_min),
                     format_size(config.snapshot.bytes_max))});
  }
  check_door(
      {"cluster.listen_addr", "cluster.advertise_addr", config.listen_addr, config.advertise_addr},
      config.insecure, found);
  check_door(
      {"api.listen_addr", "api.advertise_addr", config.api_listen_addr, config.api_advertise_addr},
      config.insecure, found);
  if (const std::string path = config.socket_path(); path.size() > kSocketPathMax) {
    std::vector<std::string_view> keys = {"api.socket"};
    if (config.api_socket.empty()) keys.push_back("cluster.data_dir");
    found.push_back(
        {std::move(keys),
         fmt::format("the socket's path '{}' is {} bytes long, and the system takes {}: set "
                     "api.socket to a shorter path",
                     path, path.size(), kSocketPathMax)});
  }
  // Port 0 is another free port each time.
  const auto listen = parse_address(config.listen_addr);
  if (config.listen_addr == config.api_listen_addr && listen && listen->port != 0) {
    found.push_back({{"api.listen_addr", "cluster.listen_addr"},
                     fmt::format("is the same as cluster.listen_addr ({}); nodes and clients need "
                                 "a port each",
                                 config.listen_addr)});
  }
  return found;
}

Status validate(const NodeConfig& config) {
  if (config.node_id == NodeId()) {
    return fail(ErrorCode::kConfig, "cluster.node_id: is missing; `bib setup --daemon` draws one");
  }
  if (config.data_dir.empty()) return fail(ErrorCode::kConfig, "cluster.data_dir: is empty");
  for (const ConfigKey& key : config_keys()) {
    const Status status = check_value(key, value_of(config, key));
    if (!status) return fail(ErrorCode::kConfig, "{}: {}", key.name, status.error().message);
  }
  const std::vector<ConfigMismatch> found = mismatches(config);
  if (found.empty()) return {};
  return fail(ErrorCode::kConfig, "{}: {}", found.front().keys.front(), found.front().message);
}

}  // namespace bib::wire
