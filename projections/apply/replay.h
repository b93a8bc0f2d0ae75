// Replay and verification: the state rebuilt from the log, and the proof that a state is what its
// digests say. For raft-inspect, tests, and nodes that rebuild. Any one thread.
#pragma once

#include <functional>
#include <optional>

#include "projections/apply/projector.h"
#include "wire/base/bytes.h"
#include "wire/base/result.h"

namespace bib::projections {

// The next entry in order of index, or nullopt at the end. An error ends the replay.
using EntrySource = std::function<wire::Result<std::optional<wire::Bytes>>()>;

// Applies entries until the source ends or `until` is applied (none: all), writing to the store
// after every `write_bytes` of changes and at the end.
wire::Result<StateMark> replay(const EntrySource& next, Store& store,
                               std::optional<wire::LogIndex> until = std::nullopt,
                               std::size_t write_bytes = 16U << 20);

// The mark that the store was left at; all zero in an empty store. kUnsupported as Projector::open.
wire::Result<StateMark> read_mark(const RowReader& store);
// Reads all rows and recomputes the digests.
wire::Result<DigestSet> compute_digests(const StateReader& state);
// compute_digests against read_mark: kCorrupt names the projection that differs.
wire::Result<StateMark> verify_state(const StateReader& state);

}  // namespace bib::projections
