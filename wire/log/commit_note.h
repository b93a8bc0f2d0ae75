// Commit note: how far a node knew its log to be committed, beside the log's segments.
//
// A log does not say of its entries which are committed, and rows go to the disk later than the
// log. The note closes the gap: a node that starts applies up to here without asking anybody, knows
// what no leader may contradict, and finds that the log's end, or an older copy of the log, has
// been put in the place of what was there. It is written in place every second or so, without a
// sync, and only of entries that are durable here: whatever a kill or a power failure leaves of it
// is true, or is not valid and says nothing.
//
// A note (note.h) of magic "BIBLOGCM", version 1, and the numbers: log id, as in the segments'
// headers; index of the last entry that was known to be committed, and was durable; its term; zero;
// zero.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/log/note.h"

namespace bib::wire {

inline constexpr char kCommitNoteFileName[] = "log.commit";

struct CommitNote {
  std::uint64_t log_id = 0;
  LogPosition committed;

  bool operator==(const CommitNote&) const = default;
};

std::vector<std::uint8_t> encode_commit_note(const CommitNote& note);
// kUnsupported: another version. kCorrupt: length, magic, checksum, fields.
Result<CommitNote> decode_commit_note(ByteView bytes);

// The log that the note stands beside.
struct NotedLog {
  std::uint64_t log_id = 0;
  LogPosition base;
  LogPosition last;
  std::optional<Term> term_there;  // of the entry that the note names; nothing: not in the log
};
enum class CommitNoteState : std::uint8_t {
  kFits,        // the log has the entry
  kIsOld,       // the log starts later by now
  kIsForeign,   // it is another log's, and says nothing of this one
  kLogIsShort,  // entries that were durable and committed are missing
  kLogDiffers,  // another entry is in the place of a committed one
};
struct CommitNoteStanding {
  CommitNoteState state = CommitNoteState::kFits;
  std::string what;  // empty for kFits and kIsOld
  // A node must not start: its log has lost what it had acknowledged.
  bool is_damage() const {
    return state == CommitNoteState::kLogIsShort || state == CommitNoteState::kLogDiffers;
  }
};
CommitNoteStanding judge_commit_note(const CommitNote& note, const NotedLog& log);

}  // namespace bib::wire
