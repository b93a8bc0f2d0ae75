// Data directory: what is in a node's directory, as the judge of it wants to know
// (wire/log/data_directory.h).
//
// Blocks; runs on the thread that opens the node, before anything there is changed, and changes
// nothing itself. Follows no link but log/, and opens regular files only, so that it ends.
#pragma once

#include <string>

#include "engine/ports/file.h"
#include "wire/base/result.h"
#include "wire/log/data_directory.h"

namespace bib::engine {

// kIo: something cannot be read. kCorrupt, kUnsupported: the log's first segment, whose header says
// whose directory this is.
wire::Result<wire::DirectoryFacts> look_at_directory(FileSystem& files,
                                                     const std::string& directory);

}  // namespace bib::engine
