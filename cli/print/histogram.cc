#include "cli/print/histogram.h"

#include <cmath>

namespace bib::cli {

std::uint64_t Histogram::upper_end(std::size_t bucket) {
  if (bucket < 2 * kPerPower) return bucket;
  const std::uint64_t shift = bucket / kPerPower - 1;
  const std::uint64_t mantissa = bucket % kPerPower + kPerPower;
  return ((mantissa + 1) << shift) - 1;
}

std::uint64_t Histogram::quantile(double share) const {
  if (count_ == 0) return 0;
  auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
  wanted = std::clamp<std::uint64_t>(wanted, 1, count_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return upper_end(i);
  }
  return upper_end(kBuckets - 1);
}

}  // namespace bib::cli
