#include "projections/state/digest.h"

#include <fmt/format.h>

namespace bib::projections {

void Digest::add(const wire::Hash128& contribution) {
  low += contribution.low;
  high += contribution.high + (low < contribution.low ? 1U : 0U);
  ++rows;
}

void Digest::remove(const wire::Hash128& contribution) {
  const std::uint64_t borrow = low < contribution.low ? 1U : 0U;
  low -= contribution.low;
  high -= contribution.high + borrow;
  --rows;
}

void Digest::add(const Digest& difference) {
  low += difference.low;
  high += difference.high + (low < difference.low ? 1U : 0U);
  rows += difference.rows;
}

std::string to_string(const Digest& digest) {
  return fmt::format("{:016x}{:016x}", digest.high, digest.low);
}

}  // namespace bib::projections
