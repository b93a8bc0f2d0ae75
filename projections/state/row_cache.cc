#include "projections/state/row_cache.h"

namespace bib::projections {

RowCache::RowCache(std::size_t bytes_max, std::size_t row_bytes_expected) : bytes_max_(bytes_max) {
  std::size_t sets = 1;
  while (sets * kWays * row_bytes_expected < bytes_max) sets *= 2;
  set_mask_ = sets - 1;
  if (bytes_max > 0) sets_.resize(sets);
}

const StoredRow* RowCache::find(const RowKey& key) const {
  if (sets_.empty()) return nullptr;
  for (const Way& way : set_of(key.hash).ways) {
    if (way.hash == key.hash && way.row->is(key)) return way.row.get();
  }
  return nullptr;
}

void RowCache::update(const RowPtr& row) {
  if (sets_.empty()) return;
  const bool keep = !row->is_tombstone() && row->bytes() <= kRowBytesMax;
  auto& ways = set_of(row->hash()).ways;
  Way* victim = nullptr;
  for (Way& way : ways) {
    if (way.hash == row->hash() && way.row->is(row->row_key())) {
      assign(way, keep ? row : RowPtr());
      return;
    }
    if (way.hash == 0) victim = &way;
  }
  if (!keep) return;
  // A full set gives up the way that other bits of the hash name: as good as chance.
  if (victim == nullptr) victim = &ways[(row->hash() >> 60) % kWays];
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
    assign(sets_[hand_ / kWays].ways[hand_ % kWays], RowPtr());
    hand_ = (hand_ + 1) % (sets_.size() * kWays);
  }
}

void RowCache::clear() {
  for (Set& set : sets_) set = Set{};
  bytes_ = 0;
}

void RowCache::prefetch_place(std::uint64_t hash) const {
  if (!sets_.empty()) __builtin_prefetch(&set_of(hash));
}

void RowCache::prefetch_row(std::uint64_t hash) const {
  if (sets_.empty()) return;
  for (const Way& way : set_of(hash).ways) {
    if (way.hash == hash) way.row->prefetch();
  }
}

}  // namespace bib::projections
