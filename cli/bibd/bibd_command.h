// The command line of `bibd`: options, the configuration from all its sources, and the check.
//
// parse_bibd() never exits the process and prints nothing itself: what it decided comes back as a
// value, so that main only prints and starts the node.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/config/environment.h"
#include "cli/print/exit_code.h"
#include "wire/config/node_config.h"

namespace CLI {
class App;
}

namespace bib::cli {

struct BibdOptions {
  std::string config_path;
  bool insecure = false;
  bool check_config = false;
  std::optional<std::string> log_level;
};

// The command line of bibd, with its options bound to `options`.
void define_bibd(CLI::App& app, BibdOptions& options, const Environment& environment);

struct BibdStart {
  bool run = false;  // start the node; otherwise print and end with `code`
  wire::NodeConfig config;
  ExitCode code = ExitCode::kOk;
  std::string out;  // for stdout
  std::string err;  // for stderr
};

BibdStart parse_bibd(std::vector<std::string> arguments, const Environment& environment);

}  // namespace bib::cli
