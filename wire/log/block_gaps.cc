#include "wire/log/block_gaps.h"

#include <algorithm>

#include "wire/base/little_endian.h"
#include "wire/log/entry.h"

namespace bib::wire {

namespace {

// The highest index among the entries of a block that verified; `lowest` when there is none.
LogIndex last_entry_of(ByteView block, std::uint32_t payload_size, LogIndex lowest) {
  const ByteView payload = block.subspan(kBlockHeaderSize, payload_size);
  LogIndex last = lowest;
  for (std::size_t at = 0; at + kRecordHeaderSize <= payload.size();) {
    const std::uint32_t size = load_u32(payload.data() + at);
    if (size < kRecordHeaderSize || size > payload.size() - at) break;
    const auto entry =
        read_entry_header(payload.subspan(at + kRecordHeaderSize, size - kRecordHeaderSize));
    if (entry) last = std::max(last, entry->index);
    at += round_up(size, 8);
  }
  return last;
}

}  // namespace

BlocksAfter find_blocks_after(ByteView file, const SegmentScan& scan) {
  const std::uint32_t step = scan.header.alignment;
  BlocksAfter found;
  found.end_offset = scan.problem_offset;
  std::uint64_t sequence = scan.next_sequence;  // blocks before it are older
  LogIndex last = scan.last_index;
  // The block that the scan stopped at may be readable and still not be right.
  std::uint64_t offset = scan.problem_offset + step;
  if (const auto block = verify_block(
          file.subspan(std::min<std::uint64_t>(scan.problem_offset, file.size())), step)) {
    offset = scan.problem_offset + block->size;
  }
  while (offset + kBlockHeaderSize <= file.size() && !found.sealed) {
    const ByteView rest = file.subspan(offset);
    const auto block = verify_block(rest, step);
    const bool usable = block && block->log_id == scan.header.log_id &&
                        block->segment == scan.header.number && block->sequence >= sequence;
    if (!usable) {
      offset += step;
      continue;
    }
    if (found.blocks == 0) {
      found.resumes_at = offset;
    } else if (offset != found.end_offset || block->sequence != sequence) {
      found.gaps.push_back({found.end_offset, offset, sequence, last + 1});
    }
    last = last_entry_of(rest, block->payload_size, last);
    found.blocks += 1;
    found.last_index = last;
    found.sealed = (block->flags & kBlockSealed) != 0;
    sequence = block->sequence + 1;
    offset += block->size;
    found.end_offset = offset;
  }
  return found;
}

}  // namespace bib::wire
