// Debian's package index (deb822): stanzas of "Field: value" lines, as `apt-cache dumpavail` and
// the archive's Packages files have them (deb822(5)).
//
// Section becomes the topic (below --topic, if given; "unknown" where it is missing), Package the
// dataset, and Version, SHA256, Size, Maintainer, Tag, Homepage, the first line of Description and
// Filename (the source) its version's fields; the format is "deb".
#pragma once

#include <memory>

#include "cli/importers/line_reader.h"
#include "cli/importers/record_source.h"

namespace bib::cli {

std::unique_ptr<RecordSource> make_deb822_source(std::unique_ptr<LineReader> lines,
                                                 SourceOptions options);

}  // namespace bib::cli
