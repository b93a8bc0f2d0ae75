// Text from outside: whether it is UTF-8, and whether it fits on one line.
//
// Functions over views; they never fail and never allocate.
#pragma once

#include <string_view>
#include <vector>

namespace bib::wire {

// Views; whoever holds the texts outlives the list.
using TextList = std::vector<std::string_view>;

// True for well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing
// above U+10FFFF. Empty text is valid.
bool is_valid_utf8(std::string_view text);

// True when the text has a control character: U+0000 to U+001F, U+007F, or U+0080 to U+009F. The
// text must be valid UTF-8.
bool has_control_characters(std::string_view text);

}  // namespace bib::wire
