// Always-on assertions for our own bugs.
//
// BIB_CHECK(condition) and BIB_CHECK(condition, "format", ...) print the file, the line, the
// condition and the message to stderr and abort. They stay on in release builds. They guard
// invariants of our own code only: bytes from outside (sockets, files) return Error instead.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace bib::wire {

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               std::string_view message);

// What a failed check calls first, on the thread whose check it is: so that what the process had
// logged is out before it ends. It must come back soon. One for the process; the last one set
// counts.
void set_before_abort(void (*action)());

}  // namespace bib::wire

#define BIB_CHECK(condition, ...)                                                               \
  do {                                                                                          \
    if (!(condition)) [[unlikely]] {                                                            \
      ::bib::wire::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
    }                                                                                           \
  } while (false)
