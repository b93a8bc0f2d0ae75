#include "engine/storage/state_recovery.h"

#include <algorithm>
#include <span>
#include <utility>

#include "engine/storage/data_directory.h"
#include "engine/storage/snapshot_files.h"
#include "engine/storage/state_install.h"
#include "projections/apply/checkpoint.h"
#include "projections/apply/rows_owner.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::Result;
using wire::SnapshotManifest;
using wire::Status;

namespace {

class StateRecovery {
 public:
  StateRecovery(FileSystem& files, const StateRecoveryOptions& options, LogStore::Recovered& log)
      : files_(files), options_(options), places_(options.data_directory), log_(log) {}

  Result<RecoveredState> run() {
    // Before anything is removed.
    BIB_TRY(wire::DirectoryFacts facts, look_at_directory(files_, places_.data));
    facts.has_log = true;
    const auto standing = wire::judge_directory(facts, {});
    if (standing.verdict == wire::DirectoryVerdict::kRefuse) {
      return tl::unexpected(wire::refusal_of(standing));
    }
    BIB_TRY_VOID(files_.make_directories(places_.snapshots));
    BIB_TRY(FoundSnapshots found, find_snapshots(files_, places_.snapshots, options_.cluster));
    for (const std::string& problem : found.problems) options_.on_news(problem);
    state_.snapshots = std::move(found.snapshots);
    BIB_TRY_VOID(complete_installation(facts.installing_snapshot));
    BIB_TRY_VOID(open());
    if (from_snapshot_) BIB_TRY_VOID(end_install(files_, places_));
    return std::move(state_);
  }

 private:
  // The steps of state_install.h, whatever a crash left of them: the rows from the snapshot, the
  // log after it.
  Status complete_installation(const std::optional<wire::LogPosition>& place) {
    if (!place) return remove_install_leftovers(files_, places_);
    const std::string name = wire::snapshot_name(place->index, place->term);
    const auto snapshot =
        std::find_if(state_.snapshots.begin(), state_.snapshots.end(),
                     [&](const SnapshotManifest& each) { return each.position() == *place; });
    if (snapshot == state_.snapshots.end()) {
      return wire::fail(ErrorCode::kCorrupt, "the snapshot {} in {} is of another cluster", name,
                        places_.snapshots);
    }
    options_.on_news(fmt::format("completing the installation of snapshot {}", name));
    if (const Status whole = verify_snapshot_files(files_, places_.snapshots, *snapshot); !whole) {
      if (whole.error().code == ErrorCode::kIo) return whole;
      return wire::fail(ErrorCode::kCorrupt,
                        "{}. It was being put in place when the node stopped. To restore the node "
                        "from the others, {}",
                        whole.error().message, wire::kHowToReplace);
    }
    BIB_TRY_VOID(complete_install(files_, places_, *snapshot));
    from_snapshot_ = true;
    return reset_log(*snapshot);
  }

  // What the log holds up to the snapshot is the same and stays, or is void (Raft figure 13, steps
  // 6 and 7).
  Status reset_log(const SnapshotManifest& snapshot) {
    const wire::LogPosition position = snapshot.position();
    if (log_.log.matches(position) || log_.log.base().index > position.index) return {};
    LogStoreWrite write;
    write.hard_state = log_.hard_state;
    // The leader that offered it was in this term or a later one.
    if (log_.hard_state.term < position.term) {
      write.hard_state = wire::HardState{position.term, wire::NodeId()};
    }
    write.reset =
        LogReset{position, snapshot.membership_index, wire::encode_membership(snapshot.membership)};
    BIB_TRY_VOID(log_.store->append(std::span<const LogStoreWrite>(&write, 1)));
    log_.hard_state = *write.hard_state;
    log_.log.reset(position);
    log_.memberships = {wire::LoggedMembership{snapshot.membership_index, snapshot.membership,
                                               write.reset->membership}};
    return {};
  }

  Status open() {
    for (int attempt = 0; attempt < 2; ++attempt) {
      auto store = options_.open_store(places_.state);
      if (!store && store.error().code == ErrorCode::kNotFound) {
        BIB_TRY_VOID(restore_rows(store.error().message));
        continue;
      }
      if (!store) return refuse_damaged(store.error());
      state_.store = *std::move(store);
      BIB_TRY_VOID(check_owner());
      auto projector = projections::Projector::open(*state_.store, options_.projector);
      if (!projector) {
        if (projector.error().code != ErrorCode::kUnsupported) {
          return refuse_damaged(projector.error());
        }
        BIB_TRY_VOID(restore_rows(projector.error().message));
        continue;
      }
      const wire::RowsStanding rows = wire::judge_rows(rows_facts((*projector)->applied_index()));
      if (rows.state == wire::RowsState::kFit) {
        state_.projector = *std::move(projector);
        return {};
      }
      if (!rows.next_step.empty()) return refuse_rows(rows);
      projector->reset();
      BIB_TRY_VOID(restore_rows(fmt::format("{}: {}", places_.state, rows.what)));
    }
    return wire::fail(ErrorCode::kCorrupt, "the rows in {} cannot be rebuilt", places_.state);
  }

