#include "engine/uv/stderr_logger.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <chrono>
#include <string>

namespace bib::engine {

void StderrLogger::write(LogLevel level, std::string_view area, std::string_view message) {
  const auto now =
      std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto since_epoch = now.time_since_epoch().count();
  const std::string line = fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z {:<5} {:<8} {}\n",
                                       fmt::gmtime(static_cast<std::time_t>(since_epoch / 1000)),
                                       since_epoch % 1000, log_level_name(level), area, message);
  // Nothing can be done about a log that cannot be written.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace bib::engine
