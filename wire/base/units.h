// Durations, sizes and counts as people write them: "250ms", "64MiB", "12".
//
// Pure functions. Durations are milliseconds, sizes bytes. The errors (kInvalid) are half sentences
// that say what is allowed, to follow the name of a key or an option.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/base/result.h"

namespace bib::wire {

// "250ms", "5s", "30m", "24h": one whole number and one unit.
Result<std::uint64_t> parse_duration(std::string_view text);
// "65536", "64KiB", "64MiB", "1GiB".
Result<std::uint64_t> parse_size(std::string_view text);
// Decimal digits only.
Result<std::uint64_t> parse_count(std::string_view text);

// The text in the largest unit that loses nothing, as the parsers take it: "90s", "1536KiB".
std::string format_duration(std::uint64_t milliseconds);
std::string format_size(std::uint64_t bytes);

}  // namespace bib::wire
