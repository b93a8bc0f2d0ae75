// raft-inspect: see docs/raft-inspect.md.
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/run.h"

namespace {

bool wants_colour(int descriptor) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool allowed = no_colour == nullptr || *no_colour == '\0';
  return allowed && terminal != nullptr && std::string_view(terminal) != "dumb" &&
         ::isatty(descriptor) == 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> args(argv + 1, argv + argc);
  return bib::inspect::run(args, {.out = std::cout,
                                  .err = std::cerr,
                                  .colour_out = wants_colour(STDOUT_FILENO),
                                  .colour_err = wants_colour(STDERR_FILENO)});
}
