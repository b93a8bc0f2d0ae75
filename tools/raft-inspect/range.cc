#include "inspect/range.h"

#include "wire/base/units.h"

namespace bib::inspect {

using wire::LogIndex;

namespace {

// A number from 1; nullopt for anything else.
std::optional<std::uint64_t> parse_number(std::string_view text) {
  const auto number = wire::parse_count(text);
  return number && *number > 0 ? std::optional(*number) : std::nullopt;
}

std::optional<IndexRange> parse(std::string_view text) {
  IndexRange range;
  if (text.starts_with('-')) {
    range.newest = parse_number(text.substr(1));
    return range.newest ? std::optional(range) : std::nullopt;
  }
  const std::size_t dots = text.find("..");
  const std::string_view head = text.substr(0, dots);
  const std::string_view tail = dots == std::string_view::npos ? head : text.substr(dots + 2);
  if (head.empty() && tail.empty()) return std::nullopt;
  const auto first = parse_number(head);
  const auto last = parse_number(tail);
  if ((!head.empty() && !first) || (!tail.empty() && !last)) return std::nullopt;
  if (first) range.first = LogIndex(*first);
  if (last) range.last = LogIndex(*last);
  return range;
}

}  // namespace

IndexRange::Bounds IndexRange::bounds(LogIndex log_end) const {
  Bounds bounds;
  if (newest && log_end.value() >= *newest) bounds.first = log_end - (*newest - 1);
  if (first) bounds.first = *first;
  if (last) bounds.last = *last;
  return bounds;
}

wire::Result<IndexRange> parse_range(std::string_view text) {
  const auto range = parse(text);
  if (!range) {
    return wire::fail(
        wire::ErrorCode::kInvalid,
        "'{}' is not a range of entries: say 40, 40..57, 40.., ..57, or -20 for the last "
        "twenty. The first entry is 1",
        text);
  }
  if (range->first && range->last && *range->first > *range->last) {
    return wire::fail(wire::ErrorCode::kInvalid, "the range {} ends before it begins: say {}..{}",
                      text, range->last->value(), range->first->value());
  }
  return *range;
}

}  // namespace bib::inspect
