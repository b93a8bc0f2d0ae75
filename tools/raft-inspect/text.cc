#include "inspect/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "wire/base/text.h"
#include "wire/base/time_text.h"

namespace bib::inspect {

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kDay = 86'400 * kSecond;

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
  }));
}

}  // namespace

// As wide for every time, so that columns stay.
std::string time_text(std::int64_t time_us) {
  std::string text = wire::format_time(time_us);
  text.pop_back();  // Z
  text[text.find('T')] = ' ';
  if (text.find('.') == std::string::npos) text += ".000000";
  return text;
}

std::string duration_text(std::int64_t duration_us) {
  if (duration_us < 0) return "none: the clock went back";
  struct Unit {
    std::int64_t us;
    std::string_view name;
  };
  constexpr std::array<Unit, 6> kUnits = {Unit{kDay, "d"},       {3600 * kSecond, "h"},
                                          {60 * kSecond, "min"}, {kSecond, "s"},
                                          {1000, "ms"},          {1, "us"}};
  for (std::size_t i = 0; i < kUnits.size(); ++i) {
    const std::int64_t whole = duration_us / kUnits[i].us;
    if (whole == 0) continue;
    std::string text = fmt::format("{} {}", whole, kUnits[i].name);
    if (i < 3) {
      const std::int64_t rest = duration_us % kUnits[i].us / kUnits[i + 1].us;
      if (rest > 0) text += fmt::format(" {} {}", rest, kUnits[i + 1].name);
    }
    return text;
  }
  return "0 s";
}

std::string size_text(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr std::array<std::string_view, 5> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  double size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; size >= 1023.95 && unit + 1 < kUnits.size(); ++unit) size /= 1024;
  return fmt::format("{:.1f} {}", size, kUnits[unit]);
}

std::string count_text(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count_text(count), count == 1 ? one : many);
}

std::string printable(std::string_view text) {
  const bool valid = wire::is_valid_utf8(text);
  if (valid && !wire::has_control_characters(text)) return std::string(text);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    // Of text that is not UTF-8, each byte is a character, and those above ASCII are not plain.
    const wire::Character character =
        valid ? wire::first_character(text.substr(at))
              : wire::Character{1, static_cast<unsigned char>(text[at])};
    if (wire::is_control(character.code) || (!valid && character.code > 0x7f)) {
      out += fmt::format("\\u{:04x}", character.code);
    } else {
      out += text.substr(at, character.size);
    }
    at += character.size;
  }
  return out;
}

std::string Paint::wrap(std::string_view code, std::string_view text) const {
  if (!enabled_) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::string Table::render() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - display_width(row[i]), ' ');
      const bool right = std::find(right_.begin(), right_.end(), i) != right_.end();
      line += "  " + (right ? padding + row[i] : row[i] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string field_line(std::string_view label, std::string_view value) {
  return fmt::format("{:<12}{}\n", label, value);
}

}  // namespace bib::inspect
