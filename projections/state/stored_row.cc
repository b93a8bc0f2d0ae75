#include "projections/state/stored_row.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "wire/base/check.h"

namespace bib::projections {

RowKey make_row_key(Family family, std::string_view key) {
  const std::uint64_t hash =
      wire::checksum64(wire::as_bytes(key), static_cast<std::uint64_t>(family));
  return {family, key, hash == 0 ? 1 : hash};
}

StoredRow::StoredRow(const RowKey& key, std::size_t value_size, bool tombstone)
    : key_size_(static_cast<std::uint32_t>(key.key.size())),
      value_size_(static_cast<std::uint32_t>(value_size)),
      family_(key.family),
      tombstone_(tombstone),
      hash_(key.hash) {}

RowPtr StoredRow::allocate(const RowKey& key, wire::ByteView value, bool tombstone) {
  BIB_CHECK(key.key.size() <= UINT32_MAX && value.size() <= UINT32_MAX, "a row of {} bytes",
            value.size());
  static_assert(sizeof(StoredRow) % 8 == 0);
  const std::size_t key_room = padded(key.key.size());
  const std::size_t hashed_size = kPrefixSize + key_room + value.size();
  const std::size_t size = sizeof(StoredRow) + hashed_size;
  void* memory = ::operator new(size);
  auto* row = new (memory) StoredRow(key, value.size(), tombstone);
  auto* prefix = reinterpret_cast<std::uint8_t*>(row + 1);
  std::memset(prefix, 0, 4);
  prefix[0] = static_cast<std::uint8_t>(key.family);
  for (std::size_t i = 0; i < 4; ++i) {
    prefix[4 + i] = static_cast<std::uint8_t>(row->key_size_ >> (8 * i));
  }
  std::uint8_t* out = prefix + kPrefixSize;
  if (!key.key.empty()) std::memcpy(out, key.key.data(), key.key.size());
  std::memset(out + key.key.size(), 0, key_room - key.key.size());
  if (!value.empty()) std::memcpy(out + key_room, value.data(), value.size());
  if (!tombstone) {
    row->digest_ = wire::checksum128({prefix, hashed_size});
  }
  return RowPtr(row);
}

RowPtr StoredRow::make(const RowKey& key, wire::ByteView value) {
  return allocate(key, value, false);
}

RowPtr StoredRow::make_tombstone(const RowKey& key) {
  return allocate(key, {}, true);
}

void StoredRow::release() const {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  this->~StoredRow();
  ::operator delete(const_cast<StoredRow*>(this));
}

}  // namespace bib::projections
