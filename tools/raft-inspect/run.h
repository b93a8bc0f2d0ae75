// run: raft-inspect's command line, with everything that it touches handed in.
#pragma once

#include <span>
#include <string>

#include "inspect/commands.h"

namespace bib::inspect {

// `args` without the program's name. Answers with the exit code (exit_code.h).
int run(std::span<const std::string> args, const Console& console);

}  // namespace bib::inspect
