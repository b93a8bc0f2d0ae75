// LogAge: which entries this node has had applied for so long, by its own steady time.
//
// No clock is compared with another node's, and none that jumps is asked: what a node has not seen
// for that long, also because it was just started, counts as young. On the node loop.
#pragma once

#include <cstdint>
#include <deque>

#include "wire/base/ids.h"

namespace bib::engine {

class LogAge {
 public:
  explicit LogAge(std::uint64_t age_ms) : age_ms_(age_ms) {}

  // Now and then; `now_ms` never falls.
  void note(std::uint64_t now_ms, wire::LogIndex applied) {
    if (seen_.empty() || now_ms - seen_.back().ms > age_ms_ / kSamples) {
      seen_.push_back({now_ms, applied});
    }
    while (seen_.size() > 1 && now_ms - seen_[1].ms >= age_ms_) seen_.pop_front();
  }
  // Entries up to here were applied at least so long before the last note(); 0: none is known.
  wire::LogIndex old_to(std::uint64_t now_ms) const {
    if (seen_.empty() || now_ms - seen_.front().ms < age_ms_) return {};
    return seen_.front().applied;
  }

 private:
  // So exact is an age, and so many are kept.
  static constexpr std::uint64_t kSamples = 64;
  struct Seen {
    std::uint64_t ms;
    wire::LogIndex applied;
  };

  std::uint64_t age_ms_;
  std::deque<Seen> seen_;  // oldest first
};

}  // namespace bib::engine
