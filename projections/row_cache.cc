#include "projections/row_cache.h"

namespace bib::projections {

RowCache::RowCache(std::size_t bytes_max, std::size_t row_bytes_expected) : bytes_max_(bytes_max) {
  std::size_t sets = 1;
  while (sets * kWays * row_bytes_expected < bytes_max) sets *= 2;
  set_mask_ = sets - 1;
  if (bytes_max > 0) ways_.resize(sets * kWays);
}

const StoredRow* RowCache::find(const RowKey& key) const {
  if (ways_.empty()) return nullptr;
  const Way* set = &ways_[set_of(key.hash)];
  for (std::size_t i = 0; i < kWays; ++i) {
    if (set[i].hash == key.hash && set[i].row->is(key)) return set[i].row.get();
  }
  return nullptr;
}

void RowCache::update(const RowPtr& row) {
  if (ways_.empty()) return;
  const bool keep = !row->is_tombstone() && row->bytes() <= kRowBytesMax;
  Way* set = &ways_[set_of(row->hash())];
  Way* victim = nullptr;
  for (std::size_t i = 0; i < kWays; ++i) {
    if (set[i].hash == row->hash() && set[i].row->is(row->row_key())) {
      assign(set[i], keep ? row : RowPtr());
      return;
    }
    if (set[i].hash == 0) victim = &set[i];
  }
  if (!keep) return;
  // A full set gives up the way that other bits of the hash name: as good as chance.
  if (victim == nullptr) victim = &set[(row->hash() >> 60) % kWays];
  assign(*victim, row);
  evict_until_it_fits();
}

void RowCache::assign(Way& way, RowPtr row) {
  if (way.row) bytes_ -= way.row->bytes();
  if (row) bytes_ += row->bytes();
  way.hash = row ? row->hash() : 0;
  way.row = std::move(row);
}

void RowCache::evict_until_it_fits() {
  while (bytes_ > bytes_max_) {
    assign(ways_[hand_], RowPtr());
    hand_ = (hand_ + 1) % ways_.size();
  }
}

void RowCache::clear() {
  for (Way& way : ways_) way = Way{};
  bytes_ = 0;
}

}  // namespace bib::projections
