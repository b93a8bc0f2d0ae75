#include "cli/config/config_file.h"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "cli/client/address.h"
#include "cli/config/config_text.h"
#include "cli/print/units.h"
#include "wire/base/text.h"
#include "wire/config/config_key.h"

namespace bib::cli {
namespace {

using wire::ConfigKey;
using wire::ErrorCode;
using wire::NodeConfig;
using wire::ValueKind;
using Texts = std::vector<std::string>;

constexpr std::size_t kFileSizeMax = 1U << 20;
constexpr std::size_t kProblemsShownMax = 100;  // a file of another kind can have one in each line

// The names that may stand directly in a section ("" is the file itself).
std::vector<std::string_view> names_in(std::string_view section) {
  std::vector<std::string_view> names;
  for (const ConfigKey& key : wire::config_keys()) {
    std::string_view rest = key.name;
    if (!section.empty()) {
      if (rest.substr(0, section.size()) != section || rest.substr(section.size(), 1) != ".") {
        continue;
      }
      rest.remove_prefix(section.size() + 1);
    }
    const std::string_view name = rest.substr(0, rest.find('.'));
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

std::string_view leaf_of(std::string_view key) {
  return key.substr(key.rfind('.') + 1);
}

// yaml-cpp takes a quote that is never closed as closed by the end of the file, with all lines in
// between as its text. Whether the quoted value at the mark is like that.
bool is_unclosed(std::string_view text, const YAML::Mark& mark) {
  std::size_t at = 0;
  for (int line = 0; line < mark.line; ++line) {
    at = text.find('\n', at);
    if (at == std::string_view::npos) return false;
    ++at;
  }
  at += static_cast<std::size_t>(std::max(mark.column, 0));
  if (at >= text.size() || (text[at] != '"' && text[at] != '\'')) return false;
  const char quote = text[at];
  for (++at; at < text.size(); ++at) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (text[at] == quote) {
      return false;
    }
  }
  return true;
}

// Collects values and problems from one source after another.
class Loader {
 public:
  Loader(const ConfigSources& sources, const Environment& environment)
      : sources_(sources), environment_(environment) {}

  LoadedConfig load() {
    read_file();
    read_environment();
    for (const ConfigOverride& given : sources_.overrides) {
      set(*wire::find_config_key(given.key), given.value, fmt::format("option {}", given.option));
    }
    fill_in();
    // What is missing, or does not fit, may stand in the part that could not be read.
    if (!unread_) check_together();
    return std::move(loaded_);
  }

 private:
  void problem(std::string place, std::string_view key, std::string message, int line = 0) {
    if (place.empty()) place = "no file (HOME is not set; name one with --config FILE)";
    loaded_.problems.push_back({std::move(place), std::string(key), std::move(message), line});
  }

  std::string place(const YAML::Mark& mark) const {
    if (mark.is_null()) return sources_.path;
    return fmt::format("{}:{}:{}", sources_.path, mark.line + 1, mark.column + 1);
  }
  void problem_at(const YAML::Mark& mark, std::string_view key, std::string message) {
    problem(place(mark), key, std::move(message), mark.line + 1);
  }

  // A value that is there and cannot be taken.
  void wrong_at(const YAML::Mark& mark, const ConfigKey& key, std::string message) {
    problem_at(mark, key.name, std::move(message));
    wrong_.insert(key.name);
  }

  void set(const ConfigKey& key, std::string_view text, std::string where, int line = 0) {
    const auto status = set_from_text(loaded_.config, key, text, environment_.home());
    if (!status) {
      problem(where, key.name, status.error().message, line);
      wrong_.insert(key.name);
    } else if (!key.has_effect()) {
      without_effect_.erase(&key);
      if (text != value_text(loaded_.config, key)) without_effect_.insert(&key);
    }
    places_[key.name] = {std::move(where), line};
  }

  void read_file() {
    if (sources_.path.empty()) return;
    std::ifstream file(sources_.path, std::ios::binary);
    if (!file) {
      if (sources_.must_exist) {
        problem(sources_.path, "",
                fmt::format("cannot be opened: {}. `bib setup --daemon --config {}` writes it",
                            wire::errno_text(errno), sources_.path));
      }
      return;
    }
    loaded_.file_found = true;
    std::string text(kFileSizeMax + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    unread_ = true;
    if (file.bad() || (text.empty() && !file.eof())) {
      return problem(sources_.path, "", "cannot be read; is it a file?");
    }
    if (text.size() > kFileSizeMax) {
      return problem(sources_.path, "", "is larger than 1 MiB, which no configuration is");
    }
    read_text(text);
    std::stable_sort(loaded_.problems.begin(), loaded_.problems.end(),
                     [](const auto& a, const auto& b) { return a.line < b.line; });
  }

  void read_text(const std::string& text) {
    text_ = text;
    try {
      const std::vector<YAML::Node> documents = YAML::LoadAll(text);
      if (documents.size() > 1) {
        return problem_at(documents[1].Mark(), "",
                          "a second YAML document begins here; the configuration is one");
      }
      unread_ = false;
      if (documents.empty() || documents[0].IsNull()) return;
      read_section(documents[0], "");
    } catch (const YAML::DeepRecursion& error) {
      problem_at(error.mark, "",
                 fmt::format("is nested more than {} levels deep; the configuration has three",
                             error.depth()));
    } catch (const YAML::Exception& error) {
      problem_at(error.mark, "", fmt::format("is not YAML: {}", error.msg));
    } catch (const std::exception& error) {
      problem(sources_.path, "", fmt::format("is not YAML: {}", error.what()));
    }
  }

  // It is not known which of its keys were meant to be there.
  void not_read(const YAML::Mark& mark, const std::string& section, std::string message) {
    problem_at(mark, section, std::move(message));
    unread_ = true;
  }

  void read_section(const YAML::Node& section, const std::string& name) {
    if (!section.IsMap()) {
      return not_read(
          section.Mark(), name,
          fmt::format("must be a section with the keys {}", fmt::join(names_in(name), ", ")));
    }
    std::set<std::string> seen;
    for (const auto& item : section) {
      if (!item.first.IsScalar()) {
        problem_at(item.first.Mark(), name, "a key must be a plain word");
        continue;
      }
      const std::string full =
          name.empty() ? item.first.Scalar() : name + "." + item.first.Scalar();
      if (!seen.insert(full).second) {
        problem_at(item.first.Mark(), full, "is given twice; keep one");
        continue;
      }
      read_item(item.first, item.second, name, full);
    }
  }

  void read_item(const YAML::Node& name, const YAML::Node& value, const std::string& section,
                 const std::string& full) {
    // "cluster.node_id" is a path in messages and not a key of the file.
    const bool is_name = name.Scalar().find('.') == std::string::npos;
    if (is_name && wire::find_config_key(full) != nullptr) {
      return read_value(name, value, *wire::find_config_key(full));
    }
    if (is_name && !names_in(full).empty()) {
      if (!value.IsNull()) return read_section(value, full);
      // As with a key, what is not there has no place of its own.
      return not_read(name.Mark(), full,
                      fmt::format("has no value; give the keys {}, or remove the line",
                                  fmt::join(names_in(full), ", ")));
    }
    problem_at(name.Mark(), full, unknown_key(section, name.Scalar()));
    if (const ConfigKey* meant = wire::find_config_key(full)) wrong_.insert(meant->name);
  }

  static std::string unknown_key(const std::string& section, const std::string& name) {
    const std::vector<std::string_view> names = names_in(section);
    std::string hint = did_you_mean(name, names);
    const std::string full = section.empty() ? name : section + "." + name;
    if (const ConfigKey* key = wire::find_config_key(full)) {
      const std::string_view path = key->name;
      hint = fmt::format(" (write it as {} in the section {})", leaf_of(path),
                         path.substr(0, path.rfind('.')));
    }
    for (const ConfigKey& key : wire::config_keys()) {
      if (hint.empty() && leaf_of(key.name) == name) {
        hint = fmt::format(" (did you mean {}?)", key.name);
      }
    }
    return fmt::format("is not a key{}; allowed here: {}", hint, fmt::join(names, ", "));
  }

  void read_value(const YAML::Node& name, const YAML::Node& value, const ConfigKey& key) {
    // What is not there has no place of its own.
    if (value.IsNull()) {
      return wrong_at(name.Mark(), key,
                      fmt::format("has no value; give {}, or remove the line", allowed_text(key)));
    }
    if (key.kind == ValueKind::kAddressList) return read_list(value, key);
    if (!value.IsScalar()) {
      return wrong_at(
          value.Mark(), key,
          fmt::format("is a {}; give {}", value.IsMap() ? "section" : "list", allowed_text(key)));
    }
    if (is_unclosed(text_, value.Mark())) {
      return wrong_at(value.Mark(), key, "begins with a quote that is never closed");
    }
    set(key, value.Scalar(), place(value.Mark()), value.Mark().line + 1);
  }

  void read_list(const YAML::Node& value, const ConfigKey& key) {
    if (!value.IsSequence()) {
      return wrong_at(
          value.Mark(), key,
          fmt::format("is not a list; give {}, such as [10.0.0.1:4002]", allowed_text(key)));
    }
    Texts items;
    for (const auto& item : value) {
      if (!item.IsScalar()) {
        wrong_at(item.Mark(), key, fmt::format("give {}", allowed_text(key)));
        continue;
      }
      set(key, item.Scalar(), place(item.Mark()), item.Mark().line + 1);
      const auto taken = std::get<Texts>(value_of(loaded_.config, key));
      items.insert(items.end(), taken.begin(), taken.end());
      set_value(loaded_.config, key, Texts());
    }
    set_value(loaded_.config, key, items);
  }

  void read_environment() {
    std::vector<std::string> names;
    for (const ConfigKey& key : wire::config_keys()) names.push_back(environment_name(key));
    const std::vector<std::string_view> views(names.begin(), names.end());
    for (const auto& [name, value] : environment_.variables()) {
      if (name.rfind("BIBD_", 0) != 0) continue;
      const auto found = std::find(names.begin(), names.end(), name);
      if (found == names.end()) {
        problem(fmt::format("environment {}", name), "",
                fmt::format("is not a variable of bibd{}; docs/configuration.md lists them",
                            did_you_mean(name, views)));
        continue;
      }
      set(wire::config_keys()[static_cast<std::size_t>(found - names.begin())], value,
          fmt::format("environment {}", name));
    }
  }

  void fill_in() {
    NodeConfig& config = loaded_.config;
    if (config.data_dir.empty()) config.data_dir = environment_.data_dir();
    if (config.data_dir.empty() && !unread_) {
      problem(sources_.path, "cluster.data_dir",
              "is not set, and neither is HOME; give an absolute path");
    }
    for (const ConfigKey* key : without_effect_) {
      loaded_.warnings.push_back(fmt::format("{}: {}", key->name, key->help));
    }
  }

  struct Place {
    std::string text;
    int line = 0;
  };
  // Where the first of these keys was set by someone, else the file.
  Place place_of(const std::vector<std::string_view>& keys) const {
    for (const std::string_view key : keys) {
      const auto found = places_.find(key);
      if (found != places_.end()) return found->second;
    }
    return {sources_.path, 0};
  }
  void problem_with(const std::vector<std::string_view>& keys, std::string message) {
    for (const std::string_view key : keys) {
      if (wrong_.count(key) != 0) return;  // reported already, and its value is not its own
    }
    const Place where = place_of(keys);
    problem(where.text, keys.front(), std::move(message), where.line);
  }

  void check_together() {
    const NodeConfig& config = loaded_.config;
    const bool reported = !loaded_.file_found && sources_.must_exist;  // the whole file is missing
    if (config.node_id == wire::NodeId() && !reported) {
      std::string_view why =
          loaded_.file_found ? "is missing" : "is missing (there is no such file)";
      problem_with({"cluster.node_id"},
                   fmt::format("{}; `bib setup --daemon` writes a configuration with one", why));
    }
    for (wire::ConfigMismatch& mismatch : wire::mismatches(config)) {
      problem_with(mismatch.keys, std::move(mismatch.message));
    }
    if (loaded_.problems.empty()) check_reach();
  }

  // A client is sent on to the leader's address; on its own machine it would find another node.
  void check_reach() {
    const NodeConfig& config = loaded_.config;
    const std::string& raft = config.raft_address();
    const std::string& api = config.api_address();
    if (!config.enabled || !is_beyond_loopback(raft) || is_beyond_loopback(api)) return;
    loaded_.warnings.push_back(fmt::format(
        "{}: {} is this machine only, while the other nodes reach this one at {}: when it leads, "
        "clients on other machines are sent to an address where they find another node or none. "
        "Set api.listen_addr, or api.advertise_addr, to an address that they can dial",
        config.api_advertise_addr.empty() ? "api.listen_addr" : "api.advertise_addr", api, raft));
  }

  const ConfigSources& sources_;
  const Environment& environment_;
  LoadedConfig loaded_;
  bool unread_ = false;                       // the file, or a section of it, could not be read
  std::string_view text_;                     // the file's, while it is read
  std::map<std::string_view, Place> places_;  // keys that someone set
  std::set<std::string_view> wrong_;          // keys whose value was refused
  std::set<const ConfigKey*>
      without_effect_;  // such keys, where another value than the default is wanted
};

// A YAML double-quoted scalar; all control characters are escaped.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

std::string yaml_value(const NodeConfig& config, const ConfigKey& key) {
  const wire::ConfigValue value = value_of(config, key);
  if (const auto* list = std::get_if<Texts>(&value)) {
    Texts items;
    for (const std::string& item : *list) items.push_back(quoted(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr ? quoted(*text) : value_text(key, value);
}

bool always_written(std::string_view key) {
  static const std::set<std::string_view> kKeys = {
      "cluster.enabled",  "cluster.node_id",     "cluster.cluster_name",
      "cluster.data_dir", "cluster.listen_addr", "cluster.advertise_addr",
      "cluster.is_voter", "cluster.bootstrap",   "api.listen_addr"};
  return kKeys.count(key) != 0;
}

}  // namespace

// Keys and values are bytes of the file's.
std::string to_string(const ConfigProblem& problem) {
  if (problem.key.empty()) {
    return wire::printable(fmt::format("{}: {}", problem.place, problem.message));
  }
  return wire::printable(fmt::format("{}: {}: {}", problem.place, problem.key, problem.message));
}

LoadedConfig load_config(const ConfigSources& sources, const Environment& environment) {
  return Loader(sources, environment).load();
}

wire::Error config_error(const LoadedConfig& loaded) {
  std::vector<std::string> lines;
  for (const ConfigProblem& problem : loaded.problems) {
    if (lines.size() == kProblemsShownMax) {
      lines.push_back(
          fmt::format("and {} more; the first are shown", loaded.problems.size() - lines.size()));
      break;
    }
    lines.push_back(to_string(problem));
  }
  return {ErrorCode::kConfig, fmt::format("{}", fmt::join(lines, "\n"))};
}

std::string render_config(const NodeConfig& config) {
  static const NodeConfig kDefaults;
  std::string out =
      "# Configuration of bibd, written by `bib setup`. It holds a secret: keep it private.\n"
      "# All keys, their units and their defaults: docs/configuration.md\n";
  std::vector<std::string> open;  // the sections that the last line is in
  for (const ConfigKey& key : wire::config_keys()) {
    if (!always_written(key.name) && value_text(config, key) == value_text(kDefaults, key)) {
      continue;
    }
    std::vector<std::string> sections;
    std::string_view rest = key.name;
    for (std::size_t dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
      sections.emplace_back(rest.substr(0, dot));
      rest.remove_prefix(dot + 1);
    }
    std::size_t same = 0;
    while (same < open.size() && same < sections.size() && open[same] == sections[same]) ++same;
    if (same == 0) out += "\n";
    for (std::size_t depth = same; depth < sections.size(); ++depth) {
      out += fmt::format("{:{}}{}:\n", "", depth * 2, sections[depth]);
    }
    out += fmt::format("{:{}}{}: {}\n", "", sections.size() * 2, rest, yaml_value(config, key));
    open = std::move(sections);
  }
  return out;
}

}  // namespace bib::cli
