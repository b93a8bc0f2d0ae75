#include "projections/apply/checkpoint.h"

#include <utility>

#include "projections/apply/replay.h"
#include "projections/apply/rows_owner.h"
#include "projections/rules/projection.h"

namespace bib::projections {

using wire::ErrorCode;
using wire::Result;
using wire::Status;

Result<StateMark> create_checkpoint(DurableStore& store, const std::string& directory) {
  BIB_TRY(const StateMark mark, read_mark(store));
  BIB_TRY_VOID(store.checkpoint(directory));
  return mark;
}

Result<StateMark> verify_checkpoint(const std::string& directory, const RocksOptions& options,
                                    const std::optional<wire::ClusterId>& cluster) {
  RocksOptions read_only = options;
  read_only.read_only = true;
  BIB_TRY(const auto store, RocksStore::open(directory, read_only));
  BIB_TRY(const auto owner, read_owner(*store));
  if (cluster && owner && owner->cluster != *cluster) {
    return wire::fail(ErrorCode::kCorrupt, "The rows in {} are those of another cluster, {}.",
                      directory, to_string(owner->cluster));
  }
  return verify_state(*store->view());
}

std::vector<wire::SnapshotProjection> snapshot_projections(const StateMark& mark) {
  std::vector<wire::SnapshotProjection> projections;
  for (const Family family : kFamilies) {
    if (family == Family::kMeta) continue;
    const Digest& digest = mark.digests[family_index(family)];
    projections.push_back({.name = std::string(family_name(family)),
                           .version = projection_version(family),
                           .rows = digest.rows,
                           .digest_low = digest.low,
                           .digest_high = digest.high});
  }
  return projections;
}

Status check_versions(const wire::SnapshotManifest& manifest) {
  for (const wire::SnapshotProjection& mine : snapshot_projections(StateMark())) {
    for (const wire::SnapshotProjection& theirs : manifest.projections) {
      if (mine.name != theirs.name || mine.version == theirs.version) continue;
      return wire::fail(ErrorCode::kUnsupported,
                        "The snapshot's rows of '{}' are of version {}, this program writes "
                        "version {}: run the same version of bibd on all nodes.",
                        mine.name, theirs.version, mine.version);
    }
  }
  return {};
}

Status check_against_manifest(const StateMark& mark, const wire::SnapshotManifest& manifest) {
  if (mark.applied_index != manifest.index || mark.applied_term != manifest.term) {
    return wire::fail(ErrorCode::kCorrupt,
                      "The snapshot's rows are at entry {} of term {}, its manifest says {} of "
                      "term {}.",
                      mark.applied_index.value(), mark.applied_term.value(), manifest.index.value(),
                      manifest.term.value());
  }
  const auto expected = snapshot_projections(mark);
  if (expected == manifest.projections) return {};
  BIB_TRY_VOID(check_versions(manifest));
  return wire::fail(ErrorCode::kCorrupt,
                    "The digests of the snapshot's rows at entry {} are not those that its "
                    "manifest names.",
                    manifest.index.value());
}

}  // namespace bib::projections
