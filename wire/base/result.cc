#include "wire/base/result.h"

#include <cstring>

namespace bib::wire {

std::string_view error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNone:
      return "none";
    case ErrorCode::kInvalid:
      return "invalid";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kNotLeader:
      return "not_leader";
    case ErrorCode::kNoQuorum:
      return "no_quorum";
    case ErrorCode::kRevisionConflict:
      return "revision_conflict";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kRefused:
      return "refused";
    case ErrorCode::kOverloaded:
      return "overloaded";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kUnauthenticated:
      return "unauthenticated";
    case ErrorCode::kForbidden:
      return "forbidden";
    case ErrorCode::kConfig:
      return "config";
    case ErrorCode::kRequestReused:
      return "request_reused";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kShuttingDown:
      return "shutting_down";
    case ErrorCode::kConflict:
      return "conflict";
  }
  return "unknown";
}

std::string errno_text(int error_number) {
  const char* text = ::strerrordesc_np(error_number);
  const char* name = ::strerrorname_np(error_number);
  if (text == nullptr || name == nullptr) return fmt::format("unknown error {}", error_number);
  return fmt::format("{} ({})", text, name);
}

}  // namespace bib::wire
