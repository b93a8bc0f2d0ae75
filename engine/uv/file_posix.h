// The files and directories of the operating system, with direct I/O where it is offered.
#pragma once

#include "engine/ports/file.h"

namespace bib::engine {

// Lives as long as the process.
FileSystem& posix_file_system();

}  // namespace bib::engine
