// BackOff: how long to wait before a connection is dialled again.
//
// Plain logic; times are the owner's loop's. A connection that ends soon after it was made counts
// like one that was not made: each pause is twice as long as the one before, up to the longest,
// until a connection has lasted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace bib::engine {

class BackOff {
 public:
  struct Limits {
    std::uint64_t shortest_ms = 0;
    std::uint64_t longest_ms = 0;
    std::uint64_t lasting_ms = 0;  // so long a connection has to last
  };
  explicit BackOff(Limits limits) : limits_(limits), pause_ms_(limits.shortest_ms) {}

  // The connection was made, and the other side is the one that was meant.
  void made(std::uint64_t now_ms) { made_at_ms_ = now_ms; }
  // The connection that there is has lasted, and what comes is a new trouble.
  bool has_lasted(std::uint64_t now_ms) const {
    return made_at_ms_ && now_ms >= *made_at_ms_ + limits_.lasting_ms;
  }
  // It has ended, or was not made: the pause before the next.
  std::uint64_t ended(std::uint64_t now_ms) {
    if (has_lasted(now_ms)) pause_ms_ = limits_.shortest_ms;
    made_at_ms_.reset();
    const std::uint64_t pause = pause_ms_;
    pause_ms_ = std::min(2 * pause_ms_, limits_.longest_ms);
    return pause;
  }
  // The other side has refused: it will hardly think otherwise soon.
  std::uint64_t refused() {
    made_at_ms_.reset();
    return pause_ms_ = limits_.longest_ms;
  }

 private:
  Limits limits_;
  std::uint64_t pause_ms_;
  std::optional<std::uint64_t> made_at_ms_;
};

}  // namespace bib::engine
