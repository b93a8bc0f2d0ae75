// Directory source: what is in a data directory, for the judge of it (wire/log/data_directory.h).
//
// The node looks in the same way before it starts, and does what the judge says; here the verdict
// becomes a finding. Follows no link. Any one thread.
#pragma once

#include "inspect/finding.h"
#include "inspect/snapshot_source.h"
#include "inspect/source.h"
#include "inspect/survey.h"

namespace bib::inspect {

// Why a node would not start on the directory, or what it would do first. Nothing of a bare log
// directory.
void check_directory(const DataDirectory& directory, const Survey& survey,
                     const SnapshotSource& snapshots, Findings& findings);

// The same where the log could not be walked.
Findings check_without_log(const DataDirectory& directory);

}  // namespace bib::inspect
