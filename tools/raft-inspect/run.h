// run: raft-inspect's command line, with everything that it touches handed in.
#pragma once

#include <span>
#include <string>

#include "inspect/commands.h"

namespace CLI {
class App;
}

namespace bib::inspect {

// What the command line says.
struct Options {
  CommonOptions common;
  std::string format = "text";
  std::string range;
  LogOptions log;
  VerifyOptions verify;
};

// The command line of raft-inspect, with its options bound to `options`.
void define_inspect(CLI::App& app, Options& options);

// `args` without the program's name. Answers with the exit code (exit_code.h).
int run(std::span<const std::string> args, const Console& console);

}  // namespace bib::inspect
