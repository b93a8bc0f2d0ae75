// EventQueue: simulated time. One thread; the next thing that happens is the one with the smallest
// time, and of these the one that was scheduled first, so that one seed gives one run.
#pragma once

#include <cstdint>
#include <vector>

#include "wire/base/check.h"

namespace bib::sim {

// Microseconds since the simulation began.
using Time = std::uint64_t;
inline constexpr Time kMillisecond = 1000;
inline constexpr Time kSecond = 1'000'000;

// Whoever something happens to. `code` is the target's own; targets outlive the queue's events.
class EventTarget {
 public:
  virtual ~EventTarget() = default;
  virtual void on_event(std::uint32_t code, std::uint64_t argument) = 0;
};

class EventQueue {
 public:
  Time now() const { return now_; }

  void after(Time delay, EventTarget& target, std::uint32_t code, std::uint64_t argument = 0) {
    heap_.push_back({now_ + delay, next_sequence_++, argument, &target, code});
    sift_up();
  }

  // The time of the next event; there must be one.
  Time next_time() const { return heap_.front().at; }
  bool empty() const { return heap_.empty(); }
  std::uint64_t happened() const { return happened_; }

  void run_next() {
    BIB_CHECK(!heap_.empty());
    const Event event = pop();
    now_ = event.at;
    ++happened_;
    event.target->on_event(event.code, event.argument);
  }

 private:
  struct Event {
    Time at;
    std::uint64_t sequence;
    std::uint64_t argument;
    EventTarget* target;
    std::uint32_t code;

    bool before(const Event& other) const {
      return at != other.at ? at < other.at : sequence < other.sequence;
    }
  };

  void sift_up() {
    std::size_t at = heap_.size() - 1;
    const Event event = heap_[at];
    while (at > 0) {
      const std::size_t parent = (at - 1) / 2;
      if (!event.before(heap_[parent])) break;
      heap_[at] = heap_[parent];
      at = parent;
    }
    heap_[at] = event;
  }

  Event pop() {
    const Event first = heap_.front();
    const Event last = heap_.back();
    heap_.pop_back();
    if (heap_.empty()) return first;
    std::size_t at = 0;
    while (true) {
      std::size_t child = 2 * at + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && heap_[child + 1].before(heap_[child])) ++child;
      if (!heap_[child].before(last)) break;
      heap_[at] = heap_[child];
      at = child;
    }
    heap_[at] = last;
    return first;
  }

  std::vector<Event> heap_;
  Time now_ = 0;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t happened_ = 0;
};

}  // namespace bib::sim
