// Data directory: what belongs in a node's directory, and what a node may do with what it finds.
//
// Pure knowledge, no I/O: the node and raft-inspect list and read, and fill in what they saw
// (DirectoryFacts, RowsFacts); here each state of a directory has a name, a verdict, and a next
// step in words. A node looks before it writes, founds, joins or removes anything, and does none of
// it when the verdict is kRefuse. docs/decisions/0019-one-judge-of-a-directory.md
//
//   LOCK             held by the process that runs on the directory
//   JOINING          the id of the log to begin, while the cluster is asked for admission
//   bibd.sock        the local API
//   log/             segments, log.start (log_start.h) and log.commit (commit_note.h)
//   state/           the rows, RocksDB's
//   state/DAMAGED    why the rows are not to be used: the next start restores them
//   state.new/       rows that are to take the place of state/
//   state.old/       rows that had to give way, on their way out
//   snapshots/<index>-<term>/{manifest,state/}   (snapshot_manifest.h)
//   snapshots/<index>-<term>.damaged/   one that was found damaged: counts for nothing, and goes
//                    when the node has a newer one that is whole, or a few such
//   snapshots/installing      names the snapshot whose rows are being put in place
//   *.tmp            in any of them: unfinished, counts for nothing
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/log/log_walk.h"

namespace bib::wire {

inline constexpr char kLockName[] = "LOCK";
inline constexpr char kJoiningName[] = "JOINING";
inline constexpr char kSocketName[] = "bibd.sock";
inline constexpr char kLogName[] = "log";
inline constexpr char kStateName[] = "state";
inline constexpr char kNextStateName[] = "state.new";
inline constexpr char kPreviousStateName[] = "state.old";
inline constexpr char kSnapshotsName[] = "snapshots";
inline constexpr char kInstallingName[] = "installing";
inline constexpr char kSnapshotManifestName[] = "manifest";
inline constexpr char kSnapshotStateName[] = "state";
inline constexpr char kStateDamagedName[] = "DAMAGED";
inline constexpr std::size_t kStateDamagedSizeMax = 4096;
inline constexpr char kDamagedSuffix[] = ".damaged";
inline constexpr std::size_t kDamagedSnapshotsMax = 2;
// Files and directories with this ending are not finished, or are on their way out, and hold
// nothing.
inline constexpr char kTemporarySuffix[] = ".tmp";

// "directory/name"; the name alone where the directory is "".
std::string join_path(const std::string& directory, const std::string& name);

// A node with its old id that forgot what it had voted for and acknowledged could harm the others;
// they refuse it.
inline constexpr std::string_view kHowToRejoin =
    "move its data directory away and let it join the cluster again under a new id (`bib setup "
    "--daemon --cluster-join TOKEN --force`)";

// The same, for a node that is still a member: as long as it is one, its address is taken, and it
// counts as a voter.
inline constexpr std::string_view kHowToReplace =
    "remove it on a member (`bib cluster member remove ID`), move its data directory away and let "
    "it join the cluster again under a new id (`bib setup --daemon --cluster-join TOKEN --force`)";

// The kind of thing that a name is; links are not followed.
enum class FileKind : std::uint8_t { kAbsent, kRegular, kDirectory, kSocket, kLink, kOther };
std::string_view to_string(FileKind kind);

// The content of snapshots/installing.
std::string installing_note(LogPosition snapshot);
std::optional<LogPosition> parse_installing_note(std::string_view note);
inline constexpr std::size_t kInstallingNoteSizeMax = 64;

// "<index>-<term>.damaged", and back.
std::string damaged_snapshot_name(LogPosition snapshot);
std::optional<LogPosition> parse_damaged_snapshot_name(std::string_view name);

// What has the place of a file or directory of ours, and is none.
struct ForeignFile {
  std::string path;
  FileKind found = FileKind::kAbsent;
  FileKind expected = FileKind::kRegular;
};

// The facts that were seen, before anything was changed.
struct DirectoryFacts {
  std::string path;                            // of the directory, for the words
  std::map<std::string, FileKind> names;       // all that is in it
  FileKind log_target = FileKind::kDirectory;  // where log/ is a link: what it points to
  std::optional<ForeignFile> foreign;  // the first one in log/, state/ or snapshots/ that is seen
  bool has_log = false;                // log/ holds a segment, or the note of a log's start
  std::optional<LogIdentity> log;      // whose, where that was read
  bool has_commit_note = false;        // log/ says what was committed in it
  bool has_rows = false;               // state/, state.new/ or state.old/ holds anything
  std::vector<LogPosition> snapshots;  // that have a manifest which can be read
  // snapshots/ holds `installing` or a snapshot's name, be it set aside.
  bool has_snapshots = false;
  FileKind installing = FileKind::kAbsent;
  std::optional<LogPosition> installing_snapshot;  // nothing: the note names none
};

enum class DirectoryState : std::uint8_t {
  kEmpty,           // no node has been here
  kJoining,         // the cluster was asked for admission; there is no log yet
  kNode,            // a node that ran or crashed here
  kInstalling,      // the same, and a snapshot's rows have to be put in place first
  kLogLost,         // something of a node, but not its log
  kSnapshotLost,    // a snapshot's rows have to be put in place, and it is not there
  kInstallUnknown,  // as kInstalling, but the note does not say which snapshot
  kOtherNode,       // the log is another node's
  kForeignFile,     // a link, a special file or a directory has the place of one of ours
  kLogUnreachable,  // log/ is a link to what is not there
};

enum class DirectoryVerdict : std::uint8_t { kFound, kJoin, kStart, kComplete, kRefuse };

struct DirectoryStanding {
  DirectoryState state = DirectoryState::kEmpty;
  DirectoryVerdict verdict = DirectoryVerdict::kStart;
  std::string path;       // what the words are about
  std::string what;       // one clause, for a person; empty for kEmpty and kNode
  std::string next_step;  // what to do, in the imperative; not empty for kRefuse
};

struct Expected {
  std::optional<NodeId> node;  // as configured; nothing: whichever it is
  bool founds = false;         // what to do with a directory without a log: found or join
};
DirectoryStanding judge_directory(const DirectoryFacts& facts, const Expected& expected);
DirectoryStanding foreign_file(const ForeignFile& file);
// kConfig or kCorrupt: "<path>: <what>. <Next step>".
Error refusal_of(const DirectoryStanding& standing);

// Whose rows a state holds: those of the node with this log. In them since the first start of this
// version; rows that do not say are taken for the node's own.
struct RowsOwner {
  ClusterId cluster;
  std::uint64_t log_id = 0;

  bool operator==(const RowsOwner&) const = default;
};

// The rows compared with the log. They are taken from a snapshot or from the log where they
// are missing.
struct RowsFacts {
  LogIndex rows;                        // applied to here
  std::optional<RowsOwner> rows_owner;  // nothing: they do not say
  RowsOwner log_owner;                  // compared where the rows say
  LogPosition log_base;
  LogIndex log_last;
  bool has_snapshot_for_log = false;  // one that the log continues
};
enum class RowsState : std::uint8_t {
  kFit,       // the log continues them
  kBelowLog,  // the log starts later; a snapshot has what is between
  kLost,      // the log starts later, and no snapshot has what is between
  kAhead,     // they know more than the log does
  kForeign,   // they are another cluster's, or another node's
};
struct RowsStanding {
  RowsState state = RowsState::kFit;
  std::string what;       // empty for kFit
  std::string next_step;  // not empty where the node must not start: kLost, kAhead, kForeign
};
RowsStanding judge_rows(const RowsFacts& facts);

}  // namespace bib::wire
