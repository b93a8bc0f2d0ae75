#include "wire/base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstring>

namespace bib::wire {
namespace {

// Below this, copying the pieces together costs less than setting up a streaming state.
constexpr std::size_t kGatherMax = 512;

}  // namespace

std::uint64_t checksum64(ByteView bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t checksum64(ByteView bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Hash128 checksum128(ByteView bytes, std::uint64_t seed) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {.low = hash.low64, .high = hash.high64};
}

struct alignas(64) StreamChecksum::State {
  XXH3_state_t xxh3;
};

StreamChecksum::StreamChecksum() : state_(std::make_unique<State>()) {
  XXH3_64bits_reset(&state_->xxh3);
}
StreamChecksum::~StreamChecksum() = default;
StreamChecksum::StreamChecksum(StreamChecksum&&) noexcept = default;
StreamChecksum& StreamChecksum::operator=(StreamChecksum&&) noexcept = default;

void StreamChecksum::add(ByteView bytes) {
  XXH3_64bits_update(&state_->xxh3, bytes.data(), bytes.size());
}

std::uint64_t StreamChecksum::value() const {
  return XXH3_64bits_digest(&state_->xxh3);
}

std::uint64_t checksum64_of_two(ByteView first, ByteView second) {
  return checksum64_of_pieces(first, {&second, 1});
}

std::uint64_t checksum64_of_pieces(ByteView head, std::span<const ByteView> pieces) {
  std::size_t size = head.size();
  for (const ByteView piece : pieces) size += piece.size();
  if (size <= kGatherMax) {
    std::array<std::uint8_t, kGatherMax> gathered;
    std::size_t at = 0;
    const auto gather = [&](ByteView piece) {
      if (!piece.empty()) std::memcpy(gathered.data() + at, piece.data(), piece.size());
      at += piece.size();
    };
    gather(head);
    for (const ByteView piece : pieces) gather(piece);
    return XXH3_64bits(gathered.data(), size);
  }
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, head.data(), head.size());
  for (const ByteView piece : pieces) XXH3_64bits_update(&state, piece.data(), piece.size());
  return XXH3_64bits_digest(&state);
}

}  // namespace bib::wire
