// The commands and options of the three programs, from the structures that parse them:
// docs/commands.md has each of them and no other, and what any document shows can be typed.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <iostream>
#include <regex>
#include <set>
#include <sstream>

#include "cli/bibd/bibd_command.h"
#include "cli/commands/bib_command.h"
#include "inspect/run.h"
#include "support/document.h"
#include "support/test_support.h"
#include "wire/config/config_key.h"

using namespace bib;

namespace {

using Lines = std::vector<std::string>;

// The command lines, as main builds them.
struct Programs {
  Programs() : commands(bib, context) {
    cli::define_bib(commands);
    cli::define_bibd(bibd, bibd_options, environment);
    inspect::define_inspect(raft_inspect, inspect_options);
  }
  std::vector<const CLI::App*> all() const { return {&bib, &bibd, &raft_inspect}; }

  // The defaults that help texts show are those of this environment.
  cli::Environment environment{std::map<std::string, std::string>{{"HOME", "/home/user"}}};
  cli::Context context{std::cin, std::cout, std::cerr, environment};
  CLI::App bib;
  cli::Commands commands;
  CLI::App bibd;
  cli::BibdOptions bibd_options;
  CLI::App raft_inspect;
  inspect::Options inspect_options;
};

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// "HOST:PORT", without what a check adds to it.
std::string type_of(const CLI::Option& option) {
  static const std::regex kCheck(":(\\{.*\\}|[A-Z]+ in \\[.*\\])$");
  return std::regex_replace(option.get_type_name(), kCheck, "");
}

// "`-p`, `--parents`", "`--from POS`", "`PATH`", "`[TOPIC]`", "`ID...`".
std::string shown(const CLI::Option& option) {
  if (option.get_positional()) {
    const std::string name = option.get_name(true);
    const std::string many = option.get_items_expected_max() > 1 ? "..." : "";
    return option.get_required() ? "`" + name + many + "`" : "`[" + name + "]`";
  }
  Lines names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  if (option.get_items_expected_max() > 0) names.back() += " " + type_of(option);
  return fmt::format("`{}`", fmt::join(names, "`, `"));
}

void describe(const CLI::App& app, const std::string& path, std::size_t rank, Lines& lines) {
  lines.push_back(fmt::format("{:#<{}} {}", "", rank, path));
  lines.push_back(app.get_description() + (app.get_description().back() == '.' ? "" : "."));
  for (const bool positional : {true, false}) {  // as --help has them
    for (const CLI::Option* option : app.get_options()) {
      if (option->check_lname("help") || option->check_lname("version")) continue;
      if (option->get_positional() != positional) continue;
      lines.push_back(fmt::format("| {} | {} |", shown(*option), option->get_description()));
    }
  }
  for (const CLI::App* command : commands_of(app)) {
    describe(*command, path + " " + command->get_name(), std::min<std::size_t>(rank + 1, 4), lines);
  }
}

// The headings of commands, the line after each, and the rows of options.
Lines described_in(const Lines& document) {
  Lines lines;
  bool wants_description = false;
  for (const std::string& line : document) {
    const bool is_heading = line.rfind("## bib", 0) == 0 || line.rfind("### bib", 0) == 0 ||
                            line.rfind("#### bib", 0) == 0 || line.rfind("## raft-", 0) == 0 ||
                            line.rfind("### raft-", 0) == 0;
    if (is_heading || line.rfind("| `", 0) == 0) lines.push_back(line);
    if (wants_description && !line.empty()) {
      lines.push_back(line);
      wants_description = false;
    }
    if (is_heading) wants_description = true;
  }
  return lines;
}

// What one of them has and the other has not, a line each.
std::string difference(const Lines& program, const Lines& document) {
  std::string text;
  for (const std::string& line : program) {
    if (std::find(document.begin(), document.end(), line) == document.end()) {
      text += "not in the document: " + line + "\n";
    }
  }
  for (const std::string& line : document) {
    if (std::find(program.begin(), program.end(), line) == program.end()) {
      text += "not in the program: " + line + "\n";
    }
  }
  const std::size_t both = std::min(program.size(), document.size());
  for (std::size_t i = 0; i < both && text.empty(); ++i) {
    if (program[i] != document[i]) text = "the program has here: " + program[i] + "\n";
  }
  return text;
}

// ---- what other documents show

// Those that tell of the programs. The rest speak of scripts and of programs for tests.
Lines documents_for_users() {
  Lines files{"README.md", "CHANGELOG.md"};
  for (const auto& entry : std::filesystem::directory_iterator(support::source_dir() / "docs")) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".md" || name == "testing.md" || name == "performance.md") {
      continue;
    }
    files.push_back("docs/" + name);
  }
  return files;
}

