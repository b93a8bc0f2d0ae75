// IndexRange: which entries a person asked for, as in "40", "40..57", "40..", "..57" or "-20".
// Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::inspect {

struct IndexRange {
  std::optional<wire::LogIndex> first;
  std::optional<wire::LogIndex> last;
  std::optional<std::uint64_t> newest;  // so many at the log's end

  // The range with `newest` resolved for a log that ends at `log_end`. Inclusive.
  struct Bounds {
    wire::LogIndex first{1};
    wire::LogIndex last{UINT64_MAX};
    bool contains(wire::LogIndex index) const { return first <= index && index <= last; }
  };
  Bounds bounds(wire::LogIndex log_end) const;
};

// kInvalid says what a range looks like. Entries begin at 1.
wire::Result<IndexRange> parse_range(std::string_view text);

}  // namespace bib::inspect
