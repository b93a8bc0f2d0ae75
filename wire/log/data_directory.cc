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

// Directories that are moved and emptied may not be links, nor what is in them: what a link points
// to is not ours to remove. log/ may be one; only the node's own segments are removed from it.
constexpr std::array kPlaces = {
    Place{kLogName, FileKind::kDirectory},       Place{kStateName, FileKind::kDirectory},
    Place{kNextStateName, FileKind::kDirectory}, Place{kPreviousStateName, FileKind::kDirectory},
    Place{kSnapshotsName, FileKind::kDirectory}, Place{kJoiningName, FileKind::kRegular},
};

std::optional<ForeignFile> find_foreign_file(const DirectoryFacts& facts) {
  for (const Place& place : kPlaces) {
    const auto found = facts.names.find(place.name);
    if (found == facts.names.end() || found->second == place.kind) continue;
    if (std::string_view(place.name) == kLogName && found->second == FileKind::kLink) continue;
    return ForeignFile{join_path(facts.path, place.name), found->second, place.kind};
  }
  if (facts.installing != FileKind::kAbsent && facts.installing != FileKind::kRegular) {
    return ForeignFile{join_path(join_path(facts.path, kSnapshotsName), kInstallingName),
                       facts.installing, FileKind::kRegular};
  }
  return facts.foreign;
}

DirectoryStanding log_unreachable(const DirectoryFacts& facts) {
  return {DirectoryState::kLogUnreachable, DirectoryVerdict::kRefuse,
          join_path(facts.path, kLogName),
          facts.log_target == FileKind::kAbsent
              ? "this symbolic link points to nothing"
              : fmt::format("this symbolic link points to a {}, not to a directory",
                            to_string(facts.log_target)),
          "mount the disk that it points to, or correct the link"};
}

DirectoryStanding log_lost(const DirectoryFacts& facts) {
  const std::string_view left = facts.has_rows && facts.has_snapshots ? "rows and snapshots"
                                : facts.has_rows                      ? "rows"
                                : facts.has_snapshots                 ? "snapshots"
                                                      : "a note of what is committed";
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

DirectoryStanding foreign_file(const ForeignFile& file) {
  std::string next_step =
      fmt::format("move it away, or put the {} back that was here", to_string(file.expected));
  if (file.found == FileKind::kLink) {
    next_step = fmt::format(
        "put the {} itself here; to keep a node's data on another disk, set data_dir to a "
        "directory on it",
        to_string(file.expected));
  }
  return {DirectoryState::kForeignFile, DirectoryVerdict::kRefuse, file.path,
          fmt::format("a {} belongs here, but this is a {}", to_string(file.expected),
                      to_string(file.found)),
          std::move(next_step)};
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
  if (const auto foreign = find_foreign_file(facts)) return foreign_file(*foreign);
  const auto log = facts.names.find(kLogName);
  const bool is_link = log != facts.names.end() && log->second == FileKind::kLink;
  if (is_link && facts.log_target != FileKind::kDirectory) return log_unreachable(facts);
  if (facts.log && expected.node && facts.log->node != *expected.node) {
    return {DirectoryState::kOtherNode, DirectoryVerdict::kRefuse, facts.path,
            fmt::format("this directory belongs to node {}, but cluster.node_id says {}",
                        to_string(facts.log->node), to_string(*expected.node)),
            "correct node_id, or use another data_dir"};
  }
  const bool has_remains = facts.has_rows || facts.has_snapshots || facts.has_commit_note;
  if (!facts.has_log && has_remains) return log_lost(facts);
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
                          standing.state == DirectoryState::kForeignFile ||
                          standing.state == DirectoryState::kLogUnreachable;
  std::string next_step = standing.next_step;
  next_step.front() = static_cast<char>(next_step.front() - 'a' + 'A');
  return {is_setting ? ErrorCode::kConfig : ErrorCode::kCorrupt,
          fmt::format("{}: {}. {}", standing.path, standing.what, next_step)};
}

namespace {

RowsStanding foreign_rows(const RowsFacts& facts) {
  const RowsOwner& owner = *facts.rows_owner;
  const bool other_cluster = owner.cluster != facts.log_owner.cluster;
  const bool can_rebuild = facts.log_base.index == LogIndex() || facts.has_snapshot_for_log;
  return {RowsState::kForeign,
          other_cluster
              ? fmt::format("the rows are those of another cluster, {}; the log is of {}",
                            to_string(owner.cluster), to_string(facts.log_owner.cluster))
              : fmt::format("the rows are another node's: they follow from the log {:016x}, and "
                            "this log is {:016x}",
                            owner.log_id, facts.log_owner.log_id),
          fmt::format("if the directory was mixed up with another node's, put this node's own "
                      "back; if that is lost, {}",
                      can_rebuild ? "move this one away and start the node again: it rebuilds its "
                                    "rows from its log and snapshots"
                                  : std::string(kHowToReplace))};
}

}  // namespace

RowsStanding judge_rows(const RowsFacts& facts) {
  if (facts.rows_owner && *facts.rows_owner != facts.log_owner) return foreign_rows(facts);
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