Lines words_of(std::string text) {
  text = std::regex_replace(text, std::regex("[\\[\\]\"';]"), " ");
  std::istringstream stream(text);
  Lines words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// A program's words up to the end of the command, and what is wrong with them; empty: nothing.
class Checker {
 public:
  explicit Checker(const Programs& programs) : programs_(programs) {}

  std::string check(const Lines& words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      for (const CLI::App* program : programs_.all()) {
        const bool is_first = i == 0 || words[i - 1] == "|" || words[i - 1] == "$";
        if (is_first && words[i] == program->get_name()) {
          const std::string wrong = check_command(*program, words, i + 1);
          if (!wrong.empty()) return wrong;
        }
      }
    }
    return {};
  }

  bool is_option_of_any(const std::string& name) const {
    const auto programs = programs_.all();
    return std::any_of(programs.begin(), programs.end(),
                       [&](const CLI::App* program) { return is_below(*program, name); });
  }

 private:
  static bool is_below(const CLI::App& app, const std::string& name) {
    if (app.get_option_no_throw(name) != nullptr) return true;
    const auto commands = commands_of(app);
    return std::any_of(commands.begin(), commands.end(),
                       [&](const CLI::App* command) { return is_below(*command, name); });
  }

  static const CLI::App* find(const CLI::App& app, const std::string& name) {
    for (const CLI::App* command : commands_of(app)) {
      if (command->get_name() == name) return command;
    }
    return nullptr;
  }

  std::string check_command(const CLI::App& program, const Lines& words, std::size_t i) {
    const CLI::App* at = &program;
    for (; i < words.size(); ++i) {
      const std::string& word = words[i];
      if (word == "|" || word == "#" || word == "&" || word == ">" || word == "...") return {};
      if (word.size() > 1 && word.front() == '-' && !std::isdigit(word[1])) {
        const std::string name = word.substr(0, word.find('='));
        const CLI::Option* option = at->get_option_no_throw(name);
        if (option == nullptr) option = program.get_option_no_throw(name);
        if (option == nullptr) return "no option " + name;
        if (option->get_items_expected_max() > 0 && name == word) ++i;  // its value
        continue;
      }
      if (commands_of(*at).empty()) continue;  // an argument
      // "list|show": alternatives, and nothing of one of them can follow.
      std::istringstream alternatives(word);
      const CLI::App* next = nullptr;
      for (std::string name; std::getline(alternatives, name, '|');) {
        next = find(*at, name);
        if (next == nullptr) return "no command " + name;
      }
      if (word.find('|') != std::string::npos) return {};
      at = next;
    }
    return {};
  }

  const Programs& programs_;
};

bool is_name_of_file(const std::string& name) {
  static const std::set<std::string> kFiles = {"log.commit", "log.start", "state.new", "state.old"};
  return kFiles.count(name) != 0 ||
         std::regex_search(name, std::regex("\\.(h|cc|md|txt|sh|fbs|yaml|tmp)$"));
}

}  // namespace

TEST_CASE("docs/commands.md has every command and option of the programs, and no other") {
  const Programs programs;
  Lines expected;
  for (const CLI::App* program : programs.all())
    describe(*program, program->get_name(), 2, expected);
  const Lines found = described_in(support::document_lines("docs/commands.md"));
  INFO("docs/commands.md and the programs differ:\n" << difference(expected, found));
  // Not CHECK(found == expected): it would print both whole.
  const bool are_equal = found == expected;
  CHECK(are_equal);
}

TEST_CASE("every command that a document shows exists, with its options") {
  const Programs programs;
  Checker checker(programs);
  std::size_t commands = 0;
  for (const std::string& file : documents_for_users()) {
    for (const std::string& code : support::code_of(support::document_lines(file))) {
      const Lines words = words_of(code);
      CAPTURE(file, code);
      const std::string wrong = checker.check(words);
      CHECK(wrong == "");
      if (!words.empty() && words.front() == "bib") ++commands;
      if (words.size() <= 2 && code.rfind("--", 0) == 0) {
        CHECK(checker.is_option_of_any(words.front().substr(0, words.front().find('='))));
      }
    }
  }
  CHECK(commands > 100);  // who finds nothing has not looked
}

TEST_CASE("every key and counter that a document names exists") {
  std::set<std::string> known;
  for (const wire::ConfigKey& key : wire::config_keys()) known.emplace(key.name);
  // docs/metrics.md is compared with what nodes count in tests/cluster.
  const Lines counters = support::names_of(
      support::table_rows(support::document_lines("docs/metrics.md"), "## Counters of a node"));
  CHECK(counters.size() > 20);
  known.insert(counters.begin(), counters.end());
  const auto exists = [&](std::string name) {
    if (name.back() != '*') return known.count(name) != 0;
    name.pop_back();
    return std::any_of(known.begin(), known.end(),
                       [&](const std::string& one) { return one.rfind(name, 0) == 0; });
  };
  const std::regex form("(cluster|api|log|store|limits|raft|snapshot|peer|disk)(\\.[a-z_]+)+\\*?");
  for (const std::string& file : documents_for_users()) {
    for (const std::string& code : support::code_of(support::document_lines(file))) {
      const std::string name = code.substr(0, code.find_first_of(": "));
      if (!std::regex_match(name, form) || is_name_of_file(name)) continue;
      CAPTURE(file, code);
      CHECK(exists(name));
    }
  }
}
