// The configuration file of a node: read, checked, and written. The one place that knows YAML.
//
// Precedence, the later wins: built-in defaults, the file, the environment (BIBD_...), the command
// line. load_config() reports every problem that it finds, not only the first, each with its place:
// file:line:column, the variable, or the option.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/config/environment.h"
#include "wire/base/result.h"
#include "wire/config/node_config.h"

namespace bib::cli {

// A key set on the command line.
struct ConfigOverride {
  std::string option;  // "--log-level", for messages
  std::string_view key;
  std::string value;
};

struct ConfigSources {
  std::string path;         // the file
  bool must_exist = false;  // it was named by hand
  std::vector<ConfigOverride> overrides;
};

struct ConfigProblem {
  std::string place;  // "config.yaml:12:5", "environment BIBD_LOG_LEVEL", "option --log-level"
  std::string key;    // empty: the file as a whole
  std::string message;
  int line = 0;  // for sorting; 0 outside the file
};
std::string to_string(const ConfigProblem& problem);

struct LoadedConfig {
  wire::NodeConfig config;
  std::vector<ConfigProblem> problems;  // in the order of the sources; empty: the config is valid
  std::vector<std::string> warnings;
  bool file_found = false;
};

LoadedConfig load_config(const ConfigSources& sources, const Environment& environment);
// All problems as one kConfig error.
wire::Error config_error(const LoadedConfig& loaded);

// The file's text: what differs from the defaults, and the keys of the cluster that a person looks
// for first. Reading it back gives the same configuration.
std::string render_config(const wire::NodeConfig& config);

// Writes the file atomically with mode 0600, because it holds the join token, and creates missing
// folders. kConfig when the file exists and `replace` is false.
wire::Status write_config_file(const std::string& path, std::string_view text, bool replace);

}  // namespace bib::cli
