// Delta: the rows that changed and are not in the store yet, in layers over it.
//
//   pending   rows of this leader's own events that are on their way, by entry   (node loop)
//   active    rows of the entries applied since the last freeze                  (node loop)
//   frozen    earlier actives, oldest first, immutable                           (any thread)
//   store     RocksDB or its twin                                                (state.h)
//
// A read goes through them from the top. decide() sees all, queries all but pending. freeze() makes
// the active delta immutable; the store thread writes frozen deltas in order with store_deltas()
// and the node loop then drops them. Tables are hashed, because the node loop only looks up keys; a
// frozen delta is put into order by the first thread that lists or writes it.
//
// A row in the active delta that has nothing below it vanishes without a tombstone when it is
// erased again: such are most of the exactly-once records. Layers lives on the node loop; Delta and
// StateView may be read on any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "projections/state/digest.h"
#include "projections/state/row_cache.h"
#include "projections/state/row_table.h"
#include "projections/state/state.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::projections {

// How far a state is: everything up to this entry is in it, and these are its digests.
struct StateMark {
  wire::LogIndex applied_index;
  wire::Term applied_term;
  DigestSet digests;

  bool operator==(const StateMark&) const = default;
};

// A frozen delta: immutable, shared.
class Delta {
 public:
  Delta(RowTable table, const StateMark& mark);

  const StateMark& mark() const { return mark_; }  // the state with this delta on top
  std::size_t rows() const { return table_.size(); }
  std::size_t bytes() const { return table_.bytes(); }
  // A tombstone says that the row is gone; null that this delta does not know.
  const StoredRow* find(const RowKey& key) const;
  // Sorted by key. The first caller sorts; thread-safe.
  std::span<const StoredRow* const> sorted(Family family) const;
  const RowTable& table() const { return table_; }

 private:
  RowTable table_;
  StateMark mark_;
  mutable std::once_flag sort_once_;
  mutable std::array<std::vector<const StoredRow*>, kFamilyCount> sorted_;
};

using DeltaPtr = std::shared_ptr<const Delta>;

// One consistent state: frozen deltas over a view of the store. Immutable: any threads.
class StateView final : public StateReader {
 public:
  StateView(std::vector<DeltaPtr> deltas, std::shared_ptr<const StateReader> store,
            const StateMark& mark);

  using StateReader::find;
  wire::Result<RowPtr> find(const RowKey& key) const override;
  // Merged from all layers, without tombstones.
  std::unique_ptr<Cursor> cursor(Family family) const override;
  const StateMark& mark() const { return mark_; }

 private:
  std::vector<DeltaPtr> deltas_;  // oldest first
  std::shared_ptr<const StateReader> store_;
  StateMark mark_;
};

// Writes the deltas (oldest first) as one batch: coalesced, in order of keys, with the meta rows of
// the newest's mark. On the store thread.
wire::Status store_deltas(std::span<const DeltaPtr> deltas, Store& store);

// One change of a row.
struct RowChange {
  RowPtr row;            // the new row, or a tombstone
  bool existed = false;  // there was a row of this key before
};

// The changes of one entry, or of the open batch.
struct ChangeSet {
  std::vector<RowChange> changes;
  DigestSet difference{};

  void clear();
};

struct LayerSizes {
  std::size_t pending_bytes = 0;
  std::size_t active_bytes = 0;
  std::size_t active_rows = 0;
  std::size_t frozen_bytes = 0;
  std::size_t frozen_deltas = 0;
  std::size_t cache_bytes = 0;

  // Changed rows that the store does not have yet, and that cannot change any more or will be
  // written next.
  std::size_t unwritten_bytes() const { return active_bytes + frozen_bytes; }
};

// The newest answers to look-ups, by key; a tombstone answers "there is none".
class RecentRows {
 public:
  // Null: not known.
  const StoredRow* find(const RowKey& key) const;
  // Replaces the row of this key, or the oldest.
  const StoredRow* remember(RowPtr row);
  void clear() { rows_ = {}; }

 private:
  static constexpr std::size_t kRows = 4;
  std::array<RowPtr, kRows> rows_;
  std::array<std::uint64_t, kRows> hashes_{};
  std::size_t oldest_ = 0;
};

class Layers {
 public:
  // `store` must outlive this.
  Layers(Store& store, const StateMark& mark, std::size_t cache_bytes);

  // The row as decide() sees it (pending on top), or as applied; null when there is none.
  wire::Result<RowPtr> find(const RowKey& key) const;
  wire::Result<RowPtr> find_applied(const RowKey& key) const;
  // The newest change of this key is on its way.
  bool is_pending(const RowKey& key) const { return pending_.find(key) != nullptr; }

  // Puts `row` (or a tombstone) on top as part of `set`, which belongs to an entry that is on its
  // way: visible to find(), not to find_applied(). Nothing happens when a tombstone has nothing to
  // hide. `known_new`: the caller knows that there is no row of this key, so no layer is asked.
  wire::Status change_pending(RowPtr row, ChangeSet& set, bool known_new = false);
  // The entry of `set` was applied: its rows become part of the active delta.
  void apply_pending(ChangeSet& set);
  void drop_pending();

  // Puts `row` into the active delta and the digests. Only while nothing is pending.
  wire::Status change_applied(RowPtr row, bool known_new = false);

  // For look-ups and changes to come, of rows with these hashes (row_table.h); nothing happens
  // where nothing is known of them.
  void prefetch_places(Family family, std::uint64_t hash) const;
  void prefetch_rows(Family family, std::uint64_t hash) const;

  // All of the entry's rows are in: the state is at it now.
  void set_applied(wire::LogIndex index, wire::Term term);
  const StateMark& mark() const { return mark_; }

  // Makes the active delta a frozen one; small neighbours not being written are merged, so the
  // chain stays short however often lists ask for a view.
  void freeze();
  // Freezes. The same view again while nothing changed and somebody holds it.
  std::shared_ptr<const StateView> view();
  // The frozen deltas that are not being written yet, oldest first (freezes before); they stay
  // readable until drop_written().
  std::vector<DeltaPtr> take_for_store();
  // The store has everything up to `index`.
  void drop_written(wire::LogIndex index);

  LayerSizes sizes() const;

 private:
  struct Frozen {
    DeltaPtr delta;
    bool taken = false;  // by the store thread; not merged any more
  };

  RowCache& cache_of(Family family) const {
    return family == Family::kSessions ? session_cache_ : cache_;
  }
  void apply_change(RowChange change);
  void merge_small_neighbours();
  // Below the cache; a tombstone or null when there is no row.
  wire::Result<RowPtr> find_uncached(const RowKey& key) const;

  Store& store_;
  StateMark mark_;
  StateMark frozen_mark_;
  RowTable pending_;
  RowTable active_;
  std::deque<Frozen> frozen_;  // oldest first
  // The applied state. Exactly-once records have a cache of their own: each is read just once more,
  // when it is forgotten, and must not drive out the others.
  mutable RowCache cache_;
  mutable RowCache session_cache_;
  // The last look-ups of find(): decide, evolve and the digest ask for the same rows in a row.
  mutable RecentRows recent_;
  std::weak_ptr<const StateView> last_view_;
};

}  // namespace bib::projections
