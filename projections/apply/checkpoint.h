// Checkpoint: a state's files at one applied index, in a directory of their own.
//
// What a snapshot is made of and what a node starts from after it was sent one. Creating runs on
// the store thread (it writes what is dirty, then links files); verifying and opening on any thread
// that may block. None of it holds more than a few rows in memory, whatever the state's size.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "projections/state/delta.h"
#include "projections/state/rocks_state.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/log/snapshot_manifest.h"

namespace bib::projections {

// Flushes the store and links its files into `directory`, which must not exist. The checkpoint
// is where the store was; that mark is returned. No one may write to the store meanwhile.
wire::Result<StateMark> create_checkpoint(DurableStore& store, const std::string& directory);

// Opens the files read-only, reads every row and recomputes the digests; nothing is changed.
// kCorrupt names the projection that differs from what the files themselves say, or says that the
// rows are not those of `cluster` (nothing: of any).
wire::Result<StateMark> verify_checkpoint(const std::string& directory,
                                          const RocksOptions& options = {},
                                          const std::optional<wire::ClusterId>& cluster = {});

// What a manifest says of the rows, and the comparison: kCorrupt unless the state is at the
// manifest's entry with the same projections, digests and rows; kUnsupported for other versions.
std::vector<wire::SnapshotProjection> snapshot_projections(const StateMark& mark);
// This build can use the rows.
wire::Status check_versions(const wire::SnapshotManifest& manifest);
wire::Status check_against_manifest(const StateMark& mark, const wire::SnapshotManifest& manifest);

}  // namespace bib::projections
