// Timeline: what happens when, in virtual time, in one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

namespace bib::damage {

using Time = std::uint64_t;  // microseconds
inline constexpr Time kMillisecond = 1000;
inline constexpr Time kSecond = 1000 * kMillisecond;

class Timeline {
 public:
  Time now() const { return now_; }
  void after(Time delay, std::function<void()> what) {
    due_.emplace(std::pair{now_ + delay, order_++}, std::move(what));
  }
  // Does what is due next; false when nothing is, until `end`.
  bool step(Time end) {
    const auto next = due_.begin();
    if (next == due_.end() || next->first.first > end) {
      now_ = end > now_ ? end : now_;
      return false;
    }
    now_ = next->first.first;
    const std::function<void()> what = std::move(next->second);
    due_.erase(next);
    what();
    return true;
  }
  // Until the condition holds; false: the time was up.
  bool run_until(const std::function<bool()>& condition, Time within) {
    const Time end = now_ + within;
    while (!condition()) {
      if (!step(end)) return condition();
    }
    return true;
  }

 private:
  Time now_ = 0;
  std::uint64_t order_ = 0;
  std::map<std::pair<Time, std::uint64_t>, std::function<void()>> due_;
};

}  // namespace bib::damage
