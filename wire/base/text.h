// Text from outside: its characters, whether it is UTF-8, and whether it fits on one line.
//
// Functions over views; they never fail, and only printable() allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bib::wire {

// Views; the owner of the texts outlives the list.
using TextList = std::vector<std::string_view>;

struct Character {
  std::size_t size = 0;  // in bytes; 0: there is no character
  std::uint32_t code = 0;
};

// The character that `text` begins with, if that is well-formed UTF-8 (Unicode 15, table 3-7): no
// overlong form, no surrogate, nothing above U+10FFFF.
Character first_character(std::string_view text);

// True for well-formed UTF-8. Empty text is valid.
bool is_valid_utf8(std::string_view text);

// U+0000 to U+001F, U+007F, and U+0080 to U+009F.
constexpr bool is_control(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}

// True when the text has a control character. The text must be valid UTF-8.
bool has_control_characters(std::string_view text);

// The text with control characters and bytes that are not UTF-8 as \xNN: one line, and nothing that
// steers a terminal.
std::string printable(std::string_view text);

}  // namespace bib::wire
