#include "engine/storage/commit_note_file.h"

#include <utility>

#include "wire/log/commit_note.h"

namespace bib::engine {

CommitNoteFile::CommitNoteFile(FileSystem& files, std::string log_directory, std::uint64_t log_id)
    : files_(files), directory_(std::move(log_directory)), log_id_(log_id) {}

wire::Status CommitNoteFile::open() {
  BIB_TRY(const bool is_there, has_name(files_, directory_, wire::kCommitNoteFileName));
  const OpenMode mode = is_there ? OpenMode::kReadWrite : OpenMode::kCreate;
  BIB_TRY(file_, files_.open(join_path(directory_, wire::kCommitNoteFileName), {mode, false}));
  return {};
}

wire::Status CommitNoteFile::write(wire::LogPosition committed) {
  if (!file_) BIB_TRY_VOID(open());
  return file_->write(0, wire::encode_commit_note({.log_id = log_id_, .committed = committed}));
}

}  // namespace bib::engine
