#include "cli/config/setup_plan.h"

#include <filesystem>

#include "cli/client/address.h"
#include "cli/config/cluster_token.h"
#include "cli/config/config_text.h"

namespace bib::cli {
namespace {

using wire::ErrorCode;

constexpr std::uint64_t kTokenLifetimeMs = 24ULL * 60 * 60 * 1000;

wire::Status set_option(wire::NodeConfig& config, std::string_view option, std::string_view key,
                        const std::string& value, const Environment& environment) {
  if (value.empty()) return {};
  const auto status = set_from_text(config, *wire::find_config_key(key), value, environment.home());
  if (!status) return wire::fail(ErrorCode::kInvalid, "{}: {}", option, status.error().message);
  return {};
}

std::string host_of(const std::string& address) {
  const auto parsed = parse_host_port(address);
  return parsed ? parsed->host : std::string();
}

// What others were told to dial belongs to the address that was listened on then.
void forget_advertised(wire::NodeConfig& config, const SetupOptions& options) {
  const wire::NodeConfig& before = options.before;
  const bool moved = config.listen_addr != before.listen_addr;
  const bool renamed = !options.advertise.empty() && options.advertise != before.advertise_addr;
  const bool is_one_name = host_of(before.advertise_addr) == host_of(before.api_advertise_addr);
  if (moved) config.advertise_addr.clear();
  if (config.api_listen_addr != before.api_listen_addr || ((moved || renamed) && is_one_name)) {
    config.api_advertise_addr.clear();
  }
}

wire::Status set_options(wire::NodeConfig& config, const SetupOptions& options,
                         const Environment& environment) {
  std::string data_dir =
      options.data_dir.empty() ? default_data_dir(options.before, environment) : options.data_dir;
  if (data_dir.empty()) {
    return wire::fail(ErrorCode::kConfig,
                      "HOME is not set, so there is no place for the data; nothing was written. "
                      "Name one: --data-dir DIR");
  }
  if (data_dir.front() != '/' && data_dir.front() != '~') {
    data_dir = std::filesystem::absolute(data_dir).lexically_normal().string();
  }
  BIB_TRY_VOID(set_option(config, "--data-dir", "cluster.data_dir", data_dir, environment));
  BIB_TRY_VOID(set_option(config, "--listen", "cluster.listen_addr", options.listen, environment));
  const bool follows = options.api_listen.empty() && options.mode != SetupMode::kSingle;
  BIB_TRY_VOID(set_option(
      config, "--api-listen", "api.listen_addr",
      follows ? default_api_address(config.listen_addr, options.before) : options.api_listen,
      environment));
  forget_advertised(config, options);
  BIB_TRY_VOID(
      set_option(config, "--advertise", "cluster.advertise_addr", options.advertise, environment));
  BIB_TRY_VOID(set_option(config, "--api-advertise", "api.advertise_addr", options.api_advertise,
                          environment));
  BIB_TRY_VOID(set_option(config, "--cluster-name", "cluster.cluster_name", options.cluster_name,
                          environment));
  const std::string node_id =
      options.node_id.empty() ? wire::to_string(random_node_id()) : options.node_id;
  return set_option(config, "--node-id", "cluster.node_id", node_id, environment);
}

// One listening address with what others are told to dial.
struct Door {
  const char* listen_option;
  const char* advertise_option;
  std::string& listen;
  std::string& advertise;
};

// Others cannot dial "every interface": they are told this machine's address.
wire::Status settle_door(const Door& door, bool insecure, const MachineAddress& machine_address) {
  BIB_TRY(const wire::Address listen, parse_host_port(door.listen));
  if (!wire::is_loopback(listen.host) && !insecure) {
    return wire::fail(ErrorCode::kConfig,
                      "{} {} is beyond loopback, and connections are not encrypted or "
                      "authenticated yet (no TLS): anyone who reaches the port can read and change "
                      "everything. Nothing was written. Accept that with --insecure, or listen on "
                      "127.0.0.1",
                      door.listen_option, door.listen);
  }
  if (!door.advertise.empty()) {
    BIB_TRY(const wire::Address advertise, parse_host_port(door.advertise));
    if (wire::is_wildcard(advertise.host)) {
      return wire::fail(ErrorCode::kInvalid, "{} {} cannot be dialled; give this machine's address",
                        door.advertise_option, door.advertise);
    }
    return {};
  }
  if (!wire::is_wildcard(listen.host)) return {};
  const auto host = machine_address();
  if (!host) {
    return wire::fail(ErrorCode::kConfig,
                      "{} {} is every interface, and this machine's address is not known: {}. "
                      "Name it with {} HOST:PORT",
                      door.listen_option, door.listen, host.error().message, door.advertise_option);
  }
  door.advertise = to_string(wire::Address{*host, listen.port});
  return {};
}

// What nodes dial, clients dial: --advertise names this machine once for both, where both listen on
// every interface.
wire::Status follow_advertised(wire::NodeConfig& config) {
  if (config.advertise_addr.empty() || !config.api_advertise_addr.empty()) return {};
  BIB_TRY(const wire::Address advertised, parse_host_port(config.advertise_addr));
  BIB_TRY(const wire::Address api, parse_host_port(config.api_listen_addr));
  if (wire::is_wildcard(api.host)) {
    config.api_advertise_addr = to_string(wire::Address{advertised.host, api.port});
  }
  return {};
}

wire::Result<std::string> plan_join(wire::NodeConfig& config, const SetupOptions& options) {
  BIB_TRY(const wire::JoinToken token, read_token(options.join_token));
  if (!options.cluster_name.empty() && options.cluster_name != token.cluster_name) {
    return wire::fail(ErrorCode::kInvalid,
                      "--cluster-name {} is not the token's cluster ({}); leave the option out",
                      options.cluster_name, token.cluster_name);
  }
  const auto address = parse_host_port(token.leader_addr);
  if (!address) {
    return wire::fail(ErrorCode::kUnauthenticated, "the join token's leader_addr: {}",
                      address.error().message);
  }
  if (to_string(*address) == config.raft_address()) {
    return wire::fail(ErrorCode::kConfig,
                      "this node would have the cluster's own address {}: give it another with "
                      "--listen HOST:PORT (and --api-listen, --data-dir, --config, where two nodes "
                      "share one machine)",
                      config.raft_address());
  }
  BIB_TRY(const wire::Address own, parse_host_port(config.raft_address()));
  if (!wire::is_loopback(address->host) && wire::is_loopback(own.host)) {
    return wire::fail(ErrorCode::kConfig,
                      "the cluster is at {}, and its nodes cannot reach this one at {}, which is "
                      "its own machine for each of them. Nothing was written. Name an address that "
                      "they can dial: --listen HOST:PORT --insecure",
                      to_string(*address), config.raft_address());
  }
  if (config.cluster_name != token.cluster_name) config.join_addrs.clear();  // of another cluster
  config.cluster_name = token.cluster_name;
  // The clean form: what came from a terminal may have blanks and line ends around it.
  config.join_token = wire::encode_join_token(token);
  return to_string(*address);
}

}  // namespace

std::string default_data_dir(const wire::NodeConfig& before, const Environment& environment) {
  return before.data_dir.empty() ? environment.data_dir() : before.data_dir;
}

std::string default_api_address(const std::string& listen, const wire::NodeConfig& before) {
  const std::string& kept = before.api_listen_addr;
  const auto address = parse_host_port(listen);
  const auto api = parse_host_port(kept);
  if (!address || !api || api->host != host_of(before.listen_addr)) return kept;
  if (wire::is_loopback(address->host) && wire::is_loopback(api->host)) return kept;
  return to_string(wire::Address{address->host, api->port});
}

wire::Result<SetupPlan> plan_setup(const SetupOptions& options, const Environment& environment,
                                   const MachineAddress& machine_address) {
  SetupPlan plan;
  wire::NodeConfig& config = plan.config;
  config = options.before;
  config.join_token.clear();
  BIB_TRY_VOID(set_options(config, options, environment));
  config.insecure = options.is_insecure();
  const bool was_voter = options.mode != SetupMode::kJoin || options.before.is_voter;
  config.is_voter = was_voter && !options.non_voter;
  config.enabled = options.mode != SetupMode::kSingle;
  config.bootstrap = options.mode != SetupMode::kJoin;
  BIB_TRY_VOID(settle_door({"--listen", "--advertise", config.listen_addr, config.advertise_addr},
                           config.insecure, machine_address));
  BIB_TRY_VOID(follow_advertised(config));
  BIB_TRY_VOID(settle_door(
      {"--api-listen", "--api-advertise", config.api_listen_addr, config.api_advertise_addr},
      config.insecure, machine_address));
  if (config.listen_addr == config.api_listen_addr) {
    return wire::fail(ErrorCode::kInvalid,
                      "--listen and --api-listen are the same ({}); nodes and "
                      "clients need a port each",
                      config.listen_addr);
  }
  if (options.mode != SetupMode::kJoin && options.non_voter) {
    return wire::fail(ErrorCode::kInvalid,
                      "--non-voter: the first node of a cluster votes; only a joining one may not");
  }
  if (options.mode == SetupMode::kJoin) {
    BIB_TRY(plan.join_address, plan_join(config, options));
  } else if (options.mode == SetupMode::kNewCluster) {
    config.join_token =
        make_token(config.cluster_name, config.raft_address(), kTokenLifetimeMs).text;
  }
  // Of what was kept: bibd would refuse it.
  for (const wire::ConfigMismatch& mismatch : wire::mismatches(config)) {
    return wire::fail(ErrorCode::kConfig,
                      "{}: {}; nothing was written. Correct that in the old configuration, or move "
                      "its file away to begin with the defaults",
                      mismatch.keys.front(), mismatch.message);
  }
  return plan;
}

}  // namespace bib::cli
