#include "wire/log/commit_note.h"

#include "wire/base/check.h"

namespace bib::wire {
namespace {

constexpr NoteKind kKind{
    .magic = "BIBLOGCM", .version = 1, .name = "note of what is committed in the log"};

}  // namespace

std::vector<std::uint8_t> encode_commit_note(const CommitNote& note) {
  BIB_CHECK(note.committed.index != LogIndex() && note.committed.term != Term());
  return encode_note(
      kKind, {note.log_id, note.committed.index.value(), note.committed.term.value(), 0, 0});
}

Result<CommitNote> decode_commit_note(ByteView bytes) {
  BIB_TRY(const NoteNumbers numbers, decode_note(kKind, bytes));
  const CommitNote note{.log_id = numbers[0],
                        .committed = {.index = LogIndex(numbers[1]), .term = Term(numbers[2])}};
  if (numbers[3] != 0 || numbers[4] != 0 || note.committed.index == LogIndex() ||
      note.committed.term == Term()) {
    return bad_note(kKind, "a field has a value that it cannot have");
  }
  return note;
}

CommitNoteStanding judge_commit_note(const CommitNote& note, const NotedLog& log) {
  const LogPosition at = note.committed;
  if (note.log_id != log.log_id) {
    return {CommitNoteState::kIsForeign,
            fmt::format("it is of log {:016x}, but this is log {:016x}: it says nothing of it",
                        note.log_id, log.log_id)};
  }
  if (at.index < log.base.index) return {CommitNoteState::kIsOld, {}};
  if (at.index > log.last.index) {
    return {CommitNoteState::kLogIsShort,
            fmt::format("the log ends at entry {}, but entries up to {} were durable here and "
                        "committed: they are missing, and others may have been told that they "
                        "are safe",
                        log.last.index.value(), at.index.value())};
  }
  if (log.term_there == at.term) return {CommitNoteState::kFits, {}};
  return {CommitNoteState::kLogDiffers,
          fmt::format("entry {} was committed with term {}, but the log has another entry there, "
                      "of term {}",
                      at.index.value(), at.term.value(), log.term_there.value_or(Term()).value())};
}

}  // namespace bib::wire
