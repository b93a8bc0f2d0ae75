// SetupPlan: the configuration that `bib setup --daemon` will write, made of options and checked.
//
// What no option says is as in the configuration that is replaced, but for the node's id, which is
// new, and what the mode decides. Pure but for the machine's address, which is given as a function
// so that tests choose it.
// Errors: kInvalid an option's value; kConfig values that bibd would refuse; kUnauthenticated a
// damaged or expired token.
#pragma once

#include <functional>
#include <string>

#include "cli/config/environment.h"
#include "wire/base/result.h"
#include "wire/config/node_config.h"
#include "wire/peer/join_token.h"

namespace bib::cli {

enum class SetupMode : std::uint8_t { kSingle, kNewCluster, kJoin };

struct SetupOptions {
  SetupMode mode = SetupMode::kSingle;
  std::string join_token;   // kJoin: the token's text
  wire::NodeConfig before;  // the configuration that is replaced; all defaults where there is none
  std::string data_dir;     // this and the following: empty means as before
  std::string listen;
  std::string advertise;
  std::string api_listen;
  std::string api_advertise;
  std::string cluster_name;
  std::string node_id;
  bool non_voter = false;
  bool insecure = false;

  bool is_insecure() const { return insecure || before.insecure; }
};

struct SetupPlan {
  wire::NodeConfig config;
  std::string join_address;  // kJoin: where the cluster is
};

// Where the data is when nothing else was said; empty where no place is known.
std::string default_data_dir(const wire::NodeConfig& before, const Environment& environment);

// Where clients of a node in a cluster are to reach it when nothing else was said: on the host
// where the other nodes reach it, so that a redirect to it leads somewhere from their machines too;
// as before where the two differed already.
std::string default_api_address(const std::string& listen, const wire::NodeConfig& before);

using MachineAddress = std::function<wire::Result<std::string>()>;

wire::Result<SetupPlan> plan_setup(const SetupOptions& options, const Environment& environment,
                                   const MachineAddress& machine_address);

}  // namespace bib::cli