  wire::RowsOwner owner() const {
    const wire::LogIdentity& log = log_.store->identity();
    return {log.cluster, log.log_id};
  }

  wire::RowsFacts rows_facts(wire::LogIndex applied) const {
    return {.rows = applied,
            .rows_owner = {},
            .log_owner = owner(),
            .log_base = log_.log.base(),
            .log_last = log_.log.last_index(),
            .has_snapshot_for_log = !snapshots_for_log().empty()};
  }

  // Rows that do not say whose they are were written before rows said it.
  Status check_owner() {
    if (from_snapshot_) return projections::adopt_rows(*state_.store, owner());
    auto found = projections::read_owner(*state_.store);
    if (!found) return refuse_damaged(found.error());
    if (!*found) return projections::write_owner(owner(), *state_.store);
    wire::RowsFacts foreign = rows_facts({});
    foreign.rows_owner = *found;
    const wire::RowsStanding rows = wire::judge_rows(foreign);
    return rows.state == wire::RowsState::kForeign ? refuse_rows(rows) : Status{};
  }

  Status refuse_rows(const wire::RowsStanding& rows) const {
    return wire::fail(ErrorCode::kCorrupt, "{}: {}. See 'raft-inspect verify {}'; {}",
                      places_.state, rows.what, places_.data, rows.next_step);
  }

  // Says which of the copies that the rows can be restored from are whole.
  Status refuse_damaged(const wire::Error& error) const {
    if (error.code != ErrorCode::kCorrupt) return tl::unexpected(error);
    if (begins_with_first_entry()) {
      return wire::fail(error.code, "{} They suffice: the log is whole from its first entry on.",
                        error.message);
    }
    for (const SnapshotManifest* snapshot : snapshots_for_log()) {
      if (!verify_snapshot_files(files_, places_.snapshots, *snapshot)) continue;
      return wire::fail(error.code, "{} They suffice: snapshot {} and the log after it are whole.",
                        error.message, name_of(*snapshot));
    }
    return wire::fail(error.code, "{} They do not suffice: {}", error.message, no_source());
  }

  static std::string name_of(const SnapshotManifest& snapshot) {
    return wire::snapshot_name(snapshot.index, snapshot.term);
  }

  bool begins_with_first_entry() const { return log_.log.base().index == wire::LogIndex(); }

  std::string no_source() const {
    return fmt::format(
        "the log starts at entry {}, and {} holds no whole snapshot to continue from. To restore "
        "the node from the others, {}",
        log_.log.first_index().value(), places_.snapshots, wire::kHowToReplace);
  }

  // Those that this build can use and that the log continues, the newest first.
  std::vector<const SnapshotManifest*> snapshots_for_log() const {
    std::vector<const SnapshotManifest*> fitting;
    for (auto each = state_.snapshots.rbegin(); each != state_.snapshots.rend(); ++each) {
      const bool fits = log_.log.matches(each->position());
      if (fits && projections::check_versions(*each)) fitting.push_back(&*each);
    }
    return fitting;
  }

  // Rows come from the log; where that begins later, from a snapshot and the log after it.
  Status restore_rows(const std::string& why) {
    state_.store.reset();
    for (const SnapshotManifest* snapshot : snapshots_for_log()) {
      const Status whole = verify_snapshot_files(files_, places_.snapshots, *snapshot);
      if (!whole && whole.error().code == ErrorCode::kIo) return whole;
      if (!whole) {
        options_.on_news(whole.error().message);
        continue;
      }
      options_.on_news(
          fmt::format("{}; taking the rows from snapshot {}", why, name_of(*snapshot)));
      BIB_TRY_VOID(decide_install(files_, places_, *snapshot));
      from_snapshot_ = true;
      return complete_install(files_, places_, *snapshot);
    }
    if (begins_with_first_entry()) {
      options_.on_news(fmt::format("{}; rebuilding the rows from the log", why));
      return remove_tree(files_, places_.state);
    }
    return wire::fail(ErrorCode::kCorrupt, "{}. {}", why, no_source());
  }

  FileSystem& files_;
  const StateRecoveryOptions& options_;
  const InstallPlaces places_;
  LogStore::Recovered& log_;
  RecoveredState state_;
  bool from_snapshot_ = false;  // the rows are: an installation is under way, and ends with open()
};

}  // namespace

Result<RecoveredState> recover_state(FileSystem& files, const StateRecoveryOptions& options,
                                     LogStore::Recovered& log) {
  return StateRecovery(files, options, log).run();
}

}  // namespace bib::engine
