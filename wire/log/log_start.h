// Log start: the note beside a log's segments that says where it begins since it was compacted.
//
// Without the note a log begins with segment 1. It is written, durably and under its name at once,
// before the first segment goes: so segments that are missing below the one it names were retired,
// and any other one that is missing is damage. 64 bytes, little-endian:
//
//   offset size  field
//        0    8  magic "BIBLOGST"
//        8    4  version, 1
//       12    4  zero
//       16    8  log id, as in the segments' headers
//       24    8  number of the first segment that must be there
//       32    8  index of the entry before it: a snapshot holds the state up to here
//       40    8  that entry's term
//       48    8  zero
//       56    8  xxh3-64 over bytes 0..55
#pragma once

#include <cstdint>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::wire {

inline constexpr std::size_t kLogStartSize = 64;
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
