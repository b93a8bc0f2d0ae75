// bib catalog import: files and standard input through the importers, with progress and a summary.
#pragma once

#include <string>
#include <vector>

#include "cli/commands/bib_command.h"
#include "wire/base/ids.h"

namespace bib::cli {

void add_import_command(Commands& commands, CLI::App& catalog);

// Node ids of --holder; kInvalid names the one that is not an id.
wire::Result<std::vector<wire::NodeId>> parse_holders(const std::vector<std::string>& texts);

}  // namespace bib::cli
