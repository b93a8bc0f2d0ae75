#include "wire/log/data_directory.h"

#include <algorithm>
#include <array>

#include "wire/log/snapshot_manifest.h"

namespace bib::wire {
namespace {

struct Place {
  const char* name;
  FileKind kind;
};

// Directories that are moved and emptied may not be links: what a link points to would be emptied.
// log/ may be one; only the node's own segments are removed from it.
constexpr std::array kPlaces = {
    Place{kLogName, FileKind::kDirectory},       Place{kStateName, FileKind::kDirectory},
    Place{kNextStateName, FileKind::kDirectory}, Place{kPreviousStateName, FileKind::kDirectory},
    Place{kSnapshotsName, FileKind::kDirectory}, Place{kJoiningName, FileKind::kRegular},
};

DirectoryStanding foreign_file(const std::string& path, FileKind found, FileKind expected) {
  std::string next_step =
      fmt::format("move it away, or put the {} back that was here", to_string(expected));
  if (found == FileKind::kLink) {
    next_step = fmt::format(
        "put the {} itself here: to keep it on another disk, mount that disk "
        "here, or set data_dir to a directory on it",
        to_string(expected));
  }
  return {DirectoryState::kForeignFile, DirectoryVerdict::kRefuse, path,
          fmt::format("a {} belongs here, but this is a {}", to_string(expected), to_string(found)),
          std::move(next_step)};
}

std::optional<DirectoryStanding> find_foreign_file(const DirectoryFacts& facts) {
  for (const Place& place : kPlaces) {
    const auto found = facts.names.find(place.name);
    if (found == facts.names.end() || found->second == place.kind) continue;
    if (std::string_view(place.name) == kLogName && found->second == FileKind::kLink) continue;
    return foreign_file(join_path(facts.path, place.name), found->second, place.kind);
  }
  if (facts.installing == FileKind::kAbsent || facts.installing == FileKind::kRegular) return {};
  return foreign_file(join_path(join_path(facts.path, kSnapshotsName), kInstallingName),
                      facts.installing, FileKind::kRegular);
}

DirectoryStanding log_lost(const DirectoryFacts& facts) {
  const std::string_view left = facts.has_rows && facts.has_snapshots ? "rows and snapshots"
                                : facts.has_rows                      ? "rows"
                                                                      : "snapshots";
  return {
      DirectoryState::kLogLost, DirectoryVerdict::kRefuse, join_path(facts.path, kLogName),
      fmt::format("the node has {}, but there is no segment of the log that they come from", left),
      fmt::format("if the log was moved, or its disk is not mounted, put it back; if it is "
                  "lost, restore the node from the others: {}",
                  kHowToReplace)};
}

// There is a note of an installation.
DirectoryStanding judge_installation(const DirectoryFacts& facts) {
  const std::string path = join_path(join_path(facts.path, kSnapshotsName), kInstallingName);
  if (!facts.installing_snapshot) {
    return {DirectoryState::kInstallUnknown, DirectoryVerdict::kRefuse, path,
            "it does not name a snapshot: which one was being put in place is not known",
            fmt::format("to restore the node from the others, {}", kHowToReplace)};
  }
  const LogPosition wanted = *facts.installing_snapshot;
  const std::string name = snapshot_name(wanted.index, wanted.term);
  const bool is_there =
      std::find(facts.snapshots.begin(), facts.snapshots.end(), wanted) != facts.snapshots.end();
  if (is_there) {
    return {DirectoryState::kInstalling,
            DirectoryVerdict::kComplete,
            path,
            fmt::format("snapshot {} was being put in place when the node stopped: it completes "
                        "that at its next start",
                        name),
            {}};
  }
  return {DirectoryState::kSnapshotLost, DirectoryVerdict::kRefuse, path,
          fmt::format("snapshot {} was being put in place when the node stopped, but {} no longer "
                      "holds it",
                      name, join_path(facts.path, kSnapshotsName)),
          fmt::format("if the snapshot was moved, put it back; if not, restore the node from the "
                      "others: {}",
                      kHowToReplace)};
}

}  // namespace

std::string join_path(const std::string& directory, const std::string& name) {
  if (directory.empty()) return name;
  return directory.back() == '/' ? directory + name : directory + "/" + name;
}

std::string_view to_string(FileKind kind) {
  switch (kind) {
    case FileKind::kAbsent:
      return "missing file";
    case FileKind::kRegular:
      return "file";
    case FileKind::kDirectory:
      return "directory";
    case FileKind::kSocket:
      return "socket";
    case FileKind::kLink:
      return "symbolic link";
    case FileKind::kOther:
      break;
  }
  return "special file";
}

std::string installing_note(LogPosition snapshot) {
  return snapshot_name(snapshot.index, snapshot.term) + "\n";
}

std::optional<LogPosition> parse_installing_note(std::string_view note) {
  if (note.ends_with('\n')) note.remove_suffix(1);
  return parse_snapshot_name(note);
}

std::string damaged_snapshot_name(LogPosition snapshot) {
  return snapshot_name(snapshot.index, snapshot.term) + kDamagedSuffix;
}

std::optional<LogPosition> parse_damaged_snapshot_name(std::string_view name) {
  if (!name.ends_with(kDamagedSuffix)) return std::nullopt;
  name.remove_suffix(std::string_view(kDamagedSuffix).size());
  return parse_snapshot_name(name);
}

DirectoryStanding judge_directory(const DirectoryFacts& facts, const Expected& expected) {
  if (auto foreign = find_foreign_file(facts)) return *std::move(foreign);
  if (facts.log && expected.node && facts.log->node != *expected.node) {
    return {DirectoryState::kOtherNode, DirectoryVerdict::kRefuse, facts.path,
            fmt::format("this directory belongs to node {}, but cluster.node_id says {}",
                        to_string(facts.log->node), to_string(*expected.node)),
            "correct node_id, or use another data_dir"};
  }
  if (!facts.has_log && (facts.has_rows || facts.has_snapshots)) return log_lost(facts);
  if (facts.installing != FileKind::kAbsent) return judge_installation(facts);
  const auto begin = expected.founds ? DirectoryVerdict::kFound : DirectoryVerdict::kJoin;
  if (facts.has_log) return {DirectoryState::kNode, DirectoryVerdict::kStart, facts.path, {}, {}};
  if (!facts.names.contains(kJoiningName)) {
    return {DirectoryState::kEmpty, begin, facts.path, {}, {}};
  }
  return {DirectoryState::kJoining,
          begin,
          facts.path,
          "the node has asked to join a cluster, and has no log yet",
          {}};
}

Error refusal_of(const DirectoryStanding& standing) {
  BIB_CHECK(standing.verdict == DirectoryVerdict::kRefuse && !standing.next_step.empty());
  const bool is_setting = standing.state == DirectoryState::kOtherNode ||
                          standing.state == DirectoryState::kForeignFile;
  std::string next_step = standing.next_step;
  next_step.front() = static_cast<char>(next_step.front() - 'a' + 'A');
  return {is_setting ? ErrorCode::kConfig : ErrorCode::kCorrupt,
          fmt::format("{}: {}. {}", standing.path, standing.what, next_step)};
}

RowsStanding judge_rows(const RowsFacts& facts) {
  const std::uint64_t rows = facts.rows.value();
  if (facts.rows > facts.log_last) {
    return {RowsState::kAhead,
            fmt::format("the rows are at entry {}, but the log ends at {}: entries that were "
                        "durable are missing",
                        rows, facts.log_last.value()),
            fmt::format("if the disk or its snapshot was rolled back, stop this node, {}",
                        kHowToReplace)};
  }
  if (facts.rows >= facts.log_base.index) return {};
  const std::string what =
      fmt::format("the rows are at entry {}, but the log starts after entry {}", rows,
                  facts.log_base.index.value());
  if (facts.has_snapshot_for_log) {
    return {RowsState::kBelowLog, what, {}};
  }
  return {RowsState::kLost, what + ", and no snapshot reaches that far",
          fmt::format("stop this node, {}", kHowToReplace)};
}

}  // namespace bib::wire
