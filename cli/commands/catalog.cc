#include "cli/bib_command.h"
namespace bib::cli {
void add_catalog_commands(Commands&) {}
}  // namespace bib::cli
