// Each key of `limits` reaches what it limits. That the limits hold is tested where they are.
#include <catch2/catch.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <string_view>

#include "engine/bibd/options.h"
#include "engine/node/node.h"
#include "wire/config/config_key.h"

using namespace bib;
using namespace bib::engine;

namespace {

using Read = std::function<std::uint64_t(const wire::NodeConfig&)>;

Read of_clients(auto member) {
  return [member](const wire::NodeConfig& config) { return client_options(config).*member; };
}

Read of_peers(auto member) {
  return [member](const wire::NodeConfig& config) { return peer_options(config, {}, {}).*member; };
}

Read of_node(auto read) {
  return [read](const wire::NodeConfig& config) { return read(Node::tuning_of(config)); };
}

std::multimap<std::string_view, Read> places() {
  using Clients = ClientServerOptions;
  using Peers = PeerNetworkOptions;
  return {
      {"client_connections", of_clients(&Clients::sessions_max)},
      {"socket_connections", of_clients(&Clients::socket_sessions_max)},
      {"new_connections", of_clients(&Clients::new_connections_max)},
      {"new_connections", of_peers(&Peers::new_connections_max)},
      {"greeting_timeout", of_clients(&Clients::greeting_timeout_ms)},
      {"greeting_timeout", of_peers(&Peers::greeting_timeout_ms)},
      {"joining_nodes", of_peers(&Peers::joiners_max)},
      {"incoming_frame_bytes",
       [](auto& config) { return client_options(config).frames.bytes_max; }},
      {"incoming_frame_bytes",
       [](auto& config) { return peer_options(config, {}, {}).frames.bytes_max; }},
      {"frame_timeout", [](auto& config) { return client_options(config).frames.deadline_ms; }},
      {"frame_timeout",
       [](auto& config) { return peer_options(config, {}, {}).frames.deadline_ms; }},
      {"peer_bytes", of_peers(&Peers::link_bytes_max)},
      {"requests_in_flight", of_clients(&Clients::requests_max)},
      {"unread_bytes", of_node([](auto tuning) { return tuning.queries.session_bytes_max; })},
      {"unread_bytes", [](auto& config) { return client_options(config).unread_bytes_max * 4; }},
      {"outgoing_bytes", of_clients(&Clients::outgoing_bytes_max)},
      {"outgoing_bytes", of_node([](auto tuning) { return tuning.queries.outgoing_bytes_max; })},
      {"unread_timeout", of_clients(&Clients::unread_timeout_ms)},
      {"feeds", of_node([](auto tuning) { return tuning.feed.feeds_max; })},
      {"feeds_per_client", of_node([](auto tuning) { return tuning.feed.feeds_per_session_max; })},
      {"feed_bytes", of_node([](auto tuning) { return tuning.feed.outgoing_bytes_max; })},
      {"uncommitted_bytes", of_node([](auto tuning) { return tuning.raft.uncommitted_bytes_max; })},
      {"uncommitted_bytes",
       of_node([](auto tuning) { return tuning.commands.uncommitted_bytes_max; })},
      {"unwritten_bytes", of_node([](auto tuning) { return tuning.commands.unwritten_bytes_max; })},
      {"disk_reserve", of_node([](auto tuning) { return tuning.snapshots.fetcher.reserve_bytes; })},
      {"sessions_max", of_node([](auto tuning) { return tuning.commands.sessions.records_max; })},
      {"session_window", of_node([](auto tuning) { return tuning.commands.sessions.window; })},
      {"log_lines", [](auto& config) { return logger_options(config).limit.lines_max; }},
  };
}

// StateKeeper reads it from the configuration itself: the simulator reaches it.
constexpr std::string_view kReadElsewhere = "session_retention";

}  // namespace

TEST_CASE("each key of the limits reaches what it limits") {
  constexpr std::string_view kSection = "limits.";
  const auto known = places();
  std::size_t keys = 0;
  for (const wire::ConfigKey& key : wire::config_keys()) {
    if (!key.name.starts_with(kSection) || !key.has_effect()) continue;
    const std::string_view name = key.name.substr(kSection.size());
    ++keys;
    if (name == kReadElsewhere) continue;
    CAPTURE(key.name);
    const auto [from, to] = known.equal_range(name);
    CHECK(from != to);  // a key that limits nothing
    for (const std::uint64_t value : {key.max / 4, key.max / 2}) {
      wire::NodeConfig config;
      config.limits.requests_in_flight = 1;  // session_window is at least as much
      set_value(config, key, wire::ConfigValue(value));
      for (auto place = from; place != to; ++place) CHECK(place->second(config) == value);
    }
  }
  CHECK(keys >= 20);
}

TEST_CASE("a client is closed for what waits only beyond several answers of any size") {
  wire::NodeConfig config;
  CHECK(client_options(config).slow_bytes_max == 8 * config.limits.unread_bytes);
  config.limits.unread_bytes = 1U << 20;
  CHECK(client_options(config).slow_bytes_max == 4 * std::uint64_t{wire::kClientFrameBodyMax});
}
