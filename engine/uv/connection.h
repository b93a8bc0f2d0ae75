// Connection: one TCP or Unix stream that carries frames (wire/base/frame.h) both ways.
//
// Lives on one EventLoop. What is sent collects in memory until flush(), which the owner calls once
// per turn: one system call for all of a turn's frames. Bounded: a connection with more than
// `outgoing_bytes_max` waiting to be sent is closed as too slow, and reading can be paused by the
// owner to push back; frames on their way in are bounded together (incoming_frames.h).
//
// Who may destroy whom: the owner may destroy a Connection at any time, also inside each of its
// callbacks; nothing is called after that. The Handler must outlive the Connection, and so must the
// loop. send(), flush(), finish() and pause_reading() never call back: a connection that fails in
// them stays where it is, sends nothing more, and on_closed comes from the loop in a later step.
// resume_reading() may deliver frames from inside.
#pragma once

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/uv/event_loop.h"
#include "engine/uv/incoming_frames.h"
#include "wire/base/bytes.h"
#include "wire/base/frame.h"
#include "wire/base/result.h"

namespace bib::engine {

struct ConnectionLimits {
  std::uint32_t frame_body_max = wire::kClientFrameBodyMax;  // of what comes
  std::uint32_t sent_body_max = wire::kClientFrameBodyMax;   // of what the other side takes
  std::size_t outgoing_bytes_max = 256U << 20;
  IncomingFrames* frames = nullptr;  // null: without a deadline and a budget
  // Bytes that wait in all connections which share it; null: nobody counts. Outlives them.
  std::size_t* outgoing_sum = nullptr;
};

class Connection {
 public:
  struct Handler {
    virtual ~Handler() = default;
    // A whole, checked frame.
    virtual void on_frame(wire::Frame&& frame) = 0;
    // It was not reached, the other side went away, sent bytes that are no frames, or was too slow.
    // Called once, the last call; the connection is unusable and should be destroyed.
    virtual void on_closed(const wire::Error& reason) = 0;
    // A dialled connection is established.
    virtual void on_connected() {}
    // All that was sent has left memory, after some of it had to wait.
    virtual void on_drained() {}
  };

  // Takes a pending connection from a listening stream. start() it before anything else.
  static wire::Result<std::unique_ptr<Connection>> accept(EventLoop& loop, uv_stream_t* server,
                                                          ConnectionLimits limits);
  // Begins to connect to "host:port", the host a number or a name; on_connected or on_closed
  // follows, and frames after on_connected. kInvalid: it is no address (wire/base/address.h).
  static wire::Result<std::unique_ptr<Connection>> dial(EventLoop& loop, const std::string& address,
                                                        ConnectionLimits limits, Handler* handler);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // For one that was accepted, once: the handler is called from now on.
  void start(Handler* handler);
  void pause_reading();
  // What has been read already is delivered from inside this call.
  void resume_reading();

  // A body above `sent_body_max` is not sent: the connection ends, for the other side would not
  // take it. Who has another answer looks at sent_body_max() first.
  void send(wire::FrameKind kind, std::uint64_t id, wire::ByteView body);
  // A body in two parts: bytes that are copied, then shared ones that are not.
  void send(wire::FrameKind kind, std::uint64_t id, wire::ByteView head,
            std::span<const wire::Bytes> shared);
  // Hands everything to the kernel that it will take.
  void flush();
  // The last words have been sent: they leave, and then the stream's end. No frame is delivered any
  // more, and what still comes is thrown away, so that it does not destroy the last words on their
  // way. on_closed comes when the other side closes, or goes on sending; for how long to wait for
  // that is the owner's to say.
  void finish();
  // Another limit, for the frames that have not begun yet.
  void set_frame_body_max(std::uint32_t size);
  std::size_t outgoing_bytes() const;
  // Of all that was ever sent here, the bytes that the kernel has taken. While some wait it stands
  // still if the other side does not read.
  std::uint64_t taken_bytes() const;
  std::uint32_t sent_body_max() const;
  // Of a TCP connection that is open, "host:port" of the other side; otherwise empty.
  std::string remote_address() const;
  // A dialled one: its name is still looked up, which takes as long as the system lets it.
  bool is_resolving() const;

 private:
  struct State;
  explicit Connection(State* state) : state_(state) {}
  State* state_;  // outlives the Connection until libuv has closed the handle
};

}  // namespace bib::engine
