// Damaging bytes on purpose, for tests of decoders: cut off at every length, and with bits flipped.
#pragma once

#include <catch2/catch.hpp>

#include <cstring>
#include <memory>
#include <random>

#include "message_fields.h"

namespace bib::wire {

// A copy in storage of exactly its size, so that a sanitizer sees the first byte read beyond it.
class ExactCopy {
 public:
  explicit ExactCopy(ByteView bytes)
      : data_(std::make_unique<std::uint8_t[]>(bytes.size())), size_(bytes.size()) {
    if (size_ != 0) std::memcpy(data_.get(), bytes.data(), size_);
  }
  std::uint8_t* data() { return data_.get(); }
  ByteView view() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<std::uint8_t[]> data_;
  std::size_t size_;
};

// At most so many bytes at the end of a FlatBuffer of ours are padding, and carry nothing.
inline constexpr std::size_t kTailPaddingMax = 7;

// Cut off anywhere, the bytes are refused, unless only padding is missing.
template <typename T, typename Decode>
void check_truncated(ByteView bytes, const T& expected, const Decode& decode) {
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const ExactCopy cut(bytes.first(size));
    const auto decoded = decode(cut.view());
    if (!decoded) continue;
    INFO("cut to " << size << " of " << bytes.size());
    REQUIRE(bytes.size() - size <= kTailPaddingMax);
    REQUIRE(same(*decoded, expected));
  }
}

// With bits flipped, the bytes are refused, or everything that is read lies inside them. Returns
// how many were refused.
template <typename Decode>
int check_bit_flips(ByteView bytes, int rounds, const Decode& decode) {
  std::mt19937_64 random(bytes.size());
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    ExactCopy copy(bytes);
    const std::uint64_t flips = 1 + random() % 4;
    for (std::uint64_t flip = 0; flip < flips; ++flip) {
      const std::uint64_t bit = random() % (bytes.size() * 8);
      copy.data()[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    }
    const auto decoded = decode(copy.view());
    if (!decoded) {
      ++refused;
      REQUIRE_FALSE(decoded.error().message.empty());
    } else {
      REQUIRE(lies_inside(copy.view(), *decoded));
    }
  }
  return refused;
}

}  // namespace bib::wire
