#include "cli/config/config.h"

#include <algorithm>
#include <array>

#include "cli/client/address.h"
#include "cli/print/units.h"
#include "wire/base/ids.h"
#include "wire/base/units.h"
#include "wire/peer/join_token.h"

namespace bib::cli {
namespace {

using wire::ErrorCode;
using enum ValueKind;

constexpr std::uint64_t kSecond = 1000;
constexpr std::uint64_t kMinute = 60 * kSecond;
constexpr std::uint64_t kHour = 60 * kMinute;
constexpr std::uint64_t kYear = 8760 * kHour;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr std::uint64_t kCountMax = 1000000000000;

constexpr std::array kKeys = {
    ConfigKey{"cluster.enabled", kBool, &Config::enabled,
              "Takes part in a cluster; false: a single node for itself"},
    ConfigKey{"cluster.node_id", kNodeId, &Config::node_id,
              "This node, for life; `bib setup` draws it. Required"},
    ConfigKey{"cluster.cluster_name", kClusterName, &Config::cluster_name,
              "The same on all nodes; a node of another name is refused"},
    ConfigKey{"cluster.data_dir", kPath, &Config::data_dir,
              "The log, the store and the snapshots of this node"},
    ConfigKey{"cluster.listen_addr", kAddress, &Config::listen_addr,
              "Where the other nodes reach this one (Raft)"},
    ConfigKey{"cluster.advertise_addr", kAddress, &Config::advertise_addr,
              "What the other nodes are told to dial; empty: listen_addr"},
    ConfigKey{"cluster.is_voter", kBool, &Config::is_voter,
              "Votes once it has caught up; false: it only receives the log"},
    ConfigKey{"cluster.bootstrap", kBool, &Config::bootstrap,
              "Founds a new cluster when the data directory is empty"},
    ConfigKey{"cluster.join_token", kJoinToken, &Config::join_token,
              "The token with which this node joins; on the founder: the first token it accepts. "
              "A secret"},
    ConfigKey{"cluster.join_addrs", kAddressList, &Config::join_addrs,
              "More addresses to try when joining, besides the token's"},
    ConfigKey{"cluster.enable_dht_discovery", kBool, &Config::enable_dht_discovery,
              "Accepted, but not available yet"},
    ConfigKey{"cluster.raft.heartbeat_timeout", kDuration, &Config::heartbeat_timeout,
              "How often a leader makes itself heard", 10, kMinute},
    ConfigKey{"cluster.raft.election_timeout", kDuration, &Config::election_timeout,
              "How long a silent leader is tolerated; must be above heartbeat_timeout", 20,
              10 * kMinute},
    ConfigKey{"cluster.raft.commit_timeout", kDuration, &Config::commit_timeout,
              "Followers learn the commit index at least this soon", 1, 10 * kSecond},
    ConfigKey{
        "cluster.raft.probe_interval", kDuration, &Config::probe_interval,
        "How often the other nodes are probed; a leader that leaves four probes unanswered is "
        "suspected",
        10, 10 * kSecond},
    ConfigKey{"cluster.raft.disk_stall_timeout", kDuration, &Config::disk_stall_timeout,
              "How long one write may take before a leader hands over", 50, kMinute},
    ConfigKey{"cluster.raft.max_append_entries", kCount, &Config::max_append_entries,
              "Entries in one message to a follower", 1, 65536},
    ConfigKey{"cluster.raft.trailing_logs", kCount, &Config::trailing_logs,
              "Entries kept behind a snapshot, for followers that were away", 0, kCountMax},
    ConfigKey{"cluster.raft.max_inflight", kCount, &Config::max_inflight,
              "Messages under way to one follower", 1, 65536},
    ConfigKey{"cluster.snapshot.interval", kDuration, &Config::snapshot_interval,
              "How often a snapshot is considered", kSecond, kYear},
    ConfigKey{"cluster.snapshot.threshold", kCount, &Config::snapshot_threshold,
              "Entries since the last snapshot that make one worth while", 1, kCountMax},
    ConfigKey{"cluster.snapshot.retain_count", kCount, &Config::snapshot_retain_count,
              "Snapshots kept", 1, 1000},
    ConfigKey{"api.listen_addr", kAddress, &Config::api_listen_addr,
              "Where clients reach this "
              "node"},
    ConfigKey{"api.advertise_addr", kAddress, &Config::api_advertise_addr,
              "What clients are told to dial; empty: listen_addr"},
    ConfigKey{"api.socket", kPath, &Config::api_socket,
              "The Unix socket for the local `bib`; empty: <data_dir>/bibd.sock"},
    ConfigKey{"log.segment_bytes", kSize, &Config::log_segment_bytes, "Size of one log file",
              64U << 10, kGiB},
    ConfigKey{"log.cache_bytes", kSize, &Config::log_cache_bytes,
              "Recent entries kept in memory for the followers", kMiB, 64 * kGiB},
    ConfigKey{"limits.client_connections", kCount, &Config::client_connections,
              "Clients connected at a time", 1, 1000000},
    ConfigKey{"limits.requests_in_flight", kCount, &Config::requests_in_flight,
              "Unanswered requests of one connection; more are not read yet", 1, 1000000},
    ConfigKey{"limits.uncommitted_bytes", kSize, &Config::uncommitted_bytes,
              "Proposed but not committed; beyond, commands are refused as overload", kMiB,
              64 * kGiB},
    ConfigKey{"limits.session_retention", kDuration, &Config::session_retention,
              "How long the answer to a command is remembered for a retry", kMinute, kYear},
    ConfigKey{"limits.sessions_max", kCount, &Config::sessions_max, "Answers remembered", 1,
              100000000},
    ConfigKey{"insecure", kBool, &Config::insecure,
              "May listen beyond loopback although connections are not encrypted yet"},
    ConfigKey{"log_level", kLogLevel, &Config::log_level, "debug, info, warn or error"},
};

constexpr std::array<std::string_view, 4> kLogLevels = {"debug", "info", "warn", "error"};

// A key's value must have the type that its kind is parsed into.
template <typename T>
T& member_of(Config& config, const ConfigKey& key) {
  return config.*std::get<T Config::*>(key.member);
}

wire::Result<std::string> parse_path(std::string_view text, std::string_view home) {
  if (text == "~" || text.substr(0, 2) == "~/") {
    if (home.empty())
      return wire::fail(ErrorCode::kConfig, "'{}': HOME is not set; give an absolute path", text);
    return fmt::format("{}{}", home, text.substr(1));
  }
  if (text.empty() || text.front() != '/')
    return wire::fail(ErrorCode::kConfig, "'{}' is not an absolute path (/... or ~/...)", text);
  return std::string(text);
}

wire::Result<std::uint64_t> parse_number(const ConfigKey& key, std::string_view text) {
  auto value = key.kind == kDuration ? wire::parse_duration(text)
               : key.kind == kSize   ? wire::parse_size(text)
                                     : wire::parse_count(text);
  if (!value)
    return wire::fail(ErrorCode::kConfig, "{}; it may be {}", value.error().message,
                      allowed_text(key));
  if (*value < key.min || *value > key.max)
    return wire::fail(ErrorCode::kConfig, "'{}' is out of range: {}", text, allowed_text(key));
  return *value;
}

wire::Result<std::vector<std::string>> parse_addresses(std::string_view text) {
  std::vector<std::string> addresses;
  while (!text.empty()) {
    std::size_t comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    BIB_TRY(wire::Address address, parse_host_port(item));
    addresses.push_back(to_string(address));
  }
  return addresses;
}

wire::Result<std::string> parse_text(const ConfigKey& key, std::string_view text,
                                     std::string_view home) {
  // A text that is empty by default may be written as empty: the same as leaving the line out.
  static const Config kDefaults;
  bool optional = (kDefaults.*std::get<std::string Config::*>(key.member)).empty();
  if (text.empty() && optional) return std::string();
  switch (key.kind) {
    case kPath:
      return parse_path(text, home);
    case kAddress: {
      BIB_TRY(wire::Address address, parse_host_port(text));
      return to_string(address);
    }
    case kNodeId: {
      auto id = wire::parse_node_id(text);
      if (!id || id->value() == 0)
        return wire::fail(ErrorCode::kConfig, "'{}' is not a node id: {}", text, allowed_text(key));
      return std::string(text);
    }
    case kLogLevel:
      if (std::find(kLogLevels.begin(), kLogLevels.end(), text) == kLogLevels.end())
        return wire::fail(ErrorCode::kConfig, "'{}' is not a log level: {}{}", text,
                          allowed_text(key), did_you_mean(text, kLogLevels));
      return std::string(text);
    case kJoinToken: {
      // Whether it has expired matters to a node that has yet to join, and to no other.
      auto token = wire::decode_join_token(text);
      if (!token) return wire::fail(ErrorCode::kConfig, "{}", token.error().message);
      return std::string(text);
    }
    default:
      if (auto named = wire::check_cluster_name(text); !named)
        return wire::fail(ErrorCode::kConfig, "{}: {}", named.error().message, allowed_text(key));
      return std::string(text);
  }
}

wire::Status set_checked(Config& config, const ConfigKey& key, std::string_view text,
                         std::string_view home) {
  if (std::holds_alternative<bool Config::*>(key.member)) {
    if (text != "true" && text != "false")
      return wire::fail(ErrorCode::kConfig, "'{}' is not a truth value: {}", text,
                        allowed_text(key));
    member_of<bool>(config, key) = text == "true";
  } else if (std::holds_alternative<std::uint64_t Config::*>(key.member)) {
    BIB_TRY(member_of<std::uint64_t>(config, key), parse_number(key, text));
  } else if (std::holds_alternative<std::string Config::*>(key.member)) {
    BIB_TRY(member_of<std::string>(config, key), parse_text(key, text, home));
  } else {
    BIB_TRY(member_of<std::vector<std::string>>(config, key), parse_addresses(text));
  }
  return {};
}

}  // namespace

std::string Config::socket_path() const {
  return api_socket.empty() ? data_dir + "/bibd.sock" : api_socket;
}

std::span<const ConfigKey> config_keys() {
  return kKeys;
}

const ConfigKey* find_config_key(std::string_view name) {
  for (const ConfigKey& key : kKeys) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

std::string environment_name(const ConfigKey& key) {
  std::string name = "BIBD_";
  for (char c : key.name)
    name.push_back(c == '.' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c));
  return name;
}

std::string allowed_text(const ConfigKey& key) {
  switch (key.kind) {
    case kBool:
      return "true or false";
    case kClusterName:
      return fmt::format("1 to {} bytes of UTF-8 without control characters",
                         wire::kClusterNameSizeMax);
    case kNodeId:
      return "16 hex digits, not all zero (`bib setup --daemon` draws one)";
    case kPath:
      return "a path";
    case kAddress:
      return "host:port";
    case kAddressList:
      return "a list of host:port";
    case kDuration:
      return fmt::format("a duration of {} to {} (units ms, s, m, h)",
                         wire::format_duration(key.min), wire::format_duration(key.max));
    case kSize:
      return fmt::format("a size of {} to {} (units KiB, MiB, GiB, or plain bytes)",
                         wire::format_size(key.min), wire::format_size(key.max));
    case kCount:
      return fmt::format("a number of {} to {}", key.min, key.max);
    case kJoinToken:
      return "a join token (`bib cluster token create` prints one)";
    case kLogLevel:
      return fmt::format("{}", fmt::join(kLogLevels, ", "));
  }
  return {};
}

std::string value_text(const Config& config, const ConfigKey& key) {
  if (const auto* flag = std::get_if<bool Config::*>(&key.member))
    return config.*(*flag) ? "true" : "false";
  if (const auto* text = std::get_if<std::string Config::*>(&key.member)) return config.*(*text);
  if (const auto* list = std::get_if<std::vector<std::string> Config::*>(&key.member))
    return fmt::format("{}", fmt::join(config.*(*list), ","));
  std::uint64_t number = config.*std::get<std::uint64_t Config::*>(key.member);
  if (key.kind == kDuration) return wire::format_duration(number);
  if (key.kind == kSize) return wire::format_size(number);
  return std::to_string(number);
}

wire::Status set_from_text(Config& config, const ConfigKey& key, std::string_view text,
                           std::string_view home) {
  auto status = set_checked(config, key, text, home);
  if (!status) return wire::fail(ErrorCode::kConfig, "{}", status.error().message);
  return {};
}

}  // namespace bib::cli
