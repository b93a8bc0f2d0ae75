#include "wire/log/note.h"

#include <cstring>

#include "wire/base/check.h"
#include "wire/base/checksum.h"
#include "wire/base/little_endian.h"

namespace bib::wire {
namespace {

constexpr std::size_t kMagicSize = 8;
constexpr std::size_t kNumbersOffset = 16;
constexpr std::size_t kChecksumOffset = 56;

}  // namespace

tl::unexpected<Error> bad_note(const NoteKind& kind, std::string_view what) {
  return fail(ErrorCode::kCorrupt, "not a valid {}: {}", kind.name, what);
}

std::vector<std::uint8_t> encode_note(const NoteKind& kind, const NoteNumbers& numbers) {
  BIB_CHECK(kind.magic.size() == kMagicSize);
  std::vector<std::uint8_t> bytes(kNoteSize);
  std::uint8_t* at = bytes.data();
  std::memcpy(at, kind.magic.data(), kMagicSize);
  store(at + 8, kind.version);
  for (std::size_t i = 0; i < numbers.size(); ++i) store(at + kNumbersOffset + 8 * i, numbers[i]);
  store(at + kChecksumOffset, checksum64(ByteView(bytes).first(kChecksumOffset)));
  return bytes;
}

Result<NoteNumbers> decode_note(const NoteKind& kind, ByteView bytes) {
  if (bytes.size() != kNoteSize) {
    return bad_note(kind, fmt::format("{} bytes, not {}", bytes.size(), kNoteSize));
  }
  if (as_text(bytes.first(kMagicSize)) != kind.magic) {
    return bad_note(kind, fmt::format("it does not begin with {}", kind.magic));
  }
  const std::uint8_t* at = bytes.data();
  if (load_u32(at + 8) != kind.version) {
    return fail(ErrorCode::kUnsupported,
                "a {} of version {}; this build knows version {}: use a newer build", kind.name,
                load_u32(at + 8), kind.version);
  }
  if (load_u64(at + kChecksumOffset) != checksum64(bytes.first(kChecksumOffset))) {
    return bad_note(kind, "its checksum is wrong");
  }
  if (load_u32(at + 12) != 0) return bad_note(kind, "a field has a value that it cannot have");
  NoteNumbers numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = load_u64(at + kNumbersOffset + 8 * i);
  return numbers;
}

}  // namespace bib::wire
