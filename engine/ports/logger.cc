#include "engine/ports/logger.h"

#include "wire/base/text.h"
#include "wire/config/config_key.h"

namespace bib::engine {
namespace {

using wire::kLogLevels;

constexpr bool is_named(LogLevel level, std::string_view name) {
  return kLogLevels[static_cast<std::size_t>(level)] == name;
}
static_assert(kLogLevels.size() == 4 && is_named(LogLevel::kDebug, "debug") &&
                  is_named(LogLevel::kInfo, "info") && is_named(LogLevel::kWarn, "warn") &&
                  is_named(LogLevel::kError, "error"),
              "a level's number is its place among the names");

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view text) {
  for (std::size_t i = 0; i < kLogLevels.size(); ++i) {
    if (kLogLevels[i] == text) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

std::string_view log_level_name(LogLevel level) {
  return kLogLevels[static_cast<std::size_t>(level)];
}

std::string as_log_line(std::string message) {
  if (message.size() > kLogMessageMax) {
    const std::size_t left_out = message.size() - kLogMessageMax;
    message.resize(kLogMessageMax);
    message += fmt::format("... ({} more bytes)", left_out);
  }
  return wire::printable(message);
}

}  // namespace bib::engine
