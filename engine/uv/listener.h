// Listener: an address that others connect to, as streams of frames (connection.h).
//
// Lives on one EventLoop. Listens on TCP "host:port", the host a number or "localhost", or, with a
// leading '/', on a Unix socket (mode 0600; a socket file that is not served is replaced, and the
// Listener removes its own). The address is taken from open() on; until serve(), connections are
// turned away: closed as soon as the loop sees them. Of many that come at once it takes a few each
// turn, so that what they send first is read before the next ones come. May be destroyed in its own
// callback.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engine/uv/connection.h"
#include "engine/uv/event_loop.h"
#include "wire/base/result.h"

namespace bib::engine {

class Listener {
 public:
  // Connections that one turn of the loop takes.
  static constexpr unsigned kAcceptsPerTurn = 32;

  // kInvalid: it is no address. kConfig: one cannot listen on it. kIo: the system refuses it.
  static wire::Result<std::unique_ptr<Listener>> open(EventLoop& loop, const std::string& address);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Called once. `on_connection` gets the connections from now on, those that wait included.
  void serve(ConnectionLimits limits,
             std::function<void(std::unique_ptr<Connection>)> on_connection);

  // The bound address, with the real port where 0 was asked for.
  const std::string& address() const { return address_; }

 private:
  struct State;
  Listener(State* state, std::string address);

  State* state_;  // outlives the Listener until libuv has closed the handle
  std::string address_;
};

}  // namespace bib::engine
