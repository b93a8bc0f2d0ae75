// Units as people write them: durations, sizes, counts, and the nearest of some names.
//
// Pure functions. Durations are milliseconds, sizes bytes.
// The errors are half sentences that say what is allowed, to stand behind the name of a key.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/result.h"

namespace bib::cli {

// "250ms", "5s", "30m", "24h": one whole number and one unit.
wire::Result<std::uint64_t> parse_duration(std::string_view text);
// "65536", "64KiB", "64MiB", "1GiB".
wire::Result<std::uint64_t> parse_size(std::string_view text);
// Decimal digits only.
wire::Result<std::uint64_t> parse_count(std::string_view text);

// In the largest unit that loses nothing, as the parsers take it: "90s", "1536KiB".
std::string format_duration(std::uint64_t milliseconds);
std::string format_size(std::uint64_t bytes);
// For reading only: "3.2 MiB".
std::string format_size_short(std::uint64_t bytes);
// "1 topic", "2 topics".
std::string counted(std::uint64_t count, std::string_view noun);

// The names within a small edit distance of `text`, nearest first, at most three.
std::vector<std::string> near_matches(std::string_view text,
                                      std::span<const std::string_view> names);
// " (did you mean X?)", or nothing.
std::string did_you_mean(std::string_view text, std::span<const std::string_view> names);

}  // namespace bib::cli
