// Sizes and counts as people read them, and the nearest of some names. What people write, with its
// units, is read by wire/base/units.h.
//
// Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bib::cli {

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
