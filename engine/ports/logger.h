// Logger: the node's own log, one line an event, as an interface.
//
// A process writes it to stderr (uv/stderr_logger.h), the simulator into its trace. Thread-safe,
// and no call waits for who reads the log. Lines below the level cost one comparison. Who calls
// need not count: of one kind of line, a process writes so many in ten seconds
// (`limits.log_lines`). Whatever text from outside a message repeats, it is one line of bounded
// length and steers no terminal.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace bib::engine {

enum class LogLevel : int { kDebug = 0, kInfo = 1, kWarn = 2, kError = 3 };

std::optional<LogLevel> parse_log_level(std::string_view text);
std::string_view log_level_name(LogLevel level);

// Bytes of a message, before what is not printable is escaped; the rest is left out.
inline constexpr std::size_t kLogMessageMax = 4096;
// The message as it is written: printable (wire/base/text.h), and bounded.
std::string as_log_line(std::string message);

class Logger {
 public:
  explicit Logger(LogLevel level) : level_(level) {}
  virtual ~Logger() = default;

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
    const fmt::string_view kind = format;
    write_of_kind(level, area, {kind.data(), kind.size()},
                  as_log_line(fmt::format(format, std::forward<Args>(args)...)));
  }
  virtual void write(LogLevel level, std::string_view area, std::string_view message) = 0;
  // `kind`: the line's format, the same for all lines of one place in the code.
  virtual void write_of_kind(LogLevel level, std::string_view area, std::string_view /*kind*/,
                             std::string_view message) {
    write(level, area, message);
  }

  std::atomic<LogLevel> level_;
};

}  // namespace bib::engine
