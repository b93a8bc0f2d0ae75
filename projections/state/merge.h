// Merging layers: one ordered list of rows out of several deltas and the store below them, in which
// the newest layer's row wins. Used by views (any thread) and by the store thread.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "projections/state/delta.h"
#include "projections/state/state.h"

namespace bib::projections {

// The rows of one family as the newest layer has them, without tombstones. `deltas` are oldest
// first; they and `store` must outlive the cursor.
std::unique_ptr<Cursor> merge_cursors(std::span<const DeltaPtr> deltas, const StateReader& store,
                                      Family family);

// All rows of the deltas in order of (family, key), the newest of each key, tombstones included.
std::vector<RowPtr> merge_deltas(std::span<const DeltaPtr> deltas);

// The meta rows of a mark, in order of keys.
std::vector<RowPtr> meta_rows(const StateMark& mark);

}  // namespace bib::projections
