// Digest: the order-independent 128-bit sum over a projection's rows, and their count.
//
// Each row contributes the xxh3-128 of (family, key length, key, value;
// stored_row.h has the bytes); the sum is modulo 2^128.
// Adding and removing commute, so equal rows give equal digests whatever their history. It detects
// divergence and damage, not malice. Plain values; no loop.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "projections/state/family.h"
#include "wire/base/checksum.h"

namespace bib::projections {

class StoredRow;

struct Digest {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::uint64_t rows = 0;

  // `contribution` is StoredRow::digest().
  void add(const wire::Hash128& contribution);
  void remove(const wire::Hash128& contribution);
  // Sums up differences too: `rows` wraps like the sum does.
  void add(const Digest& difference);

  bool operator==(const Digest&) const = default;
};

// One for each family; kMeta's stays zero.
using DigestSet = std::array<Digest, kFamilyCount>;

// 32 hex digits, the high half first.
std::string to_string(const Digest& digest);

}  // namespace bib::projections
