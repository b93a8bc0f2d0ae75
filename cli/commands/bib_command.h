// The command line of `bib`: global options, the tree of commands, and running one of them.
//
// run_bib() parses, runs and returns the exit code; it never exits the process and never throws.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands/context.h"
#include "wire/base/ids.h"

namespace bib::cli {

// Collects what the chosen command does; it runs once the whole line is parsed.
using Action = std::function<ExitCode()>;

// What a file in commands/ needs to add its commands. Options live as long as `commands`.
class Commands {
 public:
  Commands(CLI::App& app, Context& context) : app_(app), context_(context) {}

  CLI::App& app() { return app_; }
  Context& context() { return context_; }
  // Options of a command, kept alive until the run is over.
  template <typename T>
  T& keep() {
    auto owned = std::make_shared<T>();
    T& reference = *owned;
    kept_.push_back(std::move(owned));
    return reference;
  }
  // When `command` is on the line, `action` is what runs.
  void on(CLI::App& command, Action action) {
    command.callback([this, action = std::move(action)] { chosen_ = action; });
  }
  const Action& chosen() const { return chosen_; }

 private:
  CLI::App& app_;
  Context& context_;
  std::vector<std::shared_ptr<void>> kept_;
  Action chosen_;
};

// An option's text as a number: decimal digits only. CLI11 alone takes -1 for 2^64 - 1, and an
// empty text for a missing one. Throws CLI::ValidationError, which is wrong usage.
std::uint64_t number_of_option(const std::string& name, const std::string& text);

// An option that takes a number from `min` to `max`.
template <typename T>
CLI::Option* add_number(CLI::App& command, const std::string& name, T& value,
                        const std::string& help, std::uint64_t min = 0,
                        std::uint64_t max = std::numeric_limits<T>::max()) {
  return command
      .add_option_function<std::string>(
          name,
          [name, &value, min, max](const std::string& text) {
            const std::uint64_t number = number_of_option(name, text);
            if (number < min || number > max) {
              throw CLI::ValidationError(
                  name, fmt::format("'{}' is not between {} and {}", text, min, max));
            }
            value = static_cast<T>(number);
          },
          help)
      ->type_name("NUMBER");
}

// --expect-revision: what a command depends on.
CLI::Option* add_expected_revision(CLI::App& command, std::optional<wire::Revision>& value,
                                   const std::string& help);

void add_setup_commands(Commands& commands);
void add_cluster_commands(Commands& commands);
void add_cluster_member_commands(Commands& commands, CLI::App& cluster);
void add_topic_commands(Commands& commands);
void add_catalog_commands(Commands& commands);
void add_config_commands(Commands& commands);
void add_task_commands(Commands& commands);
void add_job_commands(Commands& commands);
void add_event_commands(Commands& commands);
void add_snapshot_commands(Commands& commands);
void add_bench_command(Commands& commands);
void add_version_command(Commands& commands);
void add_completion_command(Commands& commands);

// The command line of bib, with its options bound to `context` and its commands in `commands`.
void define_bib(Commands& commands);

int run_bib(const std::vector<std::string>& arguments, Context& context);

}  // namespace bib::cli
