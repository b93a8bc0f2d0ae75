// NodeLine: a connection to one node, for who wants to hear that node and no other, and to send the
// bytes that it likes: nothing is redirected or repeated. One thread.
#pragma once

#include <chrono>
#include <memory>
#include <utility>

#include "cli/client/connection.h"
#include "wire/client/client_message.h"

namespace bib::nemesis {

class NodeLine {
 public:
  NodeLine(cli::ServerAddress address, wire::ClientId client, std::chrono::milliseconds timeout)
      : address_(std::move(address)), client_(client), timeout_(timeout) {}

  // One request, and the frame that answers it; an error reply is one. kIo, kTimeout: none has
  // come, and the next call dials again.
  wire::Result<wire::Frame> call(wire::FrameKind kind, wire::ByteView body);

 private:
  wire::Result<wire::Frame> exchange(wire::FrameKind kind, wire::ByteView body,
                                     cli::Clock::time_point deadline);

  cli::ServerAddress address_;
  wire::ClientId client_;
  std::chrono::milliseconds timeout_;
  std::unique_ptr<cli::Connection> connection_;
  std::uint64_t next_id_ = 1;
};

}  // namespace bib::nemesis
