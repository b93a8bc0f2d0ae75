#include "inspect/state_source.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "inspect/snapshot_source.h"
#include "projections/apply/replay.h"
#include "projections/apply/rows_owner.h"
#include "wire/log/entry.h"

namespace bib::inspect {

using projections::DigestSet;
using projections::family_index;
using projections::family_name;
using projections::StateMark;
using wire::ErrorCode;
using wire::LogIndex;

namespace {

// A running node removes files that a compaction replaced, perhaps just before we open them.
constexpr int kOpensMax = 3;

std::string how_to_rebuild(const StateSource& state) {
  return "the rows are derived from the log: stop the node, move " + state.path +
         " away and start it again, and it rebuilds them";
}

// A snapshot that the log continues, and of which no damage is known: rows can be taken from it.
bool has_snapshot_for(const Survey& survey, const SnapshotSource& snapshots) {
  return std::any_of(snapshots.positions.begin(), snapshots.positions.end(),
                     [&](wire::LogPosition snapshot) {
                       return survey.log.terms.term_at(snapshot.index) == snapshot.term &&
                              !snapshots.is_damaged(snapshot);
                     });
}

// Snapshots share the files of the rows: what is damaged here may be damaged there.
std::string how_to_restore(const StateSource& state, const Survey& survey,
                           const SnapshotSource& snapshots) {
  const bool has_log = is_whole(survey.findings);
  if (has_log && survey.log.base().index == LogIndex(0)) return how_to_rebuild(state);
  if (has_log && has_snapshot_for(survey, snapshots)) {
    return "the rows are derived from a snapshot and the log after it: stop the node, move " +
           state.path + " away and start it again, and it takes them from there";
  }
  return fmt::format(
      "nothing in this directory can replace them: keep a copy of it. If the cluster is healthy "
      "without this node (`bib cluster status`), {}",
      wire::kHowToReplace);
}

Finding undone(const StateSource& state, std::string what) {
  return {FindingKind::kUndone, state.path, 0, {}, std::move(what), {}};
}

// One finding for each projection whose digests differ.
void compare(const StateSource& state, const DigestSet& expected, const DigestSet& found,
             std::string_view whose, const std::string& advice, Findings& findings) {
  for (const projections::Family family : projections::kFamilies) {
    const auto& kept = expected[family_index(family)];
    const auto& other = found[family_index(family)];
    if (kept == other) continue;
    findings.push_back(
        {FindingKind::kDamage, state.path, 0, state.mark->applied_index,
         fmt::format(
             "{} at entry {}: {} have the digest {} ({} rows), the store keeps {} ({} rows)",
             family_name(family), state.mark->applied_index.value(), whose, to_string(other),
             other.rows, to_string(kept), kept.rows),
         advice});
  }
}

// The log's entries after `after` that are not void, in order, segment by segment.
class EntryFeed {
 public:
  EntryFeed(const Survey& survey, LogIndex after) : survey_(survey), after_(after) {}

  wire::Result<std::optional<wire::Bytes>> next() {
    while (places_.empty()) {
      if (segment_ == survey_.segments.size()) return std::nullopt;
      BIB_TRY_VOID(load(survey_.segments[segment_++]));
    }
    const wire::ByteView entry = places_.front();
    places_.pop_front();
    return wire::Bytes::copy_of(entry);
  }

 private:
  wire::Status load(const wire::WalkedSegment& segment) {
    return read_again(survey_.directory, segment, file_, [this](const wire::WalkedRecord& place) {
      const wire::Record& record = place.record;
      if (record.kind == wire::RecordKind::kEntry && record.entry.index > after_ &&
          !survey_.voids.contains(place.ordinal, record.entry.index)) {
        places_.push_back(record.content);
      }
      return wire::Status();
    });
  }

