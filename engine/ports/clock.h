// Clock: the time, injected. Timers go by the loop (Turns::now_ms) or by ticks.
#pragma once

#include <cstdint>

namespace bib::engine {

class Clock {
 public:
  virtual ~Clock() = default;
  // Microseconds since 1970-01-01 UTC. May jump; nothing relies on it for safety.
  virtual std::int64_t now_us() const = 0;
  // Microseconds that only grow, also while the machine sleeps; from anywhere. A clock that has no
  // other kind of time gives its only one.
  virtual std::uint64_t monotonic_us() const { return static_cast<std::uint64_t>(now_us()); }
};

}  // namespace bib::engine
