#include "cli/print/exit_code.h"

namespace bib::cli {

ExitCode exit_code_for(wire::ErrorCode code) {
  using wire::ErrorCode;
  switch (code) {
    case ErrorCode::kNone:
      return ExitCode::kOk;
    case ErrorCode::kInvalid:
      return ExitCode::kUsage;
    case ErrorCode::kConfig:
      return ExitCode::kConfiguration;
    case ErrorCode::kIo:
    case ErrorCode::kTimeout:
    case ErrorCode::kShuttingDown:
      return ExitCode::kConnection;
    case ErrorCode::kUnauthenticated:
      return ExitCode::kAuthentication;
    case ErrorCode::kForbidden:
      return ExitCode::kPermission;
    case ErrorCode::kNotLeader:
    case ErrorCode::kNoQuorum:
      return ExitCode::kNoLeader;
    case ErrorCode::kRevisionConflict:
      return ExitCode::kRevisionConflict;
    case ErrorCode::kNotFound:
      return ExitCode::kNotFound;
    case ErrorCode::kRefused:
      return ExitCode::kRefused;
    case ErrorCode::kConflict:  // ends bibd, and goes to no client
    case ErrorCode::kCorrupt:
    case ErrorCode::kOverloaded:
    case ErrorCode::kRequestReused:
    case ErrorCode::kUnsupported:
      return ExitCode::kGeneral;
  }
  return ExitCode::kGeneral;  // a code of a later version
}

ExitCode node_exit_code_for(wire::ErrorCode code) {
  using wire::ErrorCode;
  switch (code) {
    case ErrorCode::kNone:
      return ExitCode::kOk;
    case ErrorCode::kInvalid:  // the cluster cannot take what this node is told to be
    case ErrorCode::kConfig:
      return ExitCode::kConfiguration;
    case ErrorCode::kUnauthenticated:
      return ExitCode::kAuthentication;
    case ErrorCode::kForbidden:
      return ExitCode::kPermission;
    case ErrorCode::kRefused:
      return ExitCode::kRefused;
    case ErrorCode::kConflict:
      return ExitCode::kConflict;
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:  // of its own disk or sockets
    case ErrorCode::kNotLeader:
    case ErrorCode::kNoQuorum:
    case ErrorCode::kRevisionConflict:
    case ErrorCode::kNotFound:
    case ErrorCode::kOverloaded:
    case ErrorCode::kTimeout:
    case ErrorCode::kRequestReused:
    case ErrorCode::kUnsupported:
    case ErrorCode::kShuttingDown:
      return ExitCode::kGeneral;
  }
  return ExitCode::kGeneral;
}

}  // namespace bib::cli
