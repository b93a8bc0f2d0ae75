#include "engine/uv/listeners.h"

#include <string>
#include <utility>

namespace bib::engine {
namespace {

wire::Result<std::unique_ptr<Listener>> open_listener(EventLoop& loop, const char* key,
                                                      const std::string& address,
                                                      const char* what_it_needs) {
  auto listener = Listener::open(loop, address);
  if (listener) return listener;
  const wire::Error& error = listener.error();
  // An address that is not even one has been told what to do.
  if (error.code != wire::ErrorCode::kIo)
    return wire::fail(error.code, "{}: {}", key, error.message);
  return wire::fail(error.code, "{}: {}. Set {} to {}", key, error.message, key, what_it_needs);
}

}  // namespace

wire::Result<Listeners> open_listeners(EventLoop& loop, const wire::NodeConfig& config) {
  constexpr char kAddress[] = "an address of this machine and a port that is free";
  constexpr char kPath[] = "a path where this process may make a socket";
  Listeners listeners;
  BIB_TRY(listeners.peers,
          open_listener(loop, "cluster.listen_addr", config.listen_addr, kAddress));
  BIB_TRY(listeners.clients.tcp,
          open_listener(loop, "api.listen_addr", config.api_listen_addr, kAddress));
  BIB_TRY(listeners.clients.socket, open_listener(loop, "api.socket", config.socket_path(), kPath));
  return listeners;
}

}  // namespace bib::engine
