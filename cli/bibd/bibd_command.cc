#include "cli/bibd/bibd_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/config/config_file.h"
#include "wire/base/version.h"

namespace bib::cli {
namespace {

BibdStart ended(ExitCode code, std::string out, std::string err) {
  BibdStart start;
  start.code = code;
  start.out = std::move(out);
  start.err = std::move(err);
  return start;
}

BibdStart load(const BibdOptions& options, const Environment& environment) {
  ConfigSources sources;
  sources.must_exist = !options.config_path.empty();
  sources.path = sources.must_exist ? options.config_path : environment.config_path();
  if (options.insecure) sources.overrides.push_back({"--insecure", "insecure", "true"});
  if (options.log_level) {
    sources.overrides.push_back({"--log-level", "log_level", *options.log_level});
  }

  LoadedConfig loaded = load_config(sources, environment);
  std::string warnings;
  for (const std::string& warning : loaded.warnings) {
    warnings += fmt::format("bibd: warning: {}\n", warning);
  }
  if (!loaded.problems.empty()) {
    const std::size_t count = loaded.problems.size();
    return ended(ExitCode::kConfiguration, "",
                 fmt::format("{}{}\nbibd: {} problem{} in the configuration; the node was not "
                             "started. Check it again with `bibd --check-config`.\n",
                             warnings, config_error(loaded).message, count, count == 1 ? "" : "s"));
  }
  BibdStart start;
  start.config = std::move(loaded.config);
  start.err = warnings;
  start.run = !options.check_config;
  if (options.check_config) {
    start.out = fmt::format("{}: the configuration is valid\n", sources.path);
  }
  return start;
}

}  // namespace

void define_bibd(CLI::App& app, BibdOptions& options, const Environment& environment) {
  app.name("bibd");
  app.description("A node of the event-sourced store that Raft replicates.");
  app.set_version_flag("--version", fmt::format("bibd {}", wire::version()));
  app.add_option(
         "--config", options.config_path,
         "The configuration file (" + environment.shown_path(environment.config_path()) + ")")
      ->type_name("FILE");
  app.add_flag("--insecure", options.insecure,
               "May listen beyond loopback although connections are not encrypted yet");
  app.add_flag("--check-config", options.check_config,
               "Check the configuration, say what is wrong with it, and end");
  app.add_option("--log-level", options.log_level, "debug, info, warn or error")
      ->type_name("LEVEL");
  app.footer("Precedence, the later wins: defaults, the file, BIBD_... variables, options.\n" +
             wire::exit_code_help(wire::Program::kBibd));
}

BibdStart parse_bibd(std::vector<std::string> arguments, const Environment& environment) {
  BibdOptions options;
  CLI::App app;
  define_bibd(app, options, environment);

  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes a vector
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::Success& asked) {  // --help, --version
    std::ostringstream out;
    app.exit(asked, out, out);
    return ended(ExitCode::kOk, out.str(), "");
  } catch (const CLI::ParseError& error) {
    return ended(ExitCode::kUsage, "",
                 fmt::format("bibd: {}\nUsage: `bibd --help`.\n", error.what()));
  }
  return load(options, environment);
}

}  // namespace bib::cli
