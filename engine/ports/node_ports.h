// What a node needs of the world around it, as interfaces: a process puts a disk, sockets and
// threads after them (uv/), the simulator its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "consensus/effects.h"
#include "wire/base/bytes.h"
#include "wire/base/frame.h"
#include "wire/base/ids.h"
#include "wire/peer/peer_message.h"

namespace bib::engine {

// Where durable things go. Asynchronous: answers come as on_durable() and on_log_read().
class LogSink {
 public:
  virtual ~LogSink() = default;
  // Strictly in order. `entries` are write.first .. write.last; write.reset_membership belongs to
  // write.reset_to.
  virtual void submit(const consensus::LogWrite& write, std::vector<wire::Bytes> entries) = 0;
  // Reads durable entries first .. last, at least one and then up to about `bytes_max`.
  virtual void read(std::uint64_t token, wire::LogIndex first, wire::LogIndex last,
                    std::size_t bytes_max) = 0;
};

// May drop any message.
class PeerSender {
 public:
  virtual ~PeerSender() = default;
  virtual void send(const wire::PeerMessage& message) = 0;
};

// Numbers a session for the life of the process.
enum class SessionId : std::uint64_t {};

// Where an answer belongs.
struct Asker {
  SessionId session{};
  std::uint64_t request = 0;
};

// The way back to whoever asked: all that a desk needs of the server. The simulator has its own.
class ClientAnswers {
 public:
  virtual ~ClientAnswers() = default;
  // The one answer to a request (or the last of several).
  virtual void answer(Asker asker, wire::FrameKind kind, wire::ByteView body) = 0;
};

}  // namespace bib::engine
