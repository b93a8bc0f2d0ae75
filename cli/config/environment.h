// Environment: the variables of the process as a value, and the places that follow from them.
//
// Read once by main and passed on, so that tests choose their own.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace bib::cli {

class Environment {
 public:
  Environment() = default;
  explicit Environment(std::map<std::string, std::string> variables)
      : variables_(std::move(variables)) {}
  static Environment of_process();

  // Empty when it is not set.
  std::string get(const std::string& name) const;
  const std::map<std::string, std::string>& variables() const { return variables_; }

  // $HOME; empty when it is not set or no absolute path.
  std::string home() const;
  // $XDG_CONFIG_HOME/bibd/config.yaml or ~/.config/bibd/config.yaml; empty when neither is known.
  std::string config_path() const;
  // $XDG_DATA_HOME/bibd or ~/.local/share/bibd; empty when neither is known.
  std::string data_dir() const;
  // The path with ~ for the home directory, for people.
  std::string shown_path(std::string_view path) const;

 private:
  std::map<std::string, std::string> variables_;
};

}  // namespace bib::cli
