// bib: the client.
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "cli/commands/bib_command.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  bib::cli::Context context{std::cin, std::cout, std::cerr, bib::cli::Environment::of_process()};
  context.in_is_terminal = isatty(STDIN_FILENO) == 1;
  context.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  context.err_is_terminal = isatty(STDERR_FILENO) == 1;
  return bib::cli::run_bib(std::vector<std::string>(argv + 1, argv + argc), context);
}
