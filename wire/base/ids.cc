#include "wire/base/ids.h"

#include <fmt/format.h>

#include <charconv>

namespace bib::wire {
namespace {

// The value of a lower-case hex digit, or -1.
int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

template <typename Number>
std::optional<Number> parse_decimal(std::string_view text) {
  Number number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

}  // namespace

std::string to_hex(const std::uint8_t* data, std::size_t size) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(size * 2, '0');
  for (std::size_t i = 0; i < size; ++i) {
    text[2 * i] = kDigits[data[i] >> 4];
    text[2 * i + 1] = kDigits[data[i] & 15];
  }
  return text;
}

std::string to_string(NodeId id) {
  return fmt::format("{:016x}", id.value());
}

std::string to_string(const Position& position) {
  return fmt::format("{}:{}", position.index.value(), position.offset);
}

std::optional<NodeId> parse_node_id(std::string_view text) {
  if (text.size() != 16) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    const int digit = hex_digit(c);
    if (digit < 0) return std::nullopt;
    value = value << 4 | static_cast<std::uint64_t>(digit);
  }
  return NodeId(value);
}

std::optional<Position> parse_position(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto index = parse_decimal<std::uint64_t>(text.substr(0, colon));
  const auto offset = parse_decimal<std::uint32_t>(text.substr(colon + 1));
  if (!index || !offset) return std::nullopt;
  const Position position{LogIndex(*index), *offset};
  if (to_string(position) != text) return std::nullopt;  // leading zeros
  return position;
}

std::optional<std::array<std::uint8_t, 16>> parse_id128(std::string_view text) {
  std::array<std::uint8_t, 16> bytes{};
  if (text.size() != 2 * bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = hex_digit(text[2 * i]);
    const int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return bytes;
}

}  // namespace bib::wire
