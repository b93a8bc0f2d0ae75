#include "cli/print/units.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace bib::cli {
namespace {

using wire::ErrorCode;

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr Unit kDurationUnits[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
constexpr Unit kSizeUnits[] = {
    {"GiB", std::uint64_t{1} << 30}, {"MiB", std::uint64_t{1} << 20}, {"KiB", 1024}, {"", 1}};

constexpr std::string_view kDurationForm = "a whole number with a unit: ms, s, m or h (250ms, 5s)";
constexpr std::string_view kSizeForm =
    "a whole number of bytes, or one with the unit KiB, MiB or GiB (64MiB)";

wire::Result<std::uint64_t> parse_with_units(std::string_view text, std::span<const Unit> units,
                                             std::string_view form) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::result_out_of_range)
    return wire::fail(ErrorCode::kInvalid, "'{}' is too large", text);
  if (error != std::errc{}) return wire::fail(ErrorCode::kInvalid, "'{}' is not {}", text, form);
  std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  for (const Unit& known : units) {
    if (unit != known.name) continue;
    if (number > std::numeric_limits<std::uint64_t>::max() / known.factor)
      return wire::fail(ErrorCode::kInvalid, "'{}' is too large", text);
    return number * known.factor;
  }
  if (unit.empty()) return wire::fail(ErrorCode::kInvalid, "'{}' has no unit; give {}", text, form);
  return wire::fail(ErrorCode::kInvalid, "'{}' has the unknown unit '{}'; give {}", text, unit,
                    form);
}

std::string format_with_units(std::uint64_t value, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0)
      return fmt::format("{}{}", value / unit.factor, unit.name);
  }
  return fmt::format("0{}", units.back().name);
}

// Levenshtein's distance with one row of memory.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row[b.size()];
}

}  // namespace

wire::Result<std::uint64_t> parse_duration(std::string_view text) {
  return parse_with_units(text, kDurationUnits, kDurationForm);
}

wire::Result<std::uint64_t> parse_size(std::string_view text) {
  return parse_with_units(text, kSizeUnits, kSizeForm);
}

wire::Result<std::uint64_t> parse_count(std::string_view text) {
  static constexpr Unit kNoUnit[] = {{"", 1}};
  return parse_with_units(text, kNoUnit, "a whole number");
}

std::string format_duration(std::uint64_t milliseconds) {
  return format_with_units(milliseconds, kDurationUnits);
}

std::string format_size(std::uint64_t bytes) {
  return format_with_units(bytes, kSizeUnits);
}

std::string format_size_short(std::uint64_t bytes) {
  for (const Unit& unit : kSizeUnits) {
    if (unit.factor > 1 && bytes >= unit.factor)
      return fmt::format("{:.1f} {}", static_cast<double>(bytes) / static_cast<double>(unit.factor),
                         unit.name);
  }
  return fmt::format("{} B", bytes);
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::vector<std::string> near_matches(std::string_view text,
                                      std::span<const std::string_view> names) {
  constexpr std::size_t kTextSizeMax = 128;
  constexpr std::size_t kMatchesMax = 3;
  if (text.empty() || text.size() > kTextSizeMax) return {};
  std::vector<std::pair<std::size_t, std::string_view>> found;
  for (std::string_view name : names) {
    std::size_t distance = edit_distance(text, name);
    if (distance <= std::max<std::size_t>(2, name.size() / 4)) found.emplace_back(distance, name);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  if (found.size() > kMatchesMax) found.resize(kMatchesMax);
  std::vector<std::string> matches;
  for (const auto& [distance, name] : found) matches.emplace_back(name);
  return matches;
}

std::string did_you_mean(std::string_view text, std::span<const std::string_view> names) {
  std::vector<std::string> matches = near_matches(text, names);
  if (matches.empty()) return {};
  return fmt::format(" (did you mean {}?)", fmt::join(matches, " or "));
}

}  // namespace bib::cli
