// Exit codes of `bib` and `bibd`, as the commands name them: wire/base/exit_code.h declares them.
//
// An Error that a node answered, or that the client made of a broken connection, maps to one of
// them by its code; so does one that ended a node.
#pragma once

#include "wire/base/exit_code.h"
#include "wire/base/result.h"

namespace bib::cli {

using wire::ExitCode;

// Of bib.
ExitCode exit_code_for(wire::ErrorCode code);

// Of bibd, for what ended a node or kept it from starting.
ExitCode node_exit_code_for(wire::ErrorCode code);

}  // namespace bib::cli
