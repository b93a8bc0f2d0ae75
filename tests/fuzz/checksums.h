// Checksums set right, so that the fuzzer gets behind them. Every function returns a copy.
#pragma once

#include <algorithm>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/checksum.h"
#include "wire/base/little_endian.h"
#include "wire/log/entry.h"
#include "wire/log/log_format.h"

namespace bib::wire {

// Sets the checksum at `field` over the first `covered` bytes, as far as they are there.
inline void fix_checksum(std::uint8_t* at, std::size_t available, std::size_t field,
                         std::uint64_t covered) {
  if (available < field + 8 || covered > available || covered < field + 8) return;
  store(at + field, std::uint64_t{0});
  store(at + field, checksum64({at, covered}));
}

inline void fix_entry(std::uint8_t* at, std::size_t available) {
  if (available < kEntryHeaderSize) return;
  fix_checksum(at, available, 64, load_u32(at + 8));
}

// The header, and every block and entry that begins at a multiple of 8.
inline std::vector<std::uint8_t> with_segment_checksums(ByteView input) {
  std::vector<std::uint8_t> file(input.begin(), input.end());
  if (file.size() < kSegmentHeaderFixedSize) return file;
  for (std::size_t at = 0; at + kEntryHeaderSize <= file.size(); at += 8) {
    if (load_u32(&file[at]) == kEntryMagic) fix_entry(&file[at], file.size() - at);
  }
  for (std::size_t at = 0; at + kBlockHeaderSize <= file.size(); at += 512) {
    if (load_u32(&file[at]) != kBlockMagic) continue;
    fix_checksum(&file[at], file.size() - at, 48,
                 kBlockHeaderSize + std::uint64_t{load_u32(&file[at + 8])});
  }
  fix_checksum(file.data(), file.size(), 128, load_u32(&file[12]));
  return file;
}

}  // namespace bib::wire
