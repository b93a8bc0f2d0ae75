#include "inspect/run.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <ostream>
#include <vector>

#include "wire/base/version.h"

namespace bib::inspect {

namespace {

constexpr const char* kFooter =
    "Nothing is changed, and no lock is taken: a node may be running on the directory.";

void add_common(CLI::App& command, Options& options) {
  command
      .add_option("DIR", options.common.directory, "The node's data directory, or the log in it")
      ->required();
  command.add_option("-o,--output", options.format, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
}

void define_commands(CLI::App& app, Options& options) {
  CLI::App* status =
      app.add_subcommand("status", "Whose data it is, how far it goes, how it ended");
  add_common(*status, options);

  CLI::App* log = app.add_subcommand("log", "The entries and their events, one line each");
  add_common(*log, options);
  log->add_option("RANGE", options.range,
                  "Entries: 40, 40..57, 40.., ..57, or -20 for the last twenty");
  log->add_flag("--records", options.log.records,
                "Also terms and votes, truncations, and entries that were overwritten");
  log->add_option("--stream", options.log.stream_prefix,
                  "Only events of streams with this prefix: topic/weather, dataset/, config/");
  log->add_option("--type", options.log.type, "Only events of this type: TopicCreated");

  CLI::App* verify =
      app.add_subcommand("verify", "Checks checksums, continuity, identity and every event");
  add_common(*verify, options);
  verify->add_flag("--state", options.verify.state,
                   "Also recompute the digests of the node's rows");
  verify->add_flag("--replay", options.verify.replay,
                   "Also rebuild the rows from the log, in memory (implies --state)");
}

// CLI11 takes "-20" for an option; after "--" nothing is one.
std::vector<std::string> with_range_last(std::span<const std::string> args) {
  std::vector<std::string> ordered;
  std::vector<std::string> ranges;
  for (const std::string& arg : args) {
    const bool is_newest =
        arg.size() > 1 && arg[0] == '-' &&
        std::all_of(arg.begin() + 1, arg.end(), [](char c) { return c >= '0' && c <= '9'; });
    (is_newest ? ranges : ordered).push_back(arg);
  }
  const bool has_separator = std::find(ordered.begin(), ordered.end(), "--") != ordered.end();
  if (!ranges.empty() && !has_separator) ordered.emplace_back("--");
  ordered.insert(ordered.end(), ranges.begin(), ranges.end());
  std::reverse(ordered.begin(), ordered.end());  // as CLI11 wants it
  return ordered;
}

ExitCode usage_error(const std::string& message, const Console& console) {
  console.err << Paint(console.colour_err).bad("raft-inspect: ") << printable(message)
              << "\nSee: raft-inspect --help\n";
  return ExitCode::kUsage;
}

ExitCode dispatch(const CLI::App& app, Options& options, const Console& console) {
  options.common.json = options.format == "json";
  if (app.got_subcommand("status")) return show_status(options.common, console);
  if (app.got_subcommand("verify")) {
    options.verify.common = options.common;
    options.verify.state = options.verify.state || options.verify.replay;
    return verify(options.verify, console);
  }
  options.log.common = options.common;
  if (!options.range.empty()) {
    const auto range = parse_range(options.range);
    if (!range) return usage_error(range.error().message, console);
    options.log.range = *range;
  }
  return show_log(options.log, console);
}

ExitCode parse_and_run(std::span<const std::string> args, const Console& console) {
  CLI::App app;
  Options options;
  define_inspect(app, options);
  try {
    app.parse(with_range_last(args));
  } catch (const CLI::Success& asked) {  // help, version
    app.exit(asked, console.out, console.err);
    return ExitCode::kClean;
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what(), console);
  }
  return dispatch(app, options, console);
}

}  // namespace

void define_inspect(CLI::App& app, Options& options) {
  app.name("raft-inspect");
  app.description("Looks at the log and the rows of a bib node, and changes nothing.");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("raft-inspect ") + wire::version());
  app.footer(kFooter);  // of each command, too
  define_commands(app, options);
  app.footer(wire::exit_code_help(wire::Program::kRaftInspect) + "\n" + kFooter);
}

int run(std::span<const std::string> args, const Console& console) {
  ExitCode code = ExitCode::kGeneral;
  try {
    code = parse_and_run(args, console);
  } catch (const std::exception& error) {  // memory, or an outside library
    console.err << "raft-inspect: " << printable(error.what()) << "\n";
  }
  console.out.flush();
  if (!console.out && code == ExitCode::kClean) {
    console.err << "raft-inspect: the output could not be written\n";
    code = ExitCode::kGeneral;
  }
  return static_cast<int>(code);
}

}  // namespace bib::inspect
