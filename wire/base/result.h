// Error and Result: how a failure that is not our bug travels.
//
// An Error has a stable code (listed in docs/wire-protocol.md; the numbers go over the wire and map
// to the exit codes of `bib`) and a message for a person: what happened, why, and what to do next.
// A refusal by a rule is an ordinary value with one of these codes, never an exception.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace bib::wire {

enum class ErrorCode : std::uint8_t {
  kNone = 0,
  kInvalid = 1,           // bytes or arguments that are not what they must be
  kCorrupt = 2,           // a file that was right once: checksum, continuity, schema
  kIo = 3,                // the system refused: disk full, connection reset
  kNotLeader = 4,         // ask the leader; the response names it where it is known
  kNoQuorum = 5,          // no leader, or no majority, within the time allowed
  kRevisionConflict = 6,  // the stream's revision is not the expected one
  kNotFound = 7,          // the named thing does not exist
  kRefused = 8,           // a rule of the projection said no
  kOverloaded = 9,        // a limit was reached; try again later
  kTimeout = 10,          // not answered in time; the outcome is unknown
  kUnauthenticated = 11,  // a wrong, expired or damaged token
  kForbidden = 12,        // known, but not allowed
  kConfig = 13,           // configuration is wrong
  kRequestReused = 14,    // a request id seen before, with another body
  kUnsupported = 15,      // a version or feature that this build does not know
  kShuttingDown = 16,     // the node is stopping; ask another
  kConflict = 17,         // what is committed on this node, the cluster has lost
};

// "revision_conflict" and so on; "unknown" for a number that this build does not know.
std::string_view error_code_name(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInvalid;
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

template <typename... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> format,
                                         Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

// "errno text (errno name)" for kIo messages.
std::string errno_text(int error_number);

}  // namespace bib::wire

// BIB_TRY(auto value, expression_of_Result) declares `value`, or returns the error.
#define BIB_TRY_CONCAT(a, b) a##b
#define BIB_TRY_NAME(line) BIB_TRY_CONCAT(bib_try_result_, line)
#define BIB_TRY(declaration, ...)                                       \
  auto BIB_TRY_NAME(__LINE__) = (__VA_ARGS__);                          \
  if (!BIB_TRY_NAME(__LINE__)) [[unlikely]]                             \
    return ::tl::unexpected(std::move(BIB_TRY_NAME(__LINE__)).error()); \
  declaration = *std::move(BIB_TRY_NAME(__LINE__))

// BIB_TRY_VOID(expression_of_Status) returns the error, if there is one.
#define BIB_TRY_VOID(...)                                         \
  do {                                                            \
    auto bib_try_status = (__VA_ARGS__);                          \
    if (!bib_try_status) [[unlikely]]                             \
      return ::tl::unexpected(std::move(bib_try_status).error()); \
  } while (false)
