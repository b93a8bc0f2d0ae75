// Exit codes of raft-inspect, as its commands name them: wire/base/exit_code.h declares them.
#pragma once

#include "wire/base/exit_code.h"

namespace bib::inspect {

using ExitCode = wire::InspectExitCode;

}  // namespace bib::inspect
