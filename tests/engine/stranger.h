// A connection from outside that keeps to no rule but those of the system, for tests.
#pragma once

#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/frame.h"

namespace bib::engine {

class Stranger {
 public:
  // To "host:port" or, with a leading '/', to a Unix socket. Connected when it returns.
  explicit Stranger(const std::string& address);
  ~Stranger();
  Stranger(Stranger&& other) noexcept;
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  // What the system takes at once; the rest is lost. False: the other side is gone.
  bool send(wire::ByteView bytes);
  bool send(wire::FrameKind kind, std::uint64_t id, wire::ByteView body);
  // The header of a frame and so many bytes of its body.
  void send_beginning(wire::FrameKind kind, std::uint64_t id, wire::ByteView body,
                      std::size_t bytes);
  void close();

  // Takes what has come: the frames so far, and whether the other side has ended the stream.
  const std::vector<wire::Frame>& received();
  bool is_over();

 private:
  void read();

  int fd_ = -1;
  wire::FrameDecoder decoder_{wire::kPeerFrameBodyMax};
  std::vector<wire::Frame> received_;
  bool over_ = false;
};

}  // namespace bib::engine
