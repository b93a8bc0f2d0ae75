#include "wire/base/exit_code.h"

#include <fmt/format.h>

namespace bib::wire {
namespace {

struct Meaning {
  std::string_view bib;
  std::string_view bibd;
  Supervision supervision = Supervision::kNone;
};

// No default: the compiler names a code that is not here.
Meaning meaning_of(ExitCode code) {
  switch (code) {
    case ExitCode::kOk:
      return {"done", "it was asked to stop (SIGINT, SIGTERM), and has stopped",
              Supervision::kLeave};
    case ExitCode::kGeneral:
      return {
          "any other error; an import with bad or refused records; digests that differ",
          "it had to stop, or could not start: its disk, its files, or an address that is taken",
          Supervision::kStartAgain};
    case ExitCode::kUsage:
      return {"the command line, or a value on it, is wrong", "the command line is wrong",
              Supervision::kLeave};
    case ExitCode::kConfiguration:
      return {"the configuration is wrong, or would be overwritten", "the configuration is wrong",
              Supervision::kLeave};
    case ExitCode::kConnection:
      return {"no node can be reached, or none answered in time"};
    case ExitCode::kAuthentication:
      return {"a join token is damaged or expired",
              "the join token is missing, damaged or expired, or the cluster does not know it",
              Supervision::kLeave};
    case ExitCode::kPermission:
      return {"the node does not allow it; nodes of this version allow everything",
              "the join token is another cluster's", Supervision::kLeave};
    case ExitCode::kNoLeader:
      return {"no leader, or no quorum"};
    case ExitCode::kRevisionConflict:
      return {"the revision is not the expected one"};
    case ExitCode::kNotFound:
      return {"it does not exist"};
    case ExitCode::kRefused:
      return {"a rule refused it",
              "the cluster refused the node, or another bibd runs as this node or on its directory",
              Supervision::kLeave};
    case ExitCode::kConflict:
      return {
          {},
          "the cluster has lost what is committed on this node, whose directory is the only copy",
          Supervision::kLeave};
    case ExitCode::kInterrupted:
      return {"Ctrl-C; an import and a bench say how far they got"};
  }
  return {};
}

std::string_view meaning_of(InspectExitCode code) {
  switch (code) {
    case InspectExitCode::kClean:
      return "clean; a torn last write is clean, and `verify` mentions it";
    case InspectExitCode::kGeneral:
      return "it could not look (no such directory, no permission), or a check could not be made";
    case InspectExitCode::kUsage:
      return "the command line is wrong";
    case InspectExitCode::kDamage:
      return "damage: something that was durable is missing or wrong";
    case InspectExitCode::kNotBibData:
      return "the directory holds no log of a node";
  }
  return {};
}

}  // namespace

std::string_view exit_meaning(Program program, int code) {
  switch (program) {
    case Program::kBib:
      return meaning_of(static_cast<ExitCode>(code)).bib;
    case Program::kBibd:
      return meaning_of(static_cast<ExitCode>(code)).bibd;
    case Program::kRaftInspect:
      return meaning_of(static_cast<InspectExitCode>(code));
  }
  return {};
}

Supervision supervision(int code) {
  return meaning_of(static_cast<ExitCode>(code)).supervision;
}

std::string_view to_string(Supervision supervision) {
  switch (supervision) {
    case Supervision::kNone:
      break;
    case Supervision::kLeave:
      return "leave it";
    case Supervision::kStartAgain:
      return "start it again";
  }
  return {};
}

std::string exit_code_help(Program program) {
  std::string text = "Exit codes:";
  for (int code = 0; code <= kExitCodeMax; ++code) {
    const std::string_view meaning = exit_meaning(program, code);
    if (!meaning.empty()) text += fmt::format("\n  {:>3}  {}", code, meaning);
  }
  return text;
}

}  // namespace bib::wire
