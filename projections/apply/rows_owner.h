// Rows' owner: whose rows a store holds, in a row beside the applied index, so that the rows of
// another cluster or node are not taken for the node's own (docs/decisions/0031).
//
// The row is no part of the state: no digest covers it, and equal states of two nodes differ in it.
// On a thread that may block.
#pragma once

#include <optional>

#include "projections/state/state.h"
#include "wire/base/result.h"
#include "wire/log/data_directory.h"

namespace bib::projections {

// Nothing: an earlier version wrote the rows, or there are none. kCorrupt: the row is malformed.
wire::Result<std::optional<wire::RowsOwner>> read_owner(const RowReader& store);

// Durable with what is written to the store next.
wire::Status write_owner(const wire::RowsOwner& owner, Store& store);

// Rows that came in a snapshot, from another node of the cluster, become this node's; durable when
// it returns. kCorrupt: they are another cluster's.
wire::Status adopt_rows(DurableStore& store, const wire::RowsOwner& owner);

}  // namespace bib::projections
