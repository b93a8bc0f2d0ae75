#include "projections/state/delta.h"

#include <algorithm>
#include <utility>

#include "projections/state/merge.h"
#include "wire/base/check.h"

namespace bib::projections {

using wire::Result;
using wire::Status;

namespace {
// Frozen deltas are merged on the node loop only up to this size: about a millisecond.
constexpr std::size_t kMergeRowsMax = 8192;
constexpr std::size_t kRowBytesExpected = 256;
constexpr std::size_t kSessionRowBytesExpected = 112;
// How many changes ahead memory is asked for: a change takes about as long as a wait for memory.
constexpr std::size_t kAhead = 3;
}  // namespace

void ChangeSet::clear() {
  changes.clear();
  difference = {};
}

Delta::Delta(RowTable table, const StateMark& mark) : table_(std::move(table)), mark_(mark) {}

const StoredRow* Delta::find(const RowKey& key) const {
  const RowTable::Slot* slot = table_.find(key);
  return slot == nullptr ? nullptr : slot->row.get();
}

std::span<const StoredRow* const> Delta::sorted(Family family) const {
  std::call_once(sort_once_, [this] {
    table_.for_each([this](const RowTable::Slot& slot) {
      sorted_[family_index(slot.row->family())].push_back(slot.row.get());
    });
    for (auto& rows : sorted_) {
      std::sort(rows.begin(), rows.end(),
                [](const StoredRow* a, const StoredRow* b) { return a->key() < b->key(); });
    }
  });
  return sorted_[family_index(family)];
}

StateView::StateView(std::vector<DeltaPtr> deltas, std::shared_ptr<const StateReader> store,
                     const StateMark& mark)
    : deltas_(std::move(deltas)), store_(std::move(store)), mark_(mark) {}

Result<RowPtr> StateView::find(const RowKey& key) const {
  for (auto delta = deltas_.rbegin(); delta != deltas_.rend(); ++delta) {
    if (const StoredRow* row = (*delta)->find(key)) {
      return row->is_tombstone() ? RowPtr() : RowPtr::share(row);
    }
  }
  return store_->find(key);
}

std::unique_ptr<Cursor> StateView::cursor(Family family) const {
  return merge_cursors(deltas_, *store_, family);
}

const StoredRow* RecentRows::find(const RowKey& key) const {
  for (std::size_t i = 0; i < kRows; ++i) {
    if (hashes_[i] == key.hash && rows_[i] && rows_[i]->is(key)) return rows_[i].get();
  }
  return nullptr;
}

const StoredRow* RecentRows::remember(RowPtr row) {
  std::size_t place = oldest_;
  for (std::size_t i = 0; i < kRows; ++i) {
    if (hashes_[i] == row->hash() && rows_[i] && rows_[i]->is(row->row_key())) place = i;
  }
  if (place == oldest_) oldest_ = (oldest_ + 1) % kRows;
  hashes_[place] = row->hash();
  rows_[place] = std::move(row);
  return rows_[place].get();
}

Layers::Layers(Store& store, const StateMark& mark, std::size_t cache_bytes)
    : store_(store),
      mark_(mark),
      frozen_mark_(mark),
      cache_(cache_bytes, kRowBytesExpected),
      session_cache_(cache_bytes / 8, kSessionRowBytesExpected) {}

Result<RowPtr> Layers::find(const RowKey& key) const {
  const StoredRow* row = recent_.find(key);
  if (row == nullptr) {
    if (const RowTable::Slot* slot = pending_.find(key)) {
      row = recent_.remember(slot->row);
    } else if (const StoredRow* cached = cache_of(key.family).find(key)) {
      row = recent_.remember(RowPtr::share(cached));
    } else {
      BIB_TRY(RowPtr found, find_uncached(key));
      row = recent_.remember(found ? std::move(found) : StoredRow::make_tombstone(key));
    }
  }
  return row->is_tombstone() ? RowPtr() : RowPtr::share(row);
}

Result<RowPtr> Layers::find_applied(const RowKey& key) const {
  if (const StoredRow* cached = cache_of(key.family).find(key)) return RowPtr::share(cached);
  BIB_TRY(RowPtr row, find_uncached(key));
  if (row && row->is_tombstone()) row = RowPtr();
  return row;
}

Result<RowPtr> Layers::find_uncached(const RowKey& key) const {
  if (const RowTable::Slot* slot = active_.find(key)) return slot->row;
  for (auto frozen = frozen_.rbegin(); frozen != frozen_.rend(); ++frozen) {
    if (const StoredRow* row = frozen->delta->find(key)) return RowPtr::share(row);
  }
  BIB_TRY(RowPtr row, store_.find(key));
  if (row) cache_of(key.family).update(row);
  return row;
}

Status Layers::change_pending(RowPtr row, ChangeSet& set, bool known_new) {
  Digest& difference = set.difference[family_index(row->family())];
  bool existed = false;
  if (!known_new) {
    BIB_TRY(const RowPtr old, find(row->row_key()));
    existed = static_cast<bool>(old);
    if (existed) difference.remove(old->digest());
  }
  if (row->is_tombstone()) {
    if (!existed) return {};
  } else {
    difference.add(row->digest());
  }
  pending_.put(row);
  recent_.remember(row);
  set.changes.push_back({std::move(row), existed});
  return {};
}

void Layers::prefetch_places(Family family, std::uint64_t hash) const {
  cache_of(family).prefetch_place(hash);
  active_.prefetch_place(hash);
  pending_.prefetch_place(hash);
}

void Layers::prefetch_rows(Family family, std::uint64_t hash) const {
  cache_of(family).prefetch_row(hash);
  active_.prefetch_row(hash);
}

void Layers::apply_pending(ChangeSet& set) {
  const std::size_t count = set.changes.size();
  for (std::size_t i = 0; i < count; ++i) {
    if (i + 3 * kAhead < count) __builtin_prefetch(set.changes[i + 3 * kAhead].row.get());
    if (i + 2 * kAhead < count) {
      const StoredRow& row = *set.changes[i + 2 * kAhead].row;
      prefetch_places(row.family(), row.hash());
    }
    if (i + kAhead < count) {
      const StoredRow& row = *set.changes[i + kAhead].row;
      prefetch_rows(row.family(), row.hash());
    }
    RowChange& change = set.changes[i];
    // A later entry's row of the same key stays on top.
    RowTable::Slot* slot = pending_.find(change.row->row_key());
    if (slot != nullptr && slot->row.get() == change.row.get()) pending_.erase(slot);
    apply_change(std::move(change));
  }
  for (std::size_t i = 0; i < kFamilyCount; ++i) mark_.digests[i].add(set.difference[i]);
  set.clear();
}

void Layers::drop_pending() {
  pending_ = RowTable();
  recent_.clear();
}

Status Layers::change_applied(RowPtr row, bool known_new) {
  BIB_CHECK(pending_.empty(), "rows are applied under pending ones");
  Digest& digest = mark_.digests[family_index(row->family())];
  bool existed = false;
  if (!known_new) {
    BIB_TRY(const RowPtr old, find(row->row_key()));
    existed = static_cast<bool>(old);
    if (existed) digest.remove(old->digest());
  }
  if (row->is_tombstone()) {
    if (!existed) return {};
  } else {
    digest.add(row->digest());
  }
  recent_.remember(row);
  apply_change({std::move(row), existed});
  return {};
}

void Layers::apply_change(RowChange change) {
  cache_of(change.row->family()).update(change.row);
  if (change.row->is_tombstone()) {
    RowTable::Slot* slot = active_.find(change.row->row_key());
    if (slot == nullptr && !change.existed) return;
    if (slot != nullptr && !slot->below) return active_.erase(slot);
  }
  const RowTable::Put put = active_.put(std::move(change.row));
  if (put.inserted) put.slot->below = change.existed;
}

void Layers::set_applied(wire::LogIndex index, wire::Term term) {
  mark_.applied_index = index;
  mark_.applied_term = term;
}

void Layers::freeze() {
  if (active_.empty() && mark_ == frozen_mark_) return;
  frozen_.push_back({std::make_shared<const Delta>(std::move(active_), mark_)});
  active_ = RowTable();
  frozen_mark_ = mark_;
  merge_small_neighbours();
}

// Each merge at least halves what follows it, so a row is copied a logarithmic number of
// times and the chain has a logarithmic number of links.
void Layers::merge_small_neighbours() {
  while (frozen_.size() >= 2) {
    const Frozen& older = frozen_[frozen_.size() - 2];
    const Frozen& newer = frozen_.back();
    const std::size_t rows = older.delta->rows() + newer.delta->rows();
    if (older.taken || rows > kMergeRowsMax) return;
    if (older.delta->rows() > 2 * newer.delta->rows()) return;
    RowTable merged = older.delta->table();
    newer.delta->table().for_each([&](const RowTable::Slot& slot) { merged.put(slot.row); });
    auto delta = std::make_shared<const Delta>(std::move(merged), newer.delta->mark());
    frozen_.pop_back();
    frozen_.back() = {std::move(delta)};
  }
}

std::shared_ptr<const StateView> Layers::view() {
  if (auto last = last_view_.lock(); last && last->mark() == mark_) return last;
  freeze();
  std::vector<DeltaPtr> deltas;
  for (const Frozen& frozen : frozen_) deltas.push_back(frozen.delta);
  auto view = std::make_shared<const StateView>(std::move(deltas), store_.view(), mark_);
  last_view_ = view;
  return view;
}

std::vector<DeltaPtr> Layers::take_for_store() {
  freeze();
  std::vector<DeltaPtr> deltas;
  for (Frozen& frozen : frozen_) {
    if (frozen.taken) continue;
    frozen.taken = true;
    deltas.push_back(frozen.delta);
  }
  return deltas;
}

void Layers::drop_written(wire::LogIndex index) {
  while (!frozen_.empty() && frozen_.front().taken &&
         frozen_.front().delta->mark().applied_index <= index) {
    frozen_.pop_front();
  }
}

LayerSizes Layers::sizes() const {
  LayerSizes sizes{.pending_bytes = pending_.bytes(),
                   .active_bytes = active_.bytes(),
                   .active_rows = active_.size(),
                   .frozen_deltas = frozen_.size(),
                   .cache_bytes = cache_.bytes() + session_cache_.bytes()};
  for (const Frozen& frozen : frozen_) sizes.frozen_bytes += frozen.delta->bytes();
  return sizes;
}

}  // namespace bib::projections
