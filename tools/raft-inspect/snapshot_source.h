// Snapshot source: the snapshots in a data directory, and what is wrong with them.
//
// A snapshot is <snapshots>/<index>-<term>/ with a manifest (wire/log/snapshot_manifest.h) and the
// files that it names in state/. What ends in .tmp was not finished, or is leaving, and counts for
// nothing. Files are read in pieces, so that their size does not matter. Any one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "inspect/finding.h"
#include "inspect/state_source.h"
#include "inspect/survey.h"
#include "wire/log/snapshot_manifest.h"

namespace bib::inspect {

struct SnapshotSource {
  std::string path;                               // empty: not known where they would be
  std::vector<wire::SnapshotManifest> snapshots;  // with a manifest that can be read; ascending
  // All that may be there, also where a manifest cannot be read.
  std::vector<wire::LogPosition> positions;
  std::vector<wire::LogPosition> damaged;
  // An installation was decided and has not ended: the node completes it at its next start.
  std::optional<wire::LogPosition> installing;
  bool is_read = true;  // false: the directory or the note of an installation could not be read

  bool is_damaged(wire::LogPosition snapshot) const;
  std::string directory_of(const wire::SnapshotManifest& manifest) const;
};

// Looks at the names and the manifests.
SnapshotSource find_snapshots(const std::string& directory, const Survey& survey,
                              Findings& findings);
// Reads every file of every snapshot; with `rows`, also all rows, for their digests.
void check_snapshots(SnapshotSource& source, bool rows, Findings& findings);

}  // namespace bib::inspect
