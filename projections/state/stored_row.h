// StoredRow: one row of the state, put or tombstone, in one immutable allocation.
//
// Pending rows, the delta, frozen deltas, the cache and views share a row by its reference count,
// so a row is encoded, hashed and copied once. Immutable after make(), so it may be read on any
// thread; the count is atomic. RowPtr is the only owner.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>

#include "projections/state/family.h"
#include "wire/base/bytes.h"
#include "wire/base/checksum.h"

namespace bib::projections {

// A key with its hash, so that one hash serves the look-ups in all layers.
struct RowKey {
  Family family = Family::kMeta;
  std::string_view key;
  std::uint64_t hash = 0;  // never 0
};
RowKey make_row_key(Family family, std::string_view key);

class RowPtr;

class StoredRow {
 public:
  static RowPtr make(const RowKey& key, wire::ByteView value);
  static RowPtr make_tombstone(const RowKey& key);
  StoredRow(const StoredRow&) = delete;
  StoredRow& operator=(const StoredRow&) = delete;

  Family family() const { return family_; }
  std::string_view key() const { return {text(), key_size_}; }
  // Aligned to eight bytes, as row.h wants it.
  wire::ByteView value() const { return wire::as_bytes({text() + padded(key_size_), value_size_}); }
  bool is_tombstone() const { return tombstone_; }
  RowKey row_key() const { return {family_, key(), hash_}; }
  std::uint64_t hash() const { return hash_; }
  // What the row adds to its projection's digest; zero for a tombstone.
  const wire::Hash128& digest() const { return digest_; }
  // Memory that the row takes, for accounting.
  std::size_t bytes() const {
    return sizeof(StoredRow) + kPrefixSize + padded(key_size_) + value_size_;
  }

  // Asks the processor for the header and the key.
  void prefetch() const {
    __builtin_prefetch(this);
    __builtin_prefetch(text() + kPrefixSize + 16);
  }

  bool is(const RowKey& key) const {
    return hash_ == key.hash && family_ == key.family && this->key() == key.key;
  }

 private:
  friend class RowPtr;
  // What is hashed follows the object: u32 family, u32 key length, the key, zeros up to a multiple
  // of eight bytes, the value.
  static constexpr std::size_t kPrefixSize = 8;
  static constexpr std::size_t padded(std::size_t size) { return (size + 7) / 8 * 8; }

  StoredRow(const RowKey& key, std::size_t value_size, bool tombstone);
  static RowPtr allocate(const RowKey& key, wire::ByteView value, bool tombstone);
  const char* text() const { return reinterpret_cast<const char*>(this + 1) + kPrefixSize; }
  void acquire() const { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() const;

  mutable std::atomic<std::uint32_t> references_{1};
  std::uint32_t key_size_;
  std::uint32_t value_size_;
  Family family_;
  bool tombstone_;
  std::uint64_t hash_;
  wire::Hash128 digest_;
};

// Shared ownership of a StoredRow; null is "no such row".
class RowPtr {
 public:
  RowPtr() = default;
  RowPtr(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): as with other pointers
  RowPtr(const RowPtr& other) : row_(other.row_) {
    if (row_ != nullptr) row_->acquire();
  }
  RowPtr(RowPtr&& other) noexcept : row_(std::exchange(other.row_, nullptr)) {}
  RowPtr& operator=(RowPtr other) noexcept {
    std::swap(row_, other.row_);
    return *this;
  }
  ~RowPtr() {
    if (row_ != nullptr) row_->release();
  }

  const StoredRow* get() const { return row_; }
  const StoredRow& operator*() const { return *row_; }
  const StoredRow* operator->() const { return row_; }
  explicit operator bool() const { return row_ != nullptr; }
  // Another owner of a row that is owned elsewhere.
  static RowPtr share(const StoredRow* row) {
    if (row != nullptr) row->acquire();
    return RowPtr(row);
  }

 private:
  friend class StoredRow;
  explicit RowPtr(const StoredRow* row) : row_(row) {}
  const StoredRow* row_ = nullptr;
};

}  // namespace bib::projections
