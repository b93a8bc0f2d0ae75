// Exit codes of `bib` and `bibd`: stable, for scripts. docs/operations.md lists them.
//
// Values only. An Error that a node answered, or that the client made of a broken connection, maps
// to one of them by its code.
#pragma once

#include "wire/base/result.h"

namespace bib::cli {

enum class ExitCode : int {
  kOk = 0,
  kGeneral = 1,
  kUsage = 2,
  kConfiguration = 3,
  kConnection = 4,
  kAuthentication = 5,
  kPermission = 6,
  kNoLeader = 7,  // no leader or no quorum
  kRevisionConflict = 8,
  kNotFound = 9,
  kRefused = 10,       // a rule said no
  kConflict = 11,      // bibd: the cluster has lost what is committed on this node
  kInterrupted = 130,  // Ctrl-C, as shells have it: 128 + SIGINT
};

ExitCode exit_code_for(wire::ErrorCode code);

}  // namespace bib::cli
