// Violation: a promise that was broken. Thrown by the checkers through whatever code is running,
// whose state is of no use any more; caught where the seed was started.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace bib::sim {

struct Violation {
  std::string checker;  // "commit", "durability", ...: docs/testing.md lists them
  std::string what;
};

template <typename... Args>
[[noreturn]] void violated(const char* checker, fmt::format_string<Args...> format,
                           Args&&... args) {
  throw Violation{checker, fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace bib::sim
