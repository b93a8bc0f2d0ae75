#include "engine/node/commit_notes.h"

#include <algorithm>

#include "wire/base/mutant.h"
#include "wire/log/data_directory.h"

namespace bib::engine {

CommitNotes::CommitNotes(NodeParts& parts)
    : parts_(parts),
      file_(std::make_shared<CommitNoteFile>(
          parts.world.files, join_path(parts.config.data_dir, wire::kLogName), parts.log_id)) {}

CommitNotes::~CommitNotes() = default;

void CommitNotes::on_housekeeping() {
  const std::uint64_t now_ms = parts_.world.turns.now_ms();
  if (is_writing_ || now_ms < next_ms_) return;
  const consensus::Raft& raft = parts_.driver->raft();
  // A follower may know what is committed before its own disk has it.
  const wire::LogIndex index = BIB_MUTANT(kNotesUnsyncedCommit)
                                   ? raft.commit()
                                   : std::min(raft.commit(), raft.durable_index());
  // The base is in a snapshot, and no note is of use below it.
  if (index <= std::max(noted_, raft.log().base().index)) return;
  next_ms_ = now_ms + parts_.world.pace.note_ms;
  is_writing_ = true;
  auto outcome = std::make_shared<wire::Status>();
  const wire::LogPosition place{index, *raft.log().term_at(index)};
  parts_.world.pool.run(
      [file = file_, place, outcome] { *outcome = file->write(place); },
      lifetime_.guarded([index, outcome](CommitNotes& self) { self.on_written(index, *outcome); }));
}

void CommitNotes::on_written(wire::LogIndex index, const wire::Status& status) {
  is_writing_ = false;
  if (status) {
    noted_ = index;
    has_warned_ = false;
  } else if (!has_warned_) {
    has_warned_ = true;
    parts_.world.logger.warn("log", "what is committed could not be noted: {}; trying again",
                             status.error().message);
  }
}

}  // namespace bib::engine
