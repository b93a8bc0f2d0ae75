// CommitNotes: writes down now and then how far the log is committed (wire/log/commit_note.h).
//
// Lives on the node loop; the file is written on the pool. A note that cannot be written costs
// nothing but what the next start would have known by it: that is said once, and tried again.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/node/node_parts.h"
#include "engine/ports/lifetime.h"
#include "engine/storage/commit_note_file.h"

namespace bib::engine {

class CommitNotes {
 public:
  explicit CommitNotes(NodeParts& parts);
  ~CommitNotes();

  void on_housekeeping();

 private:
  void on_written(wire::LogIndex index, const wire::Status& status);

  NodeParts& parts_;
  std::shared_ptr<CommitNoteFile> file_;  // used by one job at a time
  wire::LogIndex noted_;
  std::uint64_t next_ms_ = 0;
  bool is_writing_ = false;
  bool has_warned_ = false;
  Lifetime<CommitNotes> lifetime_{this};
};

}  // namespace bib::engine
