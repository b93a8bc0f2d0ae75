// BlockGaps: what of a damaged segment can still be read, and where it is interrupted again.
//
// scan_segment() stops at the first damage. This goes block by block, so that one look tells how
// much of a file is gone. A pure function over the file's bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/log/log_format.h"

namespace bib::wire {

struct BlockGap {
  std::uint64_t begin = 0;             // offset of the first byte that belongs to no readable block
  std::uint64_t end = 0;               // of the readable block after it
  std::uint64_t missing_sequence = 0;  // the first block that is missing
  LogIndex index;                      // the first entry that may be missing
};

struct BlocksAfter {
  std::uint64_t resumes_at = 0;  // offset of the first readable block after the damage; 0: none
  std::uint64_t blocks = 0;      // readable blocks after the damage
  std::uint64_t end_offset = 0;  // after the last of them; the damage's offset when there is none
  bool sealed = false;           // the last of them ends the segment
  LogIndex last_index;           // the highest entry in them; 0: none
  std::vector<BlockGap> gaps;    // further ones, each with readable blocks after it
};

// `scan` ended in kDamaged.
BlocksAfter find_blocks_after(ByteView file, const SegmentScan& scan);

}  // namespace bib::wire
