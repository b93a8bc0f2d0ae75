#include "inspect/directory_source.h"

#include <algorithm>
#include <string>

#include "wire/log/commit_note.h"
#include "wire/log/data_directory.h"
#include "wire/log/log_start.h"

namespace bib::inspect {

using wire::DirectoryFacts;
using wire::DirectoryState;
using wire::DirectoryVerdict;
using wire::FileKind;

namespace {

bool is_directory(const DirectoryFacts& facts, const char* name) {
  const auto found = facts.names.find(name);
  return found != facts.names.end() && found->second == FileKind::kDirectory;
}

// kIo: something cannot be listed, so that nothing can be said of the whole.
wire::Result<DirectoryFacts> look_at(const DataDirectory& directory,
                                     const SnapshotSource& snapshots) {
  DirectoryFacts facts;
  facts.path = directory.root;
  BIB_TRY(const auto all, list_names(directory.root));
  for (const std::string& name : all) {
    BIB_TRY(facts.names[name], kind_of(join_path(directory.root, name)));
  }
  const auto place = facts.names.find(wire::kLogName);
  const bool has_log_place = place != facts.names.end() && (place->second == FileKind::kDirectory ||
                                                            place->second == FileKind::kLink);
  if (has_log_place) {
    BIB_TRY(const auto log, list_names(directory.log));
    facts.has_log = std::any_of(log.begin(), log.end(), [](const std::string& name) {
      return wire::parse_segment_file_name(name) || name == wire::kLogStartFileName;
    });
    facts.has_commit_note =
        std::binary_search(log.begin(), log.end(), std::string_view(wire::kCommitNoteFileName));
  }
  for (const char* name : {wire::kStateName, wire::kNextStateName, wire::kPreviousStateName}) {
    if (!is_directory(facts, name)) continue;
    BIB_TRY(const auto rows, list_names(join_path(directory.root, name)));
    facts.has_rows = facts.has_rows || !rows.empty();
  }
  std::vector<std::string> names;
  if (is_directory(facts, wire::kSnapshotsName) && snapshots.is_read) {
    BIB_TRY(names, list_names(directory.snapshots));
    BIB_TRY(facts.installing, kind_of(join_path(directory.snapshots, wire::kInstallingName)));
  }
  facts.installing_snapshot = snapshots.installing;
  facts.snapshots = snapshots.positions;
  facts.has_snapshots =
      facts.installing != FileKind::kAbsent ||
      std::any_of(names.begin(), names.end(), [](const std::string& name) {
        return wire::parse_snapshot_name(name) || wire::parse_damaged_snapshot_name(name);
      });
  return facts;
}

}  // namespace

void check_directory(const DataDirectory& directory, const Survey& survey,
                     const SnapshotSource& snapshots, Findings& findings) {
  if (directory.root.empty()) return;
  auto facts = look_at(directory, snapshots);
  if (!facts) {
    findings.push_back({FindingKind::kUndone, directory.root, 0, {}, facts.error().message, {}});
    return;
  }
  facts->log = survey.log.identity;
  const wire::DirectoryStanding standing = wire::judge_directory(*facts, {});
  if (standing.what.empty()) return;
  const bool refuses = standing.verdict == DirectoryVerdict::kRefuse;
  wire::LogIndex index;
  if (standing.state == DirectoryState::kLogLost) index = wire::LogIndex(1);
  if (snapshots.installing) index = snapshots.installing->index;
  findings.push_back({refuses ? FindingKind::kDamage : FindingKind::kNote, standing.path, 0, index,
                      standing.what, standing.next_step});
}

Findings check_without_log(const DataDirectory& directory) {
  Findings findings;
  const Survey survey;
  const SnapshotSource snapshots = find_snapshots(directory.snapshots, survey, findings);
  check_directory(directory, survey, snapshots, findings);
  return findings;
}

}  // namespace bib::inspect
