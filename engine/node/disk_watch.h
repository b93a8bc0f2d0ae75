// DiskWatch: tells a disk that has stalled from one that is slow.
//
// Lives on the node loop, which looks every now and then at how long the write under way has taken.
// A stall ends when that write does: whether the next one stalls is a new question.
#pragma once

#include <chrono>
#include <optional>

namespace bib::engine {

class DiskWatch {
 public:
  explicit DiskWatch(std::chrono::milliseconds limit) : limit_(limit) {}

  bool is_stalled() const { return stalled_; }

  // `running`: how long the write under way has taken so far; 0: none is. The news, if there is
  // any.
  std::optional<bool> look(std::chrono::microseconds running) {
    const bool stalled = running >= limit_;
    if (stalled == stalled_) return std::nullopt;
    stalled_ = stalled;
    return stalled;
  }

 private:
  std::chrono::milliseconds limit_;
  bool stalled_ = false;
};

}  // namespace bib::engine
