// LimitedLog: lines that anybody outside can cause, so many of them a period.
//
// The first ones of a period are written as they come; those that follow are counted, and look()
// writes their number once the period is over. Lives on its owner's loop; time is the loop's.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "engine/ports/logger.h"

namespace bib::engine {

class LimitedLog {
 public:
  static constexpr std::uint64_t kPeriodMs = 10'000;

  // `what`: what the lines that are not written are about: "12 more WHAT within 10 s".
  LimitedLog(Logger& logger, std::string_view area, std::string_view what,
             std::uint32_t lines_max = 1)
      : logger_(logger), area_(area), what_(what), lines_max_(lines_max) {}

  template <typename... Args>
  void warn(std::uint64_t now_ms, fmt::format_string<Args...> format, Args&&... args) {
    if (may_write(now_ms)) logger_.warn(area_, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void info(std::uint64_t now_ms, fmt::format_string<Args...> format, Args&&... args) {
    if (may_write(now_ms)) logger_.info(area_, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void error(std::uint64_t now_ms, fmt::format_string<Args...> format, Args&&... args) {
    if (may_write(now_ms)) logger_.error(area_, format, std::forward<Args>(args)...);
  }

  // Now and then, so that the number is not left until the next line.
  void look(std::uint64_t now_ms) {
    if (lines_ == 0 || now_ms < began_ms_ + kPeriodMs) return;
    const std::uint64_t held_back = lines_ - std::min<std::uint64_t>(lines_, lines_max_);
    lines_ = 0;
    if (held_back > 0) {
      logger_.warn(area_, "{} more {} within {} s", held_back, what_, kPeriodMs / 1000);
    }
  }

 private:
  bool may_write(std::uint64_t now_ms) {
    look(now_ms);
    if (lines_++ == 0) began_ms_ = now_ms;
    return lines_ <= lines_max_;
  }

  Logger& logger_;
  std::string_view area_;  // literals
  std::string_view what_;
  std::uint32_t lines_max_;
  std::uint64_t began_ms_ = 0;
  std::uint64_t lines_ = 0;  // of this period, also those not written; 0: none has begun
};

}  // namespace bib::engine
