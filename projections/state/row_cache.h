// RowCache: applied rows that were read or written lately, so that reading a row again does not go
// down to RocksDB. Four ways, bounded in bytes; rows above kRowBytesMax are not kept. The node loop
// owns it. It holds the row as applied, so one hit answers for the active delta, the frozen ones
// and the store.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "projections/state/stored_row.h"

namespace bib::projections {

class RowCache {
 public:
  static constexpr std::size_t kRowBytesMax = 4096;

  // Has room for as many rows of `row_bytes_expected` as fit.
  RowCache(std::size_t bytes_max, std::size_t row_bytes_expected);

  // Null when it is not known here; never a tombstone.
  const StoredRow* find(const RowKey& key) const;
  // `row` is the newest of its key; a tombstone, or a row that is not kept, drops the one before.
  void update(const RowPtr& row);
  void clear();
  std::size_t bytes() const { return bytes_; }

  // Ask the processor for what find() and update() of this hash will touch: first the set, and,
  // once that is there, the row (row_table.h).
  void prefetch_place(std::uint64_t hash) const;
  void prefetch_row(std::uint64_t hash) const;

 private:
  static constexpr std::size_t kWays = 4;
  struct Way {
    std::uint64_t hash = 0;
    RowPtr row;
  };
  // One line of the processor's cache: a look-up waits for memory once here, and once at the row.
  struct alignas(64) Set {
    std::array<Way, kWays> ways;
  };

  Set& set_of(std::uint64_t hash) { return sets_[hash & set_mask_]; }
  const Set& set_of(std::uint64_t hash) const { return sets_[hash & set_mask_]; }
  void assign(Way& way, RowPtr row);
  void evict_until_it_fits();

  std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::size_t set_mask_ = 0;
  std::size_t hand_ = 0;  // of all ways, one set after another
  std::vector<Set> sets_;
};

}  // namespace bib::projections
