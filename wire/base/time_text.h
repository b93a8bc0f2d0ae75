// Times as text: RFC 3339, always UTC.
//
// Pure functions; times are microseconds since 1970-01-01 UTC. Leap seconds do not exist, as in
// POSIX time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bib::wire {

// "2026-01-31T23:59:59Z", or with six digits of a second, "...59.000001Z", where it is not whole.
// Years outside 0000 to 9999 are given as the nearest time inside.
std::string format_time(std::int64_t time_us);

// nullopt unless the text is a time in UTC as above, with up to nine digits of a second (digits
// beyond the sixth are dropped).
std::optional<std::int64_t> parse_time(std::string_view text);

}  // namespace bib::wire
