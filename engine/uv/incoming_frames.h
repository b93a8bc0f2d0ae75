// IncomingFrames: the frames that have begun to come and are not whole yet, of all connections of
// one listener.
//
// Lives on one EventLoop and outlives the connections. A frame has a deadline from its first byte,
// and all frames together a number of bytes that they may hold; beyond it, the one that has been on
// its way longest is given up for the others: who sends his frames whole makes room by himself. A
// frame alone may always be as large as its connection's limit allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>

#include "engine/uv/event_loop.h"
#include "wire/base/result.h"

namespace bib::engine {

struct IncomingFramesOptions {
  std::size_t bytes_max = 256U << 20;
  std::uint64_t deadline_ms = 60'000;
};

class IncomingFrames {
 public:
  // Whose frame it is.
  struct Receiver {
    virtual ~Receiver() = default;
    // Its frame is no longer on its way here. Must not call back.
    virtual void give_up_frame(const wire::Error& reason) = 0;
  };
  struct Begun {
    Receiver* receiver = nullptr;
    std::uint64_t since_ms = 0;
    std::size_t bytes = 0;
  };
  using Place = std::list<Begun>::iterator;

  IncomingFrames(EventLoop& loop, IncomingFramesOptions options);

  // A frame's first bytes are here.
  Place begin(Receiver& receiver);
  // It holds so many bytes now. May give up any frame, this one among them.
  void hold(Place frame, std::size_t bytes);
  // It is whole, or its connection is gone. Not for one that was given up.
  void end(Place frame);

  std::size_t bytes() const { return bytes_; }
  std::size_t count() const { return begun_.size(); }

 private:
  void give_up_late();
  void give_up(Place frame, const wire::Error& reason);

  EventLoop& loop_;
  IncomingFramesOptions options_;
  std::list<Begun> begun_;  // the oldest first
  std::size_t bytes_ = 0;   // of all of them
  Timer late_;              // armed while there may be a frame
  bool is_armed_ = false;
};

}  // namespace bib::engine
