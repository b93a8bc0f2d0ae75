// xxh3 checksums, the only ones in the house.
#pragma once

#include <cstdint>
#include <memory>

#include "wire/base/bytes.h"

namespace bib::wire {

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
};

std::uint64_t checksum64(ByteView bytes);
std::uint64_t checksum64(ByteView bytes, std::uint64_t seed);
Hash128 checksum128(ByteView bytes, std::uint64_t seed = 0);

// Two spans, or a head and any number of pieces, as if they were one.
std::uint64_t checksum64_of_two(ByteView first, ByteView second);
std::uint64_t checksum64_of_pieces(ByteView head, std::span<const ByteView> pieces);

// checksum64 of a stream that comes in pieces.
class StreamChecksum {
 public:
  StreamChecksum();
  ~StreamChecksum();
  StreamChecksum(StreamChecksum&&) noexcept;
  StreamChecksum& operator=(StreamChecksum&&) noexcept;

  void add(ByteView bytes);
  std::uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bib::wire
