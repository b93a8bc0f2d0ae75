#include "cli/config/environment.h"

#include <unistd.h>

namespace bib::cli {
namespace {

// The XDG base directory specification: a relative value is ignored. `below` is relative to the
// directory.
std::string in_base_dir(const Environment& environment, const std::string& variable,
                        std::string_view below_home, std::string_view below) {
  std::string dir = environment.get(variable);
  if (!dir.empty() && dir.front() == '/') return dir.append(below);
  dir = environment.home();
  return dir.empty() ? dir : dir.append(below_home).append(below);
}

}  // namespace

Environment Environment::of_process() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return Environment(std::move(variables));
}

std::string Environment::get(const std::string& name) const {
  const auto found = variables_.find(name);
  return found == variables_.end() ? std::string() : found->second;
}

std::string Environment::home() const {
  const std::string dir = get("HOME");
  return !dir.empty() && dir.front() == '/' ? dir : std::string();
}

std::string Environment::config_path() const {
  return in_base_dir(*this, "XDG_CONFIG_HOME", "/.config", "/bibd/config.yaml");
}

std::string Environment::data_dir() const {
  return in_base_dir(*this, "XDG_DATA_HOME", "/.local/share", "/bibd");
}

std::string Environment::shown_path(std::string_view path) const {
  const std::string prefix = home();
  if (prefix.size() > 1 && path.substr(0, prefix.size()) == prefix &&
      path.substr(prefix.size(), 1) == "/") {
    return std::string("~").append(path.substr(prefix.size()));
  }
  return std::string(path);
}

}  // namespace bib::cli
