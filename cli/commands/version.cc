// bib version.
#include "wire/base/version.h"
#include "cli/commands/bib_command.h"

namespace bib::cli {

void add_version_command(Commands& commands) {
  Context& context = commands.context();
  CLI::App* command = commands.app().add_subcommand("version", "Print the version");
  commands.on(*command, [&] {
    context.emit({{"version", wire::version()}, {"client_protocol", wire::kClientProtocol}},
                 fmt::format("bib {}\n", wire::version()));
    return ExitCode::kOk;
  });
}

}  // namespace bib::cli
