// Connection: one socket to a node, carrying frames both ways.
//
// Owned by the client that opened it; one thread. The socket does not block: start() begins to
// connect, and everything else does what can be done now, which is nothing until the connection
// is made. A kIo error ends the connection; close it by destroying it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "cli/client/address.h"
#include "wire/base/frame.h"
#include "wire/base/result.h"

namespace bib::cli {

using Clock = std::chrono::steady_clock;

// The time to the deadline, for poll(2); never negative, and rounded up so that it is not 0 early.
int poll_timeout(Clock::time_point deadline);

class Connection {
 public:
  // Looks the name up, which may take its time, and dials its addresses, one after another where
  // there are several.
  static wire::Result<std::unique_ptr<Connection>> start(const ServerAddress& address);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const ServerAddress& address() const { return address_; }
  int fd() const { return fd_; }

  // Appends a frame to what will be sent.
  void queue(wire::FrameKind kind, std::uint64_t id, wire::ByteView body);
  std::size_t queued_bytes() const { return out_.size() - out_begin_; }

  // The events that the socket waits for, for poll(2).
  short events() const;
  // Sends and receives what the socket takes and has.
  wire::Status flush();
  wire::Status receive();
  // The next whole frame among the received bytes.
  wire::Result<std::optional<wire::Frame>> next() { return decoder_.next(); }

  // The node ended the connection in order, by itself.
  bool was_closed() const { return was_closed_; }

  // Waits until the socket can be read, or written while frames are queued; false: the deadline.
  wire::Result<bool> wait(Clock::time_point deadline) const;
  // flush, wait and receive until a frame is there; kTimeout at the deadline.
  wire::Result<wire::Frame> receive_frame(Clock::time_point deadline);

 private:
  struct Target;  // an address of the socket kind

  explicit Connection(ServerAddress address);
  wire::Status dial_next();
  // The socket has failed: another address is dialled, or this is how it ends.
  wire::Status fail_over(int error);

  ServerAddress address_;
  std::vector<Target> targets_;  // to be dialled, the last one first, if this one is not reached
  int fd_ = -1;
  bool established_ = false;
  bool was_closed_ = false;
  std::vector<std::uint8_t> out_;
  std::size_t out_begin_ = 0;
  wire::FrameDecoder decoder_;
};

}  // namespace bib::cli
