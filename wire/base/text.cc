#include "wire/base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bib::wire {
namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080ULL;

std::uint8_t byte_at(std::string_view text, std::size_t i) {
  return static_cast<std::uint8_t>(text[i]);
}

// How a sequence that begins with `lead` continues. The second byte's range narrows for the leads
// that could be overlong, a surrogate or too large.
struct Sequence {
  std::size_t size = 0;  // 0: nothing begins so
  std::uint8_t second_min = 0x80;
  std::uint8_t second_max = 0xbf;
};

Sequence sequence_of(std::uint8_t lead) {
  if (lead < 0x80) return {1};
  if (lead < 0xc2) return {};
  if (lead < 0xe0) return {2};
  if (lead == 0xe0) return {3, 0xa0, 0xbf};
  if (lead == 0xed) return {3, 0x80, 0x9f};
  if (lead < 0xf0) return {3};
  if (lead == 0xf0) return {4, 0x90, 0xbf};
  if (lead < 0xf4) return {4};
  if (lead == 0xf4) return {4, 0x80, 0x8f};
  return {};
}

}  // namespace

Character first_character(std::string_view text) {
  if (text.empty()) return {};
  const std::uint8_t lead = byte_at(text, 0);
  const Sequence sequence = sequence_of(lead);
  if (sequence.size == 0) return {};
  if (sequence.size == 1) return {1, lead};
  if (text.size() < sequence.size) return {};
  if (byte_at(text, 1) < sequence.second_min || byte_at(text, 1) > sequence.second_max) return {};
  std::uint32_t code = lead & (0x7fU >> sequence.size);
  for (std::size_t i = 1; i < sequence.size; ++i) {
    if ((byte_at(text, i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte_at(text, i) & 0x3fU);
  }
  return {sequence.size, code};
}

bool is_valid_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    if (text.size() - i >= sizeof(std::uint64_t)) {
      std::uint64_t word;
      std::memcpy(&word, text.data() + i, sizeof word);
      if ((word & kHighBits) == 0) {
        i += sizeof word;
        continue;
      }
    }
    const std::size_t size = first_character(text.substr(i)).size;
    if (size == 0) return false;
    i += size;
  }
  return true;
}

bool has_control_characters(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::uint8_t byte = byte_at(text, i);
    // Above U+007F, control characters are C2 80 to C2 9F.
    if (byte < 0x80 ? is_control(byte)
                    : byte == 0xc2 && is_control(first_character(text.substr(i)).code)) {
      return true;
    }
  }
  return false;
}

std::string printable(std::string_view text) {
  if (is_valid_utf8(text) && !has_control_characters(text)) return std::string(text);
  std::string out;
  while (!text.empty()) {
    const Character character = first_character(text);
    const std::string_view bytes = text.substr(0, std::max<std::size_t>(character.size, 1));
    if (character.size > 0 && !is_control(character.code)) {
      out += bytes;
    } else {
      for (const char c : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    text.remove_prefix(bytes.size());
  }
  return out;
}

}  // namespace bib::wire
