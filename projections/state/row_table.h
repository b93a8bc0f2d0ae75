// RowTable: a hash table of rows by family and key; the active delta, the pending layer and each
// frozen delta are one. Open addressing with linear probing; erase() shifts back, so there are no
// graves. Not ordered: a frozen delta sorts its rows when somebody needs the order (delta.h).
// No locks; its owner says which thread.
//
// A table that is larger than the processor's caches costs two waits for memory at each look-up,
// one for the slot and one for the row. Who knows the keys of several look-ups beforehand lets
// these waits run at the same time: prefetch_place() some rows ahead, prefetch_row() a few rows
// ahead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "projections/state/stored_row.h"

namespace bib::projections {

class RowTable {
 public:
  struct Slot {
    RowPtr row;              // null: free
    std::uint64_t hash = 0;  // the row's, so that probing does not touch the row
    bool below = false;      // a layer below has a row of this key (active delta only)
  };

  RowTable() = default;
  RowTable(const RowTable&) = default;  // shares the rows
  RowTable& operator=(const RowTable&) = delete;
  RowTable(RowTable&& other) noexcept;
  RowTable& operator=(RowTable&& other) noexcept;

  // Null when the key is not there. Valid until the next change.
  const Slot* find(const RowKey& key) const;
  Slot* find(const RowKey& key);
  struct Put {
    Slot* slot;
    bool inserted;  // the key is new; its `below` is false
  };
  Put put(RowPtr row);
  void erase(Slot* slot);

  void prefetch_place(std::uint64_t hash) const {
    if (size_ > 0) __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
  }
  void prefetch_row(std::uint64_t hash) const {
    if (size_ == 0) return;
    const Slot& slot = slots_[hash & (slots_.size() - 1)];
    if (slot.row && slot.hash == hash) slot.row->prefetch();
  }

  void clear();
  void reserve(std::size_t rows);
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Memory of the rows and the table.
  std::size_t bytes() const { return row_bytes_ + slots_.size() * sizeof(Slot); }
  std::size_t row_bytes() const { return row_bytes_; }

  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.row) visit(slot);
    }
  }

 private:
  // The slot of the key, or the free one where it belongs.
  std::size_t probe(const RowKey& key) const;
  void rehash(std::size_t capacity);

  std::vector<Slot> slots_;  // a power of two, at most three quarters full
  std::size_t size_ = 0;
  std::size_t row_bytes_ = 0;
};

}  // namespace bib::projections
