// Listeners: all that a node listens on, open before there is a node.
//
// Bibd opens them once the data directory is its own, before it founds a cluster or asks to join
// one: a node whose address is taken must not become an unreachable member. What it writes
// and whom it asks comes after. Until PeerNetwork and ClientServer serve them they turn everybody
// away. They live on the node loop.
#pragma once

#include <memory>

#include "engine/uv/client_server.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/listener.h"
#include "wire/base/result.h"
#include "wire/config/node_config.h"

namespace bib::engine {

struct Listeners {
  std::unique_ptr<Listener> peers;
  ClientListeners clients;
};

// All or none. The error names the setting to change.
wire::Result<Listeners> open_listeners(EventLoop& loop, const wire::NodeConfig& config);

}  // namespace bib::engine
