#include "wire/base/units.h"

#include <charconv>
#include <limits>
#include <span>

namespace bib::wire {
namespace {

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

Result<std::uint64_t> parse_with_units(std::string_view text, std::span<const Unit> units,
                                       std::string_view form) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::result_out_of_range) {
    return fail(ErrorCode::kInvalid, "'{}' is too large", text);
  }
  if (error != std::errc{}) return fail(ErrorCode::kInvalid, "'{}' is not {}", text, form);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  for (const Unit& known : units) {
    if (unit != known.name) continue;
    if (number > std::numeric_limits<std::uint64_t>::max() / known.factor) {
      return fail(ErrorCode::kInvalid, "'{}' is too large", text);
    }
    return number * known.factor;
  }
  if (unit.empty()) return fail(ErrorCode::kInvalid, "'{}' has no unit; give {}", text, form);
  return fail(ErrorCode::kInvalid, "'{}' has the unknown unit '{}'; give {}", text, unit, form);
}

std::string format_with_units(std::uint64_t value, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) {
      return fmt::format("{}{}", value / unit.factor, unit.name);
    }
  }
  return fmt::format("0{}", units.back().name);
}

}  // namespace

Result<std::uint64_t> parse_duration(std::string_view text) {
  return parse_with_units(text, kDurationUnits, kDurationForm);
}

Result<std::uint64_t> parse_size(std::string_view text) {
  return parse_with_units(text, kSizeUnits, kSizeForm);
}

Result<std::uint64_t> parse_count(std::string_view text) {
  static constexpr Unit kNoUnit[] = {{"", 1}};
  return parse_with_units(text, kNoUnit, "a whole number");
}

std::string format_duration(std::uint64_t milliseconds) {
  return format_with_units(milliseconds, kDurationUnits);
}

std::string format_size(std::uint64_t bytes) {
  return format_with_units(bytes, kSizeUnits);
}

}  // namespace bib::wire
