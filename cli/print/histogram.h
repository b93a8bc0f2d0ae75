// Histogram: latencies in log-linear buckets, 64 in each power of two (error below 1.6 %).
//
// Values only; recording costs a few nanoseconds and the size is fixed. Nanoseconds.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace bib::cli {

class Histogram {
 public:
  void record(std::uint64_t nanoseconds) {
    ++buckets_[bucket_of(nanoseconds)];
    ++count_;
  }
  std::uint64_t count() const { return count_; }

  // The upper end of the bucket that holds the given share (0.99) of all; 0 when empty.
  std::uint64_t quantile(double share) const;

 private:
  static constexpr int kBits = 6;
  static constexpr std::uint64_t kPerPower = 1U << kBits;
  static constexpr std::size_t kBuckets = (64 - kBits + 1) * kPerPower;

  // Values below 2 * kPerPower have a bucket each.
  static std::size_t bucket_of(std::uint64_t value) {
    int shift = std::max(0, static_cast<int>(std::bit_width(value)) - kBits - 1);
    return static_cast<std::size_t>(shift) * kPerPower + (value >> shift);
  }
  static std::uint64_t upper_end(std::size_t bucket);

  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
};

}  // namespace bib::cli
