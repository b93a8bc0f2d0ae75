// bib_history check FILE...: is this history linearizable? "-" is standard input.
//
// Exit code: 0 all are, 1 one is not (printed with the operations that contradict each other),
// 2 wrong usage, 3 a file cannot be read or is no history, 4 one is not decided within the limits.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "history_file.h"
#include "support/linearizability.h"

namespace {

using namespace bib;

enum class Result : int { kRight = 0, kWrong = 1, kUsage = 2, kUnreadable = 3, kUnknown = 4 };

std::optional<std::string> read_all(const std::string& file) {
  if (file == "-") return std::string{std::istreambuf_iterator<char>(std::cin), {}};
  std::ifstream in(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in) return std::nullopt;
  return text;
}

Result check(const std::string& file, const support::CheckLimits& limits) {
  const auto text = read_all(file);
  if (!text) {
    fmt::print(stderr, "{}: cannot be read\n", file);
    return Result::kUnreadable;
  }
  const auto history = history::read_history(*text);
  if (!history) {
    fmt::print(stderr, "{}: not a history: {}\n", file, history.error().message);
    return Result::kUnreadable;
  }
  const support::Verdict verdict = support::check_linearizability(*history, limits);
  fmt::print("{}: {} operations, {} steps: {}", file, history->size(), verdict.steps, verdict.text);
  switch (verdict.kind) {
    case support::Verdict::Kind::kLinearizable:
      return Result::kRight;
    case support::Verdict::Kind::kNotLinearizable:
      return Result::kWrong;
    case support::Verdict::Kind::kUnknown:
      break;
  }
  return Result::kUnknown;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Looks at histories of client calls (docs/testing.md)", "bib_history"};
  app.require_subcommand(1);
  std::vector<std::string> files;
  support::CheckLimits limits;
  CLI::App* command = app.add_subcommand("check", "Is the history linearizable?");
  command->add_option("FILE", files, "JSON lines; - is standard input")->required();
  command->add_option("--steps", limits.steps_max, "Give up on a key after so many steps");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(Result::kUsage);
  }
  // The worst of all files: wrong before unreadable before undecided.
  Result worst = Result::kRight;
  for (const std::string& file : files) {
    const Result result = check(file, limits);
    if (worst == Result::kWrong || result == Result::kRight) continue;
    if (result == Result::kWrong || worst != Result::kUnreadable) worst = result;
  }
  return static_cast<int>(worst);
}
