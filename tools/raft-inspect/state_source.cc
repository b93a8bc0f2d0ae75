#include "inspect/state_source.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "inspect/snapshot_source.h"
#include "projections/apply/replay.h"
#include "wire/log/data_directory.h"
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
         " away and start it again, and it rebuilds them, or says what is missing";
}

Finding undone(const StateSource& state, std::string what) {
  return {FindingKind::kUndone, state.path, 0, {}, std::move(what), {}};
}

// One finding for each projection whose digests differ.
void compare(const StateSource& state, const DigestSet& expected, const DigestSet& found,
             std::string_view whose, Findings& findings) {
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
         how_to_rebuild(state)});
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

namespace {

// What the node has noted: it will not use these rows any more.
void check_noted(const StateSource& state, Findings& findings) {
  const std::string path = join_path(state.path, wire::kStateDamagedName);
  if (!state.exists || kind_of(path) != wire::FileKind::kRegular) return;
  FileBytes file;
  const auto read = file.read(path, wire::kStateDamagedSizeMax);
  findings.push_back(
      {FindingKind::kDamage, path, 0, state.mark ? state.mark->applied_index : LogIndex(),
       fmt::format("the node has found its rows damaged: {}",
                   read ? wire::as_text(file.view()) : read.error().message),
       "start the node: it takes the rows from a snapshot that is whole, or from the log; where it "
       "cannot, it says what is whole and what to do"});
}

}  // namespace

StateSource open_state(const std::string& directory) {
  StateSource state;
  state.path = directory;
  if (is_foreign(directory)) {
    state.exists = true;
    state.problem = wire::Error{ErrorCode::kInvalid, fmt::format("not read: {} is a {}", directory,
                                                                 to_string(kind_of(directory)))};
    return state;
  }
  state.exists = !directory.empty() && has_rows(directory);
  for (int opens = 0; state.exists && !state.mark && opens < kOpensMax; ++opens) {
    state.problem.reset();
    projections::RocksOptions options;
    options.read_only = true;
    auto store = projections::RocksStore::open(directory, options);
    if (!store) {
      state.problem = std::move(store).error();
      continue;
    }
    state.store = *std::move(store);
    auto mark = projections::read_mark(*state.store);
    if (mark) {
      state.mark = *std::move(mark);
    } else {
      state.problem = std::move(mark).error();
    }
  }
  return state;
}

void check_mark(const StateSource& state, const Survey& survey, const SnapshotSource& snapshots,
                Findings& findings) {
  check_noted(state, findings);
  if (state.problem) {
    const bool corrupt = state.problem->code == ErrorCode::kCorrupt;
    findings.push_back({corrupt ? FindingKind::kDamage : FindingKind::kNote,
                        state.path,
                        0,
                        {},
                        state.problem->message,
                        corrupt ? how_to_rebuild(state) : std::string()});
  }
  if (snapshots.installing) return;  // rows and log are on their way to it
  if (state.problem || state.path.empty()) return;
  const bool can_be_restored =
      std::any_of(snapshots.snapshots.begin(), snapshots.snapshots.end(),
                  [&](const wire::SnapshotManifest& snapshot) {
                    return survey.log.terms.term_at(snapshot.index) == snapshot.term;
                  });
  const LogIndex applied = state.mark ? state.mark->applied_index : LogIndex(0);
  wire::RowsStanding rows = wire::judge_rows({.rows = applied,
                                              .log_base = survey.log.base(),
                                              .log_last = survey.log.last().index,
                                              .has_snapshot_for_log = can_be_restored});
  if (rows.state == wire::RowsState::kFit) return;
  if (rows.state == wire::RowsState::kBelowLog) {
    rows.what += "; the node takes them from a snapshot at its next start";
  }
  // A damaged log seems to end early: that is said already.
  if (rows.state == wire::RowsState::kAhead && has_damage(survey.findings)) return;
  const LogIndex known = rows.state == wire::RowsState::kAhead ? survey.log.last().index : applied;
  findings.push_back({rows.next_step.empty() ? FindingKind::kNote : FindingKind::kDamage,
                      state.path, 0, known + 1, rows.what, rows.next_step});
}

void check_rows(const StateSource& state, Findings& findings) {
  if (!state.mark) {
    if (!state.exists) findings.push_back(undone(state, "there are no rows to check"));
    if (state.problem) findings.push_back(undone(state, "the rows could not be read"));
    return;
  }
  const auto digests = projections::compute_digests(*state.store->view());
  if (!digests) {
    findings.push_back({FindingKind::kDamage, state.path, 0, state.mark->applied_index,
                        digests.error().message, how_to_rebuild(state)});
    return;
  }
  compare(state, state.mark->digests, *digests, "the rows", findings);
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
    projections::RocksOptions options;
    options.read_only = true;
    BIB_TRY(const auto store,
            projections::RocksStore::open(
                join_path(snapshots.directory_of(snapshot), wire::kSnapshotStateName), options));
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
  if (!state.mark) return std::nullopt;  // check_rows() says so
  const LogIndex until = state.mark->applied_index;
  if (has_damage(survey.findings)) {
    findings.push_back(undone(state, "the log is damaged: it was not replayed"));
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
  compare(state, state.mark->digests, mark->digests, "the replayed rows", findings);
  return begin;
}

}  // namespace bib::inspect
