// A logger that keeps its lines, for tests.
#pragma once

#include <string>
#include <vector>

#include "engine/ports/logger.h"

namespace bib::engine {

// "area: message", from kInfo on.
struct Lines final : Logger {
  Lines() : Logger(LogLevel::kInfo) {}
  std::vector<std::string> lines;
  std::size_t errors = 0;  // of them

  std::size_t count(std::string_view with) const {
    std::size_t found = 0;
    for (const std::string& line : lines) {
      if (line.find(with) != std::string::npos) ++found;
    }
    return found;
  }

 private:
  void write(LogLevel level, std::string_view area, std::string_view message) override {
    if (level == LogLevel::kError) ++errors;
    lines.push_back(fmt::format("{}: {}", area, message));
  }
};

}  // namespace bib::engine
