// Logger: the node's own log, one line an event, to stderr.
//
//   2026-11-23T21:00:00.123Z info  raft     became leader of term 5
//
// Thread-safe; a line is written with one write(2). Lines below the level cost one comparison.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <optional>
#include <string_view>

namespace bib::engine {

enum class LogLevel : int { kDebug = 0, kInfo = 1, kWarn = 2, kError = 3 };

std::optional<LogLevel> parse_log_level(std::string_view text);

class Logger {
 public:
  explicit Logger(LogLevel level) : level_(level) {}

  template <typename... Args>
  void debug(std::string_view area, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::kDebug, area, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void info(std::string_view area, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::kInfo, area, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void warn(std::string_view area, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::kWarn, area, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void error(std::string_view area, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::kError, area, format, std::forward<Args>(args)...);
  }

 private:
  template <typename... Args>
  void log(LogLevel level, std::string_view area, fmt::format_string<Args...> format,
           Args&&... args) {
    if (level < level_.load(std::memory_order_relaxed)) return;
    write(level, area, fmt::format(format, std::forward<Args>(args)...));
  }
  void write(LogLevel level, std::string_view area, std::string_view message);

  std::atomic<LogLevel> level_;
};

}  // namespace bib::engine
