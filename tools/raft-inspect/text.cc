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

void append_escaped(std::string& out, std::string_view character) {
  // One or two bytes: all control characters are below U+0100.
  unsigned code = static_cast<unsigned char>(character[0]);
  if (character.size() == 2) {
    code = (code & 0x1fU) << 6 | (static_cast<unsigned char>(character[1]) & 0x3fU);
  }
  out += fmt::format("\\u{:04x}", code);
}

std::size_t character_size(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

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
    const std::size_t size = valid ? character_size(static_cast<unsigned char>(text[at])) : 1;
    const std::string_view character = text.substr(at, size);
    const bool plain =
        valid ? !wire::has_control_characters(character) : text[at] >= 0x20 && text[at] < 0x7f;
    if (plain) {
      out += character;
    } else {
      append_escaped(out, character);
    }
    at += size;
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
