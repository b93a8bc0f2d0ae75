// The search behind linearizability.h, for the operations of one key.
//
// It walks through calls and completions in their order and keeps every configuration in which the
// register can be: its state, and which of the operations under way have taken effect already.
// Operations take effect just in time (Lowe 2017): only when one is completed are those before it
// tried, in all orders (Wing and Gong 1993). A completion that no configuration reaches is the
// contradiction.
//
// What keeps the number of configurations small, each without losing an answer:
//   * reads and refusals take effect as soon as they can;
//   * revisions never go back: a configuration beyond the revision that a waiting operation has
//     shown is dropped;
//   * an operation of unknown outcome is never needed, so of two configurations that differ only in
//     those, the one with more of them left is enough;
//   * of unknown operations that do the same, the oldest goes first;
//   * values that nobody reads and only one writes are one value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "support/linearizability.h"

namespace bib::support {

// `operations` are of one key; those of `relaxed` (empty, or one flag for each) count as if their
// outcome and the revision that they expect were unknown: what was right before is right then, too.
struct Search {
  Verdict::Kind kind = Verdict::Kind::kLinearizable;
  std::size_t failed_at = 0;            // the operation whose completion cannot be
  std::vector<std::string> possible{};  // states just before, for people; at most eight
  std::string unknown_because{};
  std::uint64_t steps = 0;
};
Search search_order(std::span<const Operation* const> operations, const std::vector<bool>& relaxed,
                    const CheckLimits& limits);

}  // namespace bib::support
