#include "inspect/directory_source.h"

#include <algorithm>
#include <string>

#include "wire/log/data_directory.h"
#include "wire/log/log_start.h"

namespace bib::inspect {

using wire::DirectoryFacts;
using wire::DirectoryState;
using wire::DirectoryVerdict;
using wire::FileKind;

namespace {

// Names that cannot be listed are absent: whatever reads below them says why.
std::vector<std::string> names_in(const std::string& directory) {
  return list_names(directory).value_or(std::vector<std::string>());
}

bool is_directory(const DirectoryFacts& facts, const char* name) {
  const auto found = facts.names.find(name);
  return found != facts.names.end() && found->second == FileKind::kDirectory;
}

DirectoryFacts look_at(const DataDirectory& directory, const SnapshotSource& snapshots) {
  DirectoryFacts facts;
  facts.path = directory.root;
  for (const std::string& name : names_in(directory.root)) {
    facts.names[name] = kind_of(join_path(directory.root, name));
  }
  const auto log = names_in(directory.log);
  facts.has_log = std::any_of(log.begin(), log.end(), [](const std::string& name) {
    return wire::parse_segment_file_name(name) || name == wire::kLogStartFileName;
  });
  for (const char* name : {wire::kStateName, wire::kNextStateName, wire::kPreviousStateName}) {
    if (!is_directory(facts, name)) continue;
    const bool holds_rows = !names_in(join_path(directory.root, name)).empty();
    facts.has_rows = facts.has_rows || holds_rows;
  }
  const bool has_place = is_directory(facts, wire::kSnapshotsName);
  if (has_place) facts.installing = kind_of(join_path(directory.snapshots, wire::kInstallingName));
  facts.installing_snapshot = snapshots.installing;
  for (const wire::SnapshotManifest& snapshot : snapshots.snapshots) {
    facts.snapshots.push_back(snapshot.position());
  }
  const auto names = has_place ? names_in(directory.snapshots) : std::vector<std::string>();
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
  DirectoryFacts facts = look_at(directory, snapshots);
  facts.log = survey.log.identity;
  const wire::DirectoryStanding standing = wire::judge_directory(facts, {});
  if (standing.what.empty()) return;
  const bool refuses = standing.verdict == DirectoryVerdict::kRefuse;
  wire::LogIndex index;
  if (standing.state == DirectoryState::kLogLost) index = wire::LogIndex(1);
  if (snapshots.installing) index = snapshots.installing->index;
  findings.push_back({refuses ? FindingKind::kDamage : FindingKind::kNote, standing.path, 0, index,
                      standing.what, standing.next_step});
}

Findings check_without_log(const DataDirectory& directory, const wire::Error& error) {
  Findings findings;
  if (error.code != wire::ErrorCode::kNotFound) return findings;
  const Survey survey;
  const SnapshotSource snapshots = find_snapshots(directory.snapshots, survey, findings);
  check_directory(directory, survey, snapshots, findings);
  return findings;
}

}  // namespace bib::inspect
