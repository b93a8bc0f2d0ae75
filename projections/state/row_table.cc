#include "projections/state/row_table.h"

#include <utility>

namespace bib::projections {

namespace {
constexpr std::size_t kCapacityMin = 64;
}  // namespace

RowTable::RowTable(RowTable&& other) noexcept
    : slots_(std::move(other.slots_)),
      size_(std::exchange(other.size_, 0)),
      row_bytes_(std::exchange(other.row_bytes_, 0)) {
  other.slots_.clear();
}

RowTable& RowTable::operator=(RowTable&& other) noexcept {
  slots_ = std::move(other.slots_);
  other.slots_.clear();
  size_ = std::exchange(other.size_, 0);
  row_bytes_ = std::exchange(other.row_bytes_, 0);
  return *this;
}

std::size_t RowTable::probe(const RowKey& key) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = key.hash & mask;
  while (slots_[i].row && !(slots_[i].hash == key.hash && slots_[i].row->is(key))) {
    i = (i + 1) & mask;
  }
  return i;
}

const RowTable::Slot* RowTable::find(const RowKey& key) const {
  if (size_ == 0) return nullptr;
  const Slot& slot = slots_[probe(key)];
  return slot.row ? &slot : nullptr;
}

RowTable::Slot* RowTable::find(const RowKey& key) {
  return const_cast<Slot*>(std::as_const(*this).find(key));
}

RowTable::Put RowTable::put(RowPtr row) {
  if ((size_ + 1) * 4 > slots_.size() * 3) {
    rehash(slots_.empty() ? kCapacityMin : slots_.size() * 2);
  }
  Slot& slot = slots_[probe(row->row_key())];
  const bool inserted = !slot.row;
  if (inserted) {
    ++size_;
    slot.hash = row->hash();
    slot.below = false;
  } else {
    row_bytes_ -= slot.row->bytes();
  }
  row_bytes_ += row->bytes();
  slot.row = std::move(row);
  return {&slot, inserted};
}

// Rows that follow the gap, and whose own place is not between the gap and them, move up: so
// every row stays reachable from its place without a break.
void RowTable::erase(Slot* slot) {
  const std::size_t mask = slots_.size() - 1;
  auto gap = static_cast<std::size_t>(slot - slots_.data());
  row_bytes_ -= slot->row->bytes();
  --size_;
  for (std::size_t i = (gap + 1) & mask; slots_[i].row; i = (i + 1) & mask) {
    const std::size_t home = slots_[i].hash & mask;
    if (((i - home) & mask) < ((i - gap) & mask)) continue;
    slots_[gap] = std::move(slots_[i]);
    gap = i;
  }
  slots_[gap] = Slot{};
}

void RowTable::clear() {
  if (size_ == 0) return;
  for (Slot& slot : slots_) slot = Slot{};
  size_ = 0;
  row_bytes_ = 0;
}

void RowTable::reserve(std::size_t rows) {
  std::size_t capacity = kCapacityMin;
  while (capacity * 3 < rows * 4) capacity *= 2;
  if (capacity > slots_.size()) rehash(capacity);
}

void RowTable::rehash(std::size_t capacity) {
  std::vector<Slot> old = std::move(slots_);
  slots_ = std::vector<Slot>(capacity);
  const std::size_t mask = capacity - 1;
  for (Slot& slot : old) {
    if (!slot.row) continue;
    std::size_t i = slot.hash & mask;
    while (slots_[i].row) i = (i + 1) & mask;
    slots_[i] = std::move(slot);
  }
}

}  // namespace bib::projections
