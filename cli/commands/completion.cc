// bib completion bash | zsh | fish: made of the tree of commands itself, so that it is never stale.
#include <algorithm>
#include <ostream>

#include "cli/bib_command.h"

namespace bib::cli {
namespace {

// A command's words: what may follow it on the line.
struct Words {
  std::string path;                                           // "bib topic create"
  std::vector<std::pair<std::string, std::string>> commands;  // name, help
  std::vector<std::pair<std::string, std::string>> options;   // "--tag", help
};

void collect(const CLI::App& app, const std::string& path, std::vector<Words>& all) {
  Words words;
  words.path = path;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames())
      words.options.emplace_back("--" + name, option->get_description());
    for (const std::string& name : option->get_snames())
      words.options.emplace_back("-" + name, option->get_description());
  }
  auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* command : commands)
    words.commands.emplace_back(command->get_name(), command->get_description());
  all.push_back(std::move(words));
  for (const CLI::App* command : commands) collect(*command, path + ' ' + command->get_name(), all);
}

std::string joined_words(const Words& words, const Words& global) {
  std::vector<std::string> names;
  for (const auto& [name, help] : words.commands) names.push_back(name);
  for (const auto& [name, help] : words.options) names.push_back(name);
  if (&words != &global) {
    for (const auto& [name, help] : global.options) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return fmt::format("{}", fmt::join(names, " "));
}

// Finds the longest known command path among the words before the cursor, and offers what may
// follow it; an argument is completed as a file.
std::string bash_script(const std::vector<Words>& all) {
  std::string cases;
  for (const Words& words : all)
    cases +=
        fmt::format("    '{}') offers='{}' ;;\n", words.path, joined_words(words, all.front()));
  return "# bash completion of bib: source <(bib completion bash)\n"
         "_bib_words() {\n"
         "  case \"$1\" in\n" +
         cases +
         "    *) return 1 ;;\n"
         "  esac\n"
         "}\n"
         "_bib() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} at=bib offers= i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    if _bib_words \"$at ${COMP_WORDS[i]}\"; then at=\"$at ${COMP_WORDS[i]}\"; fi\n"
         "  done\n"
         "  _bib_words \"$at\"\n"
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
  for (char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish_script(const std::vector<Words>& all) {
  std::string out =
      "# fish completion of bib: bib completion fish | source\n"
      "function __bib_at\n"
      "  set -l words (commandline -opc | string match -v -- '-*')\n"
      "  test \"$words\" = \"$argv\"\n"
      "end\n"
      "function __bib_under\n"
      "  set -l words (commandline -opc | string match -v -- '-*')\n"
      "  string match -q -- \"$argv*\" \"$words\"\n"
      "end\n";
  for (const Words& words : all) {
    for (const auto& [name, help] : words.commands)
      out += fmt::format("complete -c bib -f -n '__bib_at {}' -a {} -d {}\n", words.path, name,
                         fish_quoted(help));
    for (const auto& [name, help] : words.options) {
      bool is_long = name.substr(0, 2) == "--";
      out += fmt::format("complete -c bib -n '__bib_under {}' -{} {} -d {}\n", words.path,
                         is_long ? 'l' : 's', name.substr(is_long ? 2 : 1), fish_quoted(help));
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
