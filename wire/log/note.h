// Note: the frame of the small files that stand beside a log's segments (log_start.h,
// commit_note.h). 64 bytes, little-endian:
//
//   offset size  field
//        0    8  magic, which names the kind of note
//        8    4  version
//       12    4  zero
//       16   40  five numbers of 8 bytes, which each kind names; zero where it has fewer
//       56    8  xxh3-64 over bytes 0..55
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/result.h"

namespace bib::wire {

inline constexpr std::size_t kNoteSize = 64;

struct NoteKind {
  std::string_view magic;  // 8 bytes
  std::uint32_t version = 0;
  std::string_view name;  // for a person: "note of ..."
};
using NoteNumbers = std::array<std::uint64_t, 5>;

std::vector<std::uint8_t> encode_note(const NoteKind& kind, const NoteNumbers& numbers);
// kUnsupported: another version. kCorrupt: length, magic, checksum.
Result<NoteNumbers> decode_note(const NoteKind& kind, ByteView bytes);
// kCorrupt: the note says something that it cannot say.
tl::unexpected<Error> bad_note(const NoteKind& kind, std::string_view what);

}  // namespace bib::wire
