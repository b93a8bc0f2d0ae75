// bib completion bash | zsh | fish: made of the tree of commands itself, so that it is never stale.
#include <algorithm>
#include <ostream>

#include "cli/commands/bib_command.h"

namespace bib::cli {
namespace {

struct OptionWord {
  std::string name;  // "--tag", "-o"
  std::string help;
  bool takes_value = false;
  std::vector<std::string> values;  // where only these are allowed
};

// A command's words: what may follow it on the line.
struct Words {
  std::string path;                                           // "bib topic create"
  std::vector<std::pair<std::string, std::string>> commands;  // name, help
  std::vector<OptionWord> options;
  std::vector<std::string> arguments;  // where only these are allowed
};

// The words that the option's check allows: its type is written as "FORMAT:{table,json,yaml}".
std::vector<std::string> allowed_values(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t begin = type.find('{');
  const std::size_t end = type.find('}');
  std::vector<std::string> values;
  if (begin == std::string::npos || end == std::string::npos) return values;
  for (std::size_t at = begin + 1; at < end;) {
    const std::size_t comma = std::min(type.find(',', at), end);
    values.push_back(type.substr(at, comma - at));
    at = comma + 1;
  }
  return values;
}

void collect(const CLI::App& app, const std::string& path, std::vector<Words>& all) {
  Words words;
  words.path = path;
  for (const CLI::Option* option : app.get_options()) {
    OptionWord word{"", option->get_description(), option->get_items_expected_max() > 0,
                    allowed_values(*option)};
    if (option->get_positional()) words.arguments = word.values;
    std::vector<std::string> names;
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
    for (std::string& name : names) {
      word.name = std::move(name);
      words.options.push_back(word);
    }
  }
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* command : commands) {
    words.commands.emplace_back(command->get_name(), command->get_description());
  }
  all.push_back(std::move(words));
  for (const CLI::App* command : commands) collect(*command, path + ' ' + command->get_name(), all);
}

std::string joined_words(const Words& words, const Words& global) {
  std::vector<std::string> names;
  for (const auto& [name, help] : words.commands) names.push_back(name);
  for (const OptionWord& option : words.options) names.push_back(option.name);
  if (&words != &global) {
    for (const OptionWord& option : global.options) names.push_back(option.name);
  }
  names.insert(names.end(), words.arguments.begin(), words.arguments.end());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return fmt::format("{}", fmt::join(names, " "));
}

// Finds the longest known command path among the words before the cursor, and offers what may
// follow it, or the option before the cursor; an argument is completed as a file.
std::string bash_script(const std::vector<Words>& all) {
  std::string cases;
  std::string values;
  for (const Words& words : all) {
    cases +=
        fmt::format("    '{}') offers='{}' ;;\n", words.path, joined_words(words, all.front()));
    for (const OptionWord& option : words.options) {
      if (!option.takes_value) continue;
      // The options of bib itself may follow every command.
      values += fmt::format("    {}' {}') offers='{}' ;;\n",
                            &words == &all.front() ? "*" : "'" + words.path + "'", option.name,
                            fmt::join(option.values, " "));
    }
  }
  return "# bash completion of bib: source <(bib completion bash)\n"
         "_bib_words() {\n"
         "  case \"$1\" in\n" +
         cases +
         "    *) return 1 ;;\n"
         "  esac\n"
         "}\n"
         "_bib_values() {\n"
         "  case \"$1\" in\n" +
         values +
         "    *) return 1 ;;\n"
         "  esac\n"
         "}\n"
         "_bib() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} at=bib offers= i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    if _bib_words \"$at ${COMP_WORDS[i]}\"; then at=\"$at ${COMP_WORDS[i]}\"; fi\n"
         "  done\n"
         "  _bib_values \"$at ${COMP_WORDS[COMP_CWORD - 1]}\" || _bib_words \"$at\"\n"
         "  COMPREPLY=($(compgen -W \"$offers\" -- \"$current\"))\n"
         "  if ((${#COMPREPLY[@]} == 0)); then COMPREPLY=($(compgen -f -- \"$current\")); fi\n"
         "}\n"
         "complete -o filenames -F _bib bib\n";
}

std::string zsh_script(const std::vector<Words>& all) {
  return "#compdef bib\n"
         "# zsh completion of bib: source <(bib completion zsh)\n"
         "autoload -U +X bashcompinit && bashcompinit\n" +
         bash_script(all);
}

std::string fish_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

// Like the one for bash: words that are no part of a command's path are passed over.
std::string fish_script(const std::vector<Words>& all) {
  std::string paths;
  for (const Words& words : all) paths += " " + fish_quoted(words.path);
  std::string out =
      "# fish completion of bib: bib completion fish | source\n"
      "set -g __bib_paths" +
      paths +
      "\n"
      "function __bib_path\n"
      "  set -l at bib\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    if contains -- \"$at $word\" $__bib_paths\n"
      "      set at \"$at $word\"\n"
      "    end\n"
      "  end\n"
      "  echo $at\n"
      "end\n"
      "function __bib_at\n"
      "  test (__bib_path) = \"$argv\"\n"
      "end\n"
      "function __bib_under\n"
      "  string match -q -- \"$argv*\" (__bib_path)\n"
      "end\n";
  for (const Words& words : all) {
    for (const auto& [name, help] : words.commands) {
      out += fmt::format("complete -c bib -f -n '__bib_at {}' -a {} -d {}\n", words.path, name,
                         fish_quoted(help));
    }
    if (!words.arguments.empty()) {
      out += fmt::format("complete -c bib -f -n '__bib_at {}' -a '{}'\n", words.path,
                         fmt::join(words.arguments, " "));
    }
    for (const OptionWord& option : words.options) {
      const bool is_long = option.name.substr(0, 2) == "--";
      std::string value = option.takes_value ? " -r" : "";
      if (!option.values.empty()) value = fmt::format(" -x -a '{}'", fmt::join(option.values, " "));
      out += fmt::format("complete -c bib -n '__bib_under {}' -{} {}{} -d {}\n", words.path,
                         is_long ? 'l' : 's', option.name.substr(is_long ? 2 : 1), value,
                         fish_quoted(option.help));
    }
  }
  return out;
}

}  // namespace

void add_completion_command(Commands& commands) {
  auto& shell = commands.keep<std::string>();
  Context& context = commands.context();
  CLI::App& app = commands.app();
  CLI::App* command = app.add_subcommand("completion", "Print a shell's completion script");
  command->add_option("SHELL", shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  commands.on(*command, [&] {
    std::vector<Words> all;
    collect(app, "bib", all);
    context.out << (shell == "bash"  ? bash_script(all)
                    : shell == "zsh" ? zsh_script(all)
                                     : fish_script(all));
    return ExitCode::kOk;
  });
}

}  // namespace bib::cli
