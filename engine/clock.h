// Clock: wall time, injected. Monotonic time comes from the loop (EventLoop::now_ms) or as ticks.
#pragma once

#include <cstdint>

namespace bib::engine {

class Clock {
 public:
  virtual ~Clock() = default;
  // Microseconds since 1970-01-01 UTC. May jump; nothing's safety leans on it.
  virtual std::int64_t now_us() = 0;
};

class SystemClock final : public Clock {
 public:
  std::int64_t now_us() override;
};

}  // namespace bib::engine
