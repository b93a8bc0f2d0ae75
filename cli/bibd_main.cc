// bibd: a node.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "cli/bibd/bibd_command.h"
#include "engine/bibd/bibd.h"

namespace {

using bib::cli::ExitCode;

// Who reads the log may have stopped: that must not keep a node that has ended.
void print_error(const std::string& message) {
  pollfd out{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&out, 1, 1000) == 1) std::fprintf(stderr, "bibd: %s\n", message.c_str());
}

int fail(const bib::wire::Error& error) {
  print_error(error.message);
  return static_cast<int>(bib::cli::node_exit_code_for(error.code));
}

}  // namespace

int main(int argc, char** argv) {
  bib::cli::BibdStart start = bib::cli::parse_bibd(std::vector<std::string>(argv + 1, argv + argc),
                                                   bib::cli::Environment::of_process());
  std::fputs(start.out.c_str(), stdout);
  std::fputs(start.err.c_str(), stderr);
  if (!start.run) return static_cast<int>(start.code);

  const auto node = bib::engine::Bibd::create(std::move(start.config));
  if (!node) return fail(node.error());
  const auto stopped = (*node)->run();
  if (!stopped) return fail(stopped.error());
  return static_cast<int>(ExitCode::kOk);
}
