// What the configuration says to the parts of a process; Node::tuning_of() is for those of a node.
#pragma once

#include "engine/uv/client_server.h"
#include "engine/uv/peer_network.h"
#include "engine/uv/stderr_logger.h"
#include "wire/base/ids.h"
#include "wire/config/node_config.h"

namespace bib::engine {

PeerNetworkOptions peer_options(const wire::NodeConfig& config, wire::ClusterId cluster,
                                wire::BootId boot);
ClientServerOptions client_options(const wire::NodeConfig& config);
StderrLoggerOptions logger_options(const wire::NodeConfig& config);

}  // namespace bib::engine
