#include "wire/config/config_key.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>

#include "wire/base/address.h"
#include "wire/base/check.h"
#include "wire/base/units.h"
#include "wire/log/log_format.h"
#include "wire/peer/join_token.h"

namespace bib::wire {
namespace {

using enum ValueKind;
using Config = NodeConfig;

constexpr std::uint64_t kMillisecond = 1;
constexpr std::uint64_t kSecond = 1000;
constexpr std::uint64_t kMinute = 60 * kSecond;
constexpr std::uint64_t kHour = 60 * kMinute;
constexpr std::uint64_t kYear = 8760 * kHour;
constexpr std::uint64_t kKiB = std::uint64_t{1} << 10;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr std::uint64_t kTiB = std::uint64_t{1} << 40;
constexpr std::uint64_t kCountMax = 1'000'000'000'000;

// in<&Config::raft, &Config::Raft::max_inflight> is where `raft.max_inflight` lies.
template <auto... Steps>
struct In {
  static constexpr const auto& read(const Config& config) { return (config.*....*Steps); }
  static constexpr auto& write(Config& config) { return (config.*....*Steps); }
};
template <auto... Steps>
constexpr ConfigMember in =
    ConfigPlace<std::remove_cvref_t<decltype(In<Steps...>::write(std::declval<Config&>()))>>{
        &In<Steps...>::read, &In<Steps...>::write};
constexpr ConfigMember kNoEffect = std::monostate();

constexpr std::array kKeys = {
    ConfigKey{"cluster.enabled", kBool, in<&Config::enabled>, true,
              "Takes part in a cluster; false: a single node for itself"},
    ConfigKey{"cluster.node_id", kNodeId, in<&Config::node_id>, "",
              "This node, for life; `bib setup` draws it. Required"},
    ConfigKey{"cluster.cluster_name", kClusterName, in<&Config::cluster_name>, "bib-cluster",
              "The same on all nodes; a node of another name is refused"},
    ConfigKey{"cluster.data_dir", kPath, in<&Config::data_dir>, "",
              "The log, the store and the snapshots of this node"},
    ConfigKey{"cluster.listen_addr", kAddress, in<&Config::listen_addr>, "127.0.0.1:4002",
              "Where the other nodes reach this one (Raft)"},
    ConfigKey{"cluster.advertise_addr", kAddress, in<&Config::advertise_addr>, "",
              "What the other nodes are told to dial; empty: listen_addr"},
    ConfigKey{"cluster.is_voter", kBool, in<&Config::is_voter>, true,
              "Votes once it has caught up; false: it only receives the log"},
    ConfigKey{"cluster.bootstrap", kBool, in<&Config::bootstrap>, false,
              "Founds a new cluster when the data directory is empty"},
    ConfigKey{"cluster.join_token", kJoinToken, in<&Config::join_token>, "",
              "The token with which this node joins; on the founder: the first token it accepts. "
              "A secret"},
    ConfigKey{"cluster.join_addrs", kAddressList, in<&Config::join_addrs>, "",
              "More addresses to try when joining, besides the token's"},
    ConfigKey{"cluster.enable_dht_discovery", kBool, kNoEffect, false,
              "No effect yet: nodes are found by join_token and join_addrs, not through a DHT"},
    ConfigKey{"cluster.raft.heartbeat_timeout", kDuration,
              in<&Config::raft, &Config::Raft::heartbeat_timeout_ms>, kSecond,
              "How often a leader makes itself heard", 10 * kMillisecond, kMinute},
    ConfigKey{"cluster.raft.election_timeout", kDuration,
              in<&Config::raft, &Config::Raft::election_timeout_ms>, 5 * kSecond,
              "How long a silent leader is tolerated; must be above heartbeat_timeout",
              20 * kMillisecond, 10 * kMinute},
    ConfigKey{"cluster.raft.commit_timeout", kDuration,
              in<&Config::raft, &Config::Raft::commit_timeout_ms>, 50 * kMillisecond,
              "Followers learn the commit index at least this soon", kMillisecond, 10 * kSecond},
    ConfigKey{"cluster.raft.probe_interval", kDuration,
              in<&Config::raft, &Config::Raft::probe_interval_ms>, 100 * kMillisecond,
              "How often the other nodes are probed; a leader that leaves four probes unanswered "
              "is suspected",
              10 * kMillisecond, 10 * kSecond},
    ConfigKey{"cluster.raft.disk_stall_timeout", kDuration,
              in<&Config::raft, &Config::Raft::disk_stall_timeout_ms>, 500 * kMillisecond,
              "How long one write may take before a leader hands over", 50 * kMillisecond, kMinute},
    ConfigKey{"cluster.raft.max_append_entries", kCount,
              in<&Config::raft, &Config::Raft::max_append_entries>, std::uint64_t{64},
              "Entries in one message to a follower", 1, 65536},
    ConfigKey{"cluster.raft.trailing_logs", kCount, in<&Config::raft, &Config::Raft::trailing_logs>,
              std::uint64_t{10000}, "Entries kept in the log below a snapshot", 0, kCountMax},
    ConfigKey{"cluster.raft.trailing_bytes", kSize,
              in<&Config::raft, &Config::Raft::trailing_bytes>, 256 * kMiB,
              "The same in bytes of log; the lesser of the two is kept", 0, kTiB},
    ConfigKey{"cluster.raft.max_inflight", kCount, in<&Config::raft, &Config::Raft::max_inflight>,
              std::uint64_t{256}, "Messages under way to one follower", 1, 65536},
    ConfigKey{"cluster.snapshot.interval", kDuration,
              in<&Config::snapshot, &Config::Snapshot::interval_ms>, 30 * kMinute,
              "The age of the last snapshot at which the next is made, where anything was applied "
              "since",
              kSecond, kYear},
    ConfigKey{"cluster.snapshot.threshold", kCount,
              in<&Config::snapshot, &Config::Snapshot::threshold>, std::uint64_t{8192},
              "Entries since the last snapshot after which the next is made", 1, kCountMax},
    ConfigKey{"cluster.snapshot.bytes_min", kSize,
              in<&Config::snapshot, &Config::Snapshot::bytes_min>, std::uint64_t{0},
              "Not before so much log since the last one, whatever threshold says", 0, kTiB},
    ConfigKey{"cluster.snapshot.bytes_max", kSize,
              in<&Config::snapshot, &Config::Snapshot::bytes_max>, 256 * kMiB,
              "After so much log since the last one, whatever threshold says; soon after one that "
              "took long, after up to four times as much",
              64 * kKiB, kTiB},
    ConfigKey{"cluster.snapshot.held_bytes_max", kSize,
              in<&Config::snapshot, &Config::Snapshot::held_bytes_max>, 4 * kGiB,
              "Log kept for a node that fetches a snapshot; beyond (and beyond the snapshot's own "
              "size) it starts over with a newer one",
              kMiB, kTiB},
    ConfigKey{"cluster.snapshot.retain_count", kCount,
              in<&Config::snapshot, &Config::Snapshot::retain_count>, std::uint64_t{3},
              "Snapshots kept", 1, 1000},
    ConfigKey{"api.listen_addr", kAddress, in<&Config::api_listen_addr>, "127.0.0.1:4000",
              "Where clients reach this node"},
    ConfigKey{"api.advertise_addr", kAddress, in<&Config::api_advertise_addr>, "",
              "What clients are told to dial; empty: listen_addr"},
    ConfigKey{"api.socket", kPath, in<&Config::api_socket>, "",
              "The Unix socket for the local `bib`; empty: <data_dir>/bibd.sock"},
    ConfigKey{"log.segment_bytes", kSize, in<&Config::log, &Config::Log::segment_bytes>, 64 * kMiB,
              "Size of one log file", kSegmentSizeMin, kSegmentSizeMax},
    ConfigKey{"log.cache_bytes", kSize, in<&Config::log, &Config::Log::cache_bytes>, 16 * kMiB,
              "Recent entries kept in memory for the followers", kMiB, 64 * kGiB},
    ConfigKey{
        "store.block_cache", kSize, in<&Config::store, &Config::Store::block_cache_bytes>,
        std::uint64_t{0},
        "Blocks of the rows' files kept in memory, their indexes and filters among them; 0: an "
        "eighth of what the machine or the process's control group has",
        0, 1024 * kGiB},
    ConfigKey{"store.row_cache", kSize, in<&Config::store, &Config::Store::row_cache_bytes>,
              48 * kMiB, "Rows kept at hand, of those read or written last", 0, 64 * kGiB},
    ConfigKey{"limits.client_connections", kCount,
              in<&Config::limits, &Config::Limits::client_connections>, std::uint64_t{1024},
              "Clients connected at a time over TCP", 1, 1'000'000},
    ConfigKey{
        "limits.socket_connections", kCount,
        in<&Config::limits, &Config::Limits::socket_connections>, std::uint64_t{256},
        "Clients connected at a time over the Unix socket, which have this room to themselves", 1,
        1'000'000},
    ConfigKey{"limits.new_connections", kCount,
              in<&Config::limits, &Config::Limits::new_connections>, std::uint64_t{128},
              "Connections that have not greeted yet, to each address and to the socket; beyond, "
              "the oldest is closed for the newest",
              1, 100'000},
    ConfigKey{"limits.greeting_timeout", kDuration,
              in<&Config::limits, &Config::Limits::greeting_timeout_ms>, 5 * kSecond,
              "How long a new connection may take to greet", 100 * kMillisecond, kMinute},
    ConfigKey{"limits.joining_nodes", kCount, in<&Config::limits, &Config::Limits::joining_nodes>,
              std::uint64_t{16},
              "Nodes that wait at a time for the answer to their request to join", 1, 1000},
    ConfigKey{
        "limits.incoming_frame_bytes", kSize,
        in<&Config::limits, &Config::Limits::incoming_frame_bytes>, 256 * kMiB,
        "Memory of requests and messages that have begun to come, of clients and of nodes each; "
        "beyond, the connection of the oldest is closed",
        16 * kMiB, 64 * kGiB},
    ConfigKey{"limits.frame_timeout", kDuration,
              in<&Config::limits, &Config::Limits::frame_timeout_ms>, kMinute,
              "How long a request or message may take from its first byte to its last", kSecond,
              kHour},
    ConfigKey{"limits.peer_bytes", kSize, in<&Config::limits, &Config::Limits::peer_bytes>,
              64 * kMiB,
              "Messages that wait for one node; beyond, they are dropped, and sent again once it "
              "takes them",
              16 * kMiB, 64 * kGiB},
    ConfigKey{"limits.requests_in_flight", kCount,
              in<&Config::limits, &Config::Limits::requests_in_flight>, std::uint64_t{4096},
              "Unanswered requests of one connection; more are not read yet", 1, 1'000'000},
    ConfigKey{
        "limits.unread_bytes", kSize, in<&Config::limits, &Config::Limits::unread_bytes>, 16 * kMiB,
        "Answers that wait for one client; beyond, its lists are refused as overload. Beyond a "
        "quarter its requests are not read, beyond eight times (64MiB at least) it is closed",
        kMiB, 64 * kMiB},
    ConfigKey{"limits.outgoing_bytes", kSize, in<&Config::limits, &Config::Limits::outgoing_bytes>,
              256 * kMiB,
              "Answers that wait for all clients; beyond, requests are read only of those for whom "
              "none wait, and beyond twice as much lists are refused to all",
              16 * kMiB, 64 * kGiB},
    ConfigKey{"limits.unread_timeout", kDuration,
              in<&Config::limits, &Config::Limits::unread_timeout_ms>, 30 * kSecond,
              "How long a client may take less than 64 KiB of what waits for it; then its "
              "connection is closed",
              100 * kMillisecond, kHour},
    ConfigKey{"limits.feeds", kCount, in<&Config::limits, &Config::Limits::feeds>,
              std::uint64_t{1024}, "Lists and followers of events that are served at a time", 1,
              100'000},
    ConfigKey{"limits.feeds_per_client", kCount,
              in<&Config::limits, &Config::Limits::feeds_per_client>, std::uint64_t{16},
              "Lists and followers of events of one connection", 1, 4096},
    ConfigKey{"limits.feed_bytes", kSize, in<&Config::limits, &Config::Limits::feed_bytes>,
              64 * kMiB,
              "Events that wait for all their readers, each of which has a share; beyond, up to "
              "twice as much, who has taken everything gets a little",
              kMiB, 64 * kGiB},
    ConfigKey{"limits.uncommitted_bytes", kSize,
              in<&Config::limits, &Config::Limits::uncommitted_bytes>, 64 * kMiB,
              "Proposed but not committed; beyond, commands are refused as overload", kMiB,
              64 * kGiB},
    ConfigKey{"limits.unwritten_bytes", kSize,
              in<&Config::limits, &Config::Limits::unwritten_bytes>, 256 * kMiB,
              "Changed rows in memory that the store does not have yet; beyond, the log is still "
              "written and acknowledged, and not applied",
              8 * kMiB, 64 * kGiB},
    ConfigKey{"limits.disk_reserve", kSize, in<&Config::limits, &Config::Limits::disk_reserve>,
              512 * kMiB,
              "Free space on the disk of data_dir below which a leader refuses commands; 0: until "
              "the disk is full",
              0, kTiB},
    ConfigKey{"limits.session_retention", kDuration,
              in<&Config::limits, &Config::Limits::session_retention_ms>, 24 * kHour,
              "How long the answer to a command is remembered for a retry", kMinute, kYear},
    ConfigKey{"limits.sessions_max", kCount, in<&Config::limits, &Config::Limits::sessions_max>,
              std::uint64_t{100'000}, "Answers remembered; beyond, new clients are refused", 1,
              100'000'000},
    ConfigKey{"limits.session_window", kCount, in<&Config::limits, &Config::Limits::session_window>,
              std::uint64_t{16'384},
              "Requests of one client beyond what it has acknowledged, or as many as "
              "requests_in_flight; more are refused",
              1, 100'000'000},
    ConfigKey{"limits.log_lines", kCount, in<&Config::limits, &Config::Limits::log_lines>,
              std::uint64_t{50},
              "Lines of one kind logged in ten seconds; the rest are counted, in a line", 1,
              1'000'000},
    ConfigKey{"insecure", kBool, in<&Config::insecure>, false,
              "May listen beyond loopback although connections are not encrypted yet"},
    ConfigKey{"log_level", kLogLevel, in<&Config::log_level>, "info",
              "The least severe lines that are logged"},
};

constexpr bool is_number(ValueKind kind) {
  return kind == kDuration || kind == kSize || kind == kCount;
}

// What a line of the table promises to who reads it: a default of the key's type and within its
// range, and a member that can hold all of the range.
constexpr bool is_sound(const ConfigKey& key) {
  if (key.kind == kBool) return std::holds_alternative<bool>(key.preset);
  if (!is_number(key.kind)) return std::holds_alternative<std::string_view>(key.preset);
  const auto* preset = std::get_if<std::uint64_t>(&key.preset);
  const bool narrow = std::holds_alternative<ConfigPlace<std::uint32_t>>(key.member);
  return preset != nullptr && *preset >= key.min && *preset <= key.max &&
         (narrow ? key.max <= std::numeric_limits<std::uint32_t>::max()
                 : std::holds_alternative<ConfigPlace<std::uint64_t>>(key.member));
}
static_assert(std::all_of(kKeys.begin(), kKeys.end(), is_sound));

ConfigValue preset_of(const ConfigKey& key) {
  if (key.kind == kAddressList) return std::vector<std::string>();
  if (const auto* flag = std::get_if<bool>(&key.preset)) return *flag;
  if (const auto* number = std::get_if<std::uint64_t>(&key.preset)) return *number;
  return std::string(std::get<std::string_view>(key.preset));
}

// How a value of the struct is a ConfigValue, and back. The table's ranges, and check_value(), have
// made sure that nothing is lost.
template <typename T>
ConfigValue to_value(const T& value) {
  return value;
}
ConfigValue to_value(const std::uint32_t& value) {
  return std::uint64_t{value};
}
ConfigValue to_value(const NodeId& value) {
  return value == NodeId() ? std::string() : to_string(value);
}

template <typename T>
void from_value(T& out, const ConfigValue& value) {
  out = std::get<T>(value);
}
void from_value(std::uint32_t& out, const ConfigValue& value) {
  const std::uint64_t number = std::get<std::uint64_t>(value);
  BIB_CHECK(number <= std::numeric_limits<std::uint32_t>::max());
  out = static_cast<std::uint32_t>(number);
}
void from_value(NodeId& out, const ConfigValue& value) {
  out = parse_node_id(std::get<std::string>(value)).value_or(NodeId());
}

template <typename... Args>
Status refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kConfig, format, std::forward<Args>(args)...);
}

Status check_text(const ConfigKey& key, const std::string& text) {
  if (text.empty() && std::get<std::string_view>(key.preset).empty()) return {};
  switch (key.kind) {
    case kNodeId: {
      const auto id = parse_node_id(text);
      if (id && *id != NodeId()) return {};
      return refuse("'{}' is not a node id: {}", text, allowed_text(key));
    }
    case kPath:
      if (!text.empty()) return {};
      return refuse("is empty; give {}", allowed_text(key));
    case kLogLevel:
      if (std::find(kLogLevels.begin(), kLogLevels.end(), text) != kLogLevels.end()) return {};
      return refuse("'{}' is not a log level: {}", text, allowed_text(key));
    case kAddress:
      if (const auto address = parse_address(text); !address) {
        return refuse("{}", address.error().message);
      }
      return {};
    case kJoinToken:
      // Whether it has expired matters to a node that has yet to join, and to no other.
      if (const auto token = decode_join_token(text); !token) {
        return refuse("{}", token.error().message);
      }
      return {};
    default:
      if (const Status named = check_cluster_name(text); !named) {
        return refuse("{}: {}", named.error().message, allowed_text(key));
      }
      return {};
  }
}

}  // namespace

NodeConfig::NodeConfig() {
  for (const ConfigKey& key : kKeys) set_value(*this, key, preset_of(key));
}

std::span<const ConfigKey> config_keys() {
  return kKeys;
}

const ConfigKey* find_config_key(std::string_view name) {
  const auto* found = std::find_if(kKeys.begin(), kKeys.end(),
                                   [name](const ConfigKey& key) { return key.name == name; });
  return found == kKeys.end() ? nullptr : found;
}

std::string environment_name(const ConfigKey& key) {
  std::string name = "BIBD_";
  for (const char c : key.name) {
    name.push_back(c == '.' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c));
  }
  return name;
}

std::string allowed_text(const ConfigKey& key) {
  switch (key.kind) {
    case kBool:
      return "true or false";
    case kClusterName:
      return fmt::format("1 to {} bytes of UTF-8 without control characters", kClusterNameSizeMax);
    case kNodeId:
      return "16 hex digits, not all zero (`bib setup --daemon` draws one)";
    case kPath:
      return "a path";
    case kAddress:
      return "host:port";
    case kAddressList:
      return "a list of host:port";
    case kDuration:
      return fmt::format("a duration of {} to {} (units ms, s, m, h)", format_duration(key.min),
                         format_duration(key.max));
    case kSize:
      return fmt::format("a size of {} to {} (units KiB, MiB, GiB, or plain bytes)",
                         format_size(key.min), format_size(key.max));
    case kCount:
      return fmt::format("a number of {} to {}", key.min, key.max);
    case kJoinToken:
      return "a join token (`bib cluster token create` prints one)";
    case kLogLevel:
      return fmt::format("{}", fmt::join(kLogLevels, ", "));
  }
  return {};
}

ConfigValue value_of(const NodeConfig& config, const ConfigKey& key) {
  return std::visit(
      [&](const auto& place) -> ConfigValue {
        if constexpr (std::is_same_v<decltype(place), const std::monostate&>) {
          return preset_of(key);
        } else {
          return to_value(place.read(config));
        }
      },
      key.member);
}

void set_value(NodeConfig& config, const ConfigKey& key, const ConfigValue& value) {
  std::visit(
      [&](const auto& place) {
        if constexpr (!std::is_same_v<decltype(place), const std::monostate&>) {
          from_value(place.write(config), value);
        }
      },
      key.member);
}

std::string value_text(const ConfigKey& key, const ConfigValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    return fmt::format("{}", fmt::join(*list, ","));
  }
  const std::uint64_t number = std::get<std::uint64_t>(value);
  if (key.kind == kDuration) return format_duration(number);
  if (key.kind == kSize) return format_size(number);
  return std::to_string(number);
}

std::string value_text(const NodeConfig& config, const ConfigKey& key) {
  return value_text(key, value_of(config, key));
}

Status check_value(const ConfigKey& key, const ConfigValue& value) {
  if (const auto* number = std::get_if<std::uint64_t>(&value)) {
    if (*number >= key.min && *number <= key.max) return {};
    return refuse("'{}' is out of range: {}", value_text(key, value), allowed_text(key));
  }
  if (const auto* text = std::get_if<std::string>(&value)) return check_text(key, *text);
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    for (const std::string& item : *list) {
      if (const auto address = parse_address(item); !address) {
        return refuse("{}", address.error().message);
      }
    }
  }
  return {};
}

}  // namespace bib::wire
