// CommitNoteFile: where a running node notes how far its log is committed (commit_note.h).
//
// Blocks for as long as the page cache takes 64 bytes; one thread at a time. Written in place and
// never synced: what a crash leaves of a write is an older note, this one, or none that is valid.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/ports/file.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::engine {

class CommitNoteFile {
 public:
  // `log_id`: of the log in the directory.
  CommitNoteFile(FileSystem& files, std::string log_directory, std::uint64_t log_id);

  // The entry must be committed, and durable in the log.
  wire::Status write(wire::LogPosition committed);

 private:
  wire::Status open();

  FileSystem& files_;
  const std::string directory_;
  const std::uint64_t log_id_;
  std::unique_ptr<File> file_;
};

}  // namespace bib::engine
