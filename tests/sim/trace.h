// Trace: what happened, as a hash always and as text on demand.
//
// The hash covers every event that another run of the same seed must repeat, so two runs are the
// same if their hashes are. The text is for a person who replays one seed.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <string_view>

#include "event_queue.h"

namespace bib::sim {

class Trace {
 public:
  Trace(const EventQueue& queue, bool print) : queue_(queue), print_(print) {}

  std::uint64_t hash() const { return hash_; }
  bool is_printed() const { return print_; }

  // What counts for the hash.
  template <typename... Numbers>
  void note(Numbers... numbers) {
    mix(queue_.now());
    (mix(static_cast<std::uint64_t>(numbers)), ...);
  }

  // One line of text: "   12.345678  n3  text".
  template <typename... Args>
  void line(std::string_view who, fmt::format_string<Args...> format, Args&&... args) {
    if (!print_) [[likely]]
      return;
    fmt::print("{:>12.6f}  {:<4} {}\n", static_cast<double>(queue_.now()) / kSecond, who,
               fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  void mix(std::uint64_t value) {
    hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15ULL;
    hash_ ^= hash_ >> 29;
  }

  const EventQueue& queue_;
  const bool print_;
  std::uint64_t hash_ = 0x51;
};

}  // namespace bib::sim