  const Survey& survey_;
  const LogIndex after_;
  FileBytes file_;
  std::size_t segment_ = 0;
  std::deque<wire::ByteView> places_;  // in `file_`
};

}  // namespace

wire::Result<std::unique_ptr<projections::RocksStore>> open_rows(const std::string& directory) {
  BIB_TRY_VOID(expect_plain_files(directory));
  projections::RocksOptions options;
  options.read_only = true;
  return projections::RocksStore::open(directory, options);
}

namespace {

// What the node has noted: it will not use these rows any more.
void check_noted(const StateSource& state, Findings& findings) {
  const std::string path = join_path(state.path, wire::kStateDamagedName);
  const auto kind = state.exists ? kind_of(path) : wire::FileKind::kAbsent;
  if (!kind || *kind != wire::FileKind::kRegular) return;
  FileBytes file;
  const auto read = file.read(path, wire::kStateDamagedSizeMax);
  findings.push_back(
      {FindingKind::kDamage, path, 0, state.mark ? state.mark->applied_index : LogIndex(),
       fmt::format("the node has found its rows damaged: {}",
                   read ? wire::as_text(file.view()) : read.error().message),
       "start the node: it takes the rows from a snapshot that is whole, or from the log; where it "
       "cannot, it says what is whole and what to do"});
}

wire::Status read_state(StateCheck check, StateSource& state) {
  state.mark.reset();
  state.owner.reset();
  BIB_TRY(state.store, open_rows(state.path));
  if (check == StateCheck::kFiles) BIB_TRY_VOID(state.store->check_files());
  BIB_TRY(state.mark, projections::read_mark(*state.store));
  BIB_TRY(state.owner, projections::read_owner(*state.store));
  return {};
}

// False: it is not there, or empty. An error where that cannot be told, or where what is in it are
// no rows.
wire::Result<bool> has_rows(const std::string& directory) {
  BIB_TRY_VOID(expect_directory(directory));
  BIB_TRY(const auto names, list_names(directory));
  if (names.empty() || std::binary_search(names.begin(), names.end(), "CURRENT")) {
    return !names.empty();
  }
  return wire::fail(
      ErrorCode::kIo,
      "not read: {} holds files, but not CURRENT, without which RocksDB does not know "
      "which of them count",
      directory);
}

}  // namespace

StateSource open_state(const std::string& directory, StateCheck check) {
  StateSource state;
  state.path = directory;
  if (directory.empty()) return state;
  const auto rows = has_rows(directory);
  state.exists = !rows || *rows;
  if (!rows) state.problem = rows.error();
  for (int opens = 0; rows && *rows && opens < kOpensMax; ++opens) {
    const wire::Status status = read_state(check, state);
    state.problem.reset();
    if (status) break;
    state.problem = status.error();
  }
  return state;
}

void check_mark(const StateSource& state, const Survey& survey, const SnapshotSource& snapshots,
                Findings& findings) {
  check_noted(state, findings);
  if (state.problem) {
    const bool corrupt = state.problem->code == ErrorCode::kCorrupt;
    findings.push_back({corrupt ? FindingKind::kDamage : FindingKind::kUndone,
                        state.path,
                        0,
                        {},
                        state.problem->message,
                        corrupt ? how_to_restore(state, survey, snapshots) : std::string()});
  }
  if (snapshots.installing) return;  // rows and log are on their way to it
  if (state.problem || state.path.empty()) return;
  const LogIndex applied = state.mark ? state.mark->applied_index : LogIndex(0);
  const auto& identity = survey.log.identity;
  const wire::RowsOwner log_owner =
      identity ? wire::RowsOwner{identity->cluster, identity->log_id} : wire::RowsOwner();
  wire::RowsStanding rows =
      wire::judge_rows({.rows = applied,
                        .rows_owner = identity ? state.owner : std::nullopt,
                        .log_owner = log_owner,
                        .log_base = survey.log.base(),
                        .log_last = survey.log.last().index,
                        .has_snapshot_for_log = has_snapshot_for(survey, snapshots)});
  if (rows.state == wire::RowsState::kFit) return;
  if (rows.state == wire::RowsState::kBelowLog) {
    rows.what += "; the node takes them from a snapshot at its next start";
  }
  // A log that is damaged, or was not read, seems to end early: that is said already.
  if (rows.state == wire::RowsState::kAhead && !is_whole(survey.findings)) return;
  const LogIndex known = rows.state == wire::RowsState::kAhead ? survey.log.last().index : applied;
  findings.push_back({rows.next_step.empty() ? FindingKind::kNote : FindingKind::kDamage,
                      state.path, 0, known + 1, rows.what, rows.next_step});
}

void check_rows(const StateSource& state, const Survey& survey, const SnapshotSource& snapshots,
                Findings& findings) {
  if (!state.exists) findings.push_back(undone(state, "there are no rows to check"));
  if (!state.exists || state.problem) return;  // check_mark() says why
  const auto digests = projections::compute_digests(*state.store->view());
  const std::string advice = how_to_restore(state, survey, snapshots);
  if (digests) {
    compare(state, state.mark->digests, *digests, "the rows", advice, findings);
  } else if (digests.error().code == ErrorCode::kCorrupt) {
    findings.push_back({FindingKind::kDamage, state.path, 0, state.mark->applied_index,
                        digests.error().message, advice});
  } else {
    findings.push_back(undone(state, digests.error().message));
  }
}

namespace {

// The rows of a snapshot that the log continues to where the rows are, copied into memory;
// the oldest one, so that most of the log is replayed.
wire::Result<std::optional<LogIndex>> begin_from_snapshot(const SnapshotSource& snapshots,
                                                          const Survey& survey, LogIndex until,
                                                          projections::MemoryStore& memory) {
  for (const wire::SnapshotManifest& snapshot : snapshots.snapshots) {
    const bool fits = snapshot.index >= survey.log.base().index && snapshot.index <= until &&
                      survey.log.terms.term_at(snapshot.index) == snapshot.term;
    if (!fits) continue;
    BIB_TRY(const auto store,
            open_rows(join_path(snapshots.directory_of(snapshot), wire::kSnapshotStateName)));
    const auto view = store->view();
    for (const projections::Family family : projections::kFamilies) {
      std::vector<projections::RowPtr> rows;
      BIB_TRY_VOID(projections::scan(*view, family, {}, [&](std::string_view key, auto value) {
        rows.push_back(projections::StoredRow::make(projections::make_row_key(family, key), value));
        return true;
      }));
      BIB_TRY_VOID(memory.write(rows));
    }
    return snapshot.index;
  }
  return std::nullopt;
}

}  // namespace

std::optional<LogIndex> check_replay(const StateSource& state, const Survey& survey,
                                     const SnapshotSource& snapshots, Findings& findings) {
  if (!state.mark || state.problem) return std::nullopt;  // check_mark() says so
  const LogIndex until = state.mark->applied_index;
  if (!is_whole(survey.findings)) {
    findings.push_back(undone(state, "the log is not whole: it was not replayed"));
    return std::nullopt;
  }
  projections::MemoryStore memory;
  LogIndex begin;
  if (survey.log.base().index > LogIndex(0)) {
    const auto found = begin_from_snapshot(snapshots, survey, until, memory);
    if (!found || !*found) {
      findings.push_back(undone(
          state, fmt::format("the log starts after entry {} and cannot be replayed from its first "
                             "entry; {}",
                             survey.log.base().index.value(),
                             found ? "no snapshot here reaches the rows" : found.error().message)));
      return std::nullopt;
    }
    begin = **found;
  }
  EntryFeed feed(survey, begin);
  const auto mark = projections::replay([&feed] { return feed.next(); }, memory, until);
  if (!mark) {
    const bool ours = mark.error().code == ErrorCode::kIo;
    findings.push_back({ours ? FindingKind::kUndone : FindingKind::kDamage,
                        state.path,
                        0,
                        until,
                        fmt::format("the log cannot be replayed: {}", mark.error().message),
                        {}});
    return std::nullopt;
  }
  if (mark->applied_index != until) return std::nullopt;  // check_mark() says so
  compare(state, state.mark->digests, mark->digests, "the replayed rows",
          how_to_restore(state, survey, snapshots), findings);
  return begin;
}

}  // namespace bib::inspect
