// Connection: one TCP or Unix stream that carries frames (wire/base/frame.h) both ways.
//
// Lives on one EventLoop. Owned by whoever made it; may be destroyed in its own callbacks. What is
// sent collects in memory until flush(), which the owner calls once per turn: one system call for
// all of a turn's frames. Bounded: when more than `outgoing_bytes_max` waits to be sent the
// connection is closed as too slow, and reading can be paused by the owner to push back.
#pragma once

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/uv/event_loop.h"
#include "wire/base/bytes.h"
#include "wire/base/frame.h"
#include "wire/base/result.h"

namespace bib::engine {

struct ConnectionLimits {
  std::uint32_t frame_body_max = wire::kClientFrameBodyMax;
  std::size_t outgoing_bytes_max = 256U << 20;
};

class Connection {
 public:
  struct Handler {
    virtual ~Handler() = default;
    // A whole, checked frame. The handler may close or destroy the connection.
    virtual void on_frame(wire::Frame&& frame) = 0;
    // The other side went away, sent bytes that are no frames, or was too slow. Called once; the
    // connection is unusable and should be destroyed. Not called after close() or destruction.
    virtual void on_closed(const wire::Error& reason) = 0;
    // A dialled connection is established.
    virtual void on_connected() {}
    // All that was sent has left memory, after some of it had to wait.
    virtual void on_drained() {}
  };

  // Takes a pending connection from a listening stream.
  static wire::Result<std::unique_ptr<Connection>> accept(EventLoop& loop, uv_stream_t* server,
                                                          ConnectionLimits limits);
  // Begins to connect to a numeric or named "host:port"; on_connected or on_closed follows.
  static wire::Result<std::unique_ptr<Connection>> dial(EventLoop& loop, const std::string& address,
                                                        ConnectionLimits limits, Handler* handler);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Frames are delivered from now on.
  void start(Handler* handler);
  void pause_reading();
  void resume_reading();

  void send(wire::FrameKind kind, std::uint64_t id, wire::ByteView body);
  // A body in two parts: bytes that are copied, then shared ones that are not.
  void send(wire::FrameKind kind, std::uint64_t id, wire::ByteView head,
            const std::vector<wire::Bytes>& shared);
  // Hands everything to the kernel that it will take.
  void flush();
  std::size_t outgoing_bytes() const;
  bool is_open() const;

 private:
  struct State;
  explicit Connection(State* state);
  State* state_;  // outlives the Connection until libuv has closed the handle
};

// Listens on TCP "host:port" or, with a leading '/', on a Unix socket (mode 0600; a socket file
// that nobody serves is replaced). The address is taken from open() on; until serve(), whoever
// connects is turned away: its connection is closed as soon as the loop sees it.
class Listener {
 public:
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
  explicit Listener(State* state, std::string address)
      : state_(state), address_(std::move(address)) {}
  State* state_;
  std::string address_;
};

}  // namespace bib::engine
