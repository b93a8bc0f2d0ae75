// Log start: the note beside a log's segments that says where it begins since it was compacted.
//
// Without the note a log begins with segment 1. It is written, durably and under its name at once,
// before the first segment goes: so segments that are missing below the one it names were retired,
// and any other one that is missing is damage. A note (note.h) of magic "BIBLOGST", version 1, and
// the numbers: log id, as in the segments' headers; number of the first segment that must be there;
// index of the entry before it, up to which a snapshot holds the state; that entry's term; zero.
#pragma once

#include <cstdint>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/log/note.h"

namespace bib::wire {

inline constexpr std::size_t kLogStartSize = kNoteSize;
inline constexpr char kLogStartFileName[] = "log.start";

struct LogStart {
  std::uint64_t log_id = 0;
  std::uint64_t first_segment = 0;  // at least 2
  LogIndex previous_index;
  Term previous_term;

  bool operator==(const LogStart&) const = default;
};

std::vector<std::uint8_t> encode_log_start(const LogStart& start);
// kUnsupported: another version. kCorrupt: length, magic, checksum, fields.
Result<LogStart> decode_log_start(ByteView bytes);

}  // namespace bib::wire
