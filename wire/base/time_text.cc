#include "wire/base/time_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace bib::wire {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year;
using std::chrono::year_month_day;

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kDayUs = 86'400 * kSecondUs;

constexpr std::int64_t start_of_year(int number) {
  return sys_days(year(number) / 1 / 1).time_since_epoch().count() * kDayUs;
}
constexpr std::int64_t kTimeMin = start_of_year(0);
constexpr std::int64_t kTimeMax = start_of_year(10'000) - 1;

// The next `digits` of `text` as a number, and then `separator`; both are taken off.
std::optional<int> take_number(std::string_view& text, std::size_t digits, char separator) {
  if (text.size() <= digits || text[digits] != separator) return std::nullopt;
  int number = 0;
  for (const char c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + (c - '0');
  }
  text.remove_prefix(digits + 1);
  return number;
}

// "ss" or "ss.f", then "Z" and nothing more.
std::optional<std::int64_t> parse_seconds(std::string_view text) {
  if (!text.ends_with('Z')) return std::nullopt;
  const std::size_t point = text.find('.');
  if (point == std::string_view::npos) {
    const auto whole = take_number(text, 2, 'Z');
    return whole && *whole < 60 && text.empty() ? std::optional(*whole * kSecondUs) : std::nullopt;
  }
  const auto whole = take_number(text, 2, '.');
  const std::string_view fraction =
      text.substr(0, text.size() - std::min<std::size_t>(1, text.size()));
  if (!whole || *whole >= 60 || fraction.empty() || fraction.size() > 9) return std::nullopt;
  std::int64_t microseconds = 0;
  std::int64_t unit = kSecondUs;
  for (const char c : fraction) {
    if (c < '0' || c > '9') return std::nullopt;
    unit /= 10;
    microseconds += (c - '0') * unit;
  }
  return *whole * kSecondUs + microseconds;
}

}  // namespace

std::string format_time(std::int64_t time_us) {
  time_us = std::clamp(time_us, kTimeMin, kTimeMax);
  const std::int64_t day = (time_us - (time_us < 0 ? kDayUs - 1 : 0)) / kDayUs;
  const std::int64_t in_day = time_us - day * kDayUs;
  const year_month_day date{sys_days(days(day))};
  const std::int64_t seconds = in_day / kSecondUs;
  std::string text =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  seconds / 3600, seconds / 60 % 60, seconds % 60);
  if (in_day % kSecondUs != 0) text += fmt::format(".{:06}", in_day % kSecondUs);
  return text + 'Z';
}

std::optional<std::int64_t> parse_time(std::string_view text) {
  const auto year_number = take_number(text, 4, '-');
  const auto month_number = year_number ? take_number(text, 2, '-') : std::nullopt;
  const auto day_number = month_number ? take_number(text, 2, 'T') : std::nullopt;
  const auto hour = day_number ? take_number(text, 2, ':') : std::nullopt;
  const auto minute = hour ? take_number(text, 2, ':') : std::nullopt;
  if (!minute || *hour > 23 || *minute > 59) return std::nullopt;
  const year_month_day date{year(*year_number),
                            std::chrono::month(static_cast<unsigned>(*month_number)),
                            std::chrono::day(static_cast<unsigned>(*day_number))};
  const auto seconds = parse_seconds(text);
  if (!date.ok() || !seconds) return std::nullopt;
  const std::int64_t day_us = sys_days(date).time_since_epoch().count() * kDayUs;
  return day_us + (*hour * 60 + *minute) * 60 * kSecondUs + *seconds;
}

}  // namespace bib::wire
