#include "engine/storage/state_recovery.h"

#include <algorithm>
#include <span>
#include <utility>

#include "engine/storage/data_directory.h"
#include "engine/storage/snapshot_files.h"
#include "engine/storage/state_damage.h"
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
    state_.snapshots = std::move(found);
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
    const std::vector<SnapshotManifest>& snapshots = state_.snapshots.snapshots;
    const auto snapshot =
        std::find_if(snapshots.begin(), snapshots.end(),
                     [&](const SnapshotManifest& each) { return each.position() == *place; });
    if (snapshot == snapshots.end()) {
      return wire::fail(
          ErrorCode::kCorrupt,
          "snapshot {} was being put in place when the node stopped, but that in {} is "
          "of another cluster: put the right one back. If it is lost, {}",
          name, places_.snapshots, wire::kHowToReplace);
    }
    options_.on_news(fmt::format("completing the installation of snapshot {}", name));
    if (const Status whole = verify_snapshot(files_, places_.snapshots, *snapshot); !whole) {
      return wire::fail(
          whole.error().code,
          "snapshot {} was being put in place when the node stopped, and can no longer be used: "
          "{}. To restore the node from the others, {}",
          name, whole.error().message, wire::kHowToReplace);
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
    BIB_TRY(const auto damage, find_state_damage(files_, places_));
    if (damage) BIB_TRY_VOID(restore_rows(*damage));
    for (int attempt = 0; attempt < 2; ++attempt) {
      auto store = options_.open_store(places_.state);
      if (!store) {
        BIB_TRY_VOID(restore_from(store.error()));
        continue;
      }
      state_.store = *std::move(store);
      const auto found = projections::read_owner(*state_.store);
      if (!found) {
        BIB_TRY_VOID(restore_from(found.error()));
        continue;
      }
      BIB_TRY_VOID(make_own(*found));
      auto projector = projections::Projector::open(*state_.store, options_.projector);
      if (!projector) {
        BIB_TRY_VOID(restore_from(projector.error()));
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
    return wire::fail(ErrorCode::kCorrupt,
                      "the rows in {} were rebuilt, and still cannot be used. To restore the node "
                      "from the others, "
                      "{}. Keep that directory: what is wrong with it is a bug, or its disk "
                      "changes what it holds",
                      places_.state, wire::kHowToReplace);
  }

  // Rows that are lost, damaged, or of a version that this build does not know. What cannot be read
  // for another reason may be whole.
  Status restore_from(const wire::Error& error) {
    const bool is_lost = error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kNotFound ||
                         error.code == ErrorCode::kUnsupported;
    return is_lost ? restore_rows(error.message) : tl::unexpected(error);
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
            .has_snapshot_for_log = snapshot_for_log() != nullptr};
  }

  // Rows that do not say whose they are were written before rows said it.
  Status make_own(const std::optional<wire::RowsOwner>& found) {
    if (from_snapshot_) return projections::adopt_rows(*state_.store, owner());
    if (!found) return projections::write_owner(owner(), *state_.store);
    wire::RowsFacts foreign = rows_facts({});
    foreign.rows_owner = found;
    const wire::RowsStanding rows = wire::judge_rows(foreign);
    return rows.state == wire::RowsState::kForeign ? refuse_rows(rows) : Status{};
  }

  Status refuse_rows(const wire::RowsStanding& rows) const {
    return wire::fail(ErrorCode::kCorrupt, "{}: {}. See 'raft-inspect verify {}'; {}",
                      places_.state, rows.what, places_.data, rows.next_step);
  }

  // The newest snapshot that this build can use and that the log continues.
  const SnapshotManifest* snapshot_for_log() const {
    const std::vector<SnapshotManifest>& snapshots = state_.snapshots.snapshots;
    for (auto each = snapshots.rbegin(); each != snapshots.rend(); ++each) {
      const bool fits = log_.log.matches(each->position());
      if (fits && projections::check_versions(*each)) return &*each;
    }
    return nullptr;
  }

  // Rows come from the log; where that begins later, from a snapshot and the log after it. What has
  // to give way goes only when what takes its place was checked.
  Status restore_rows(std::string why) {
    while (why.ends_with('.')) why.pop_back();
    state_.store.reset();
    while (const SnapshotManifest* snapshot = snapshot_for_log()) {
      if (const Status whole = check_whole(*snapshot); !whole) {
        BIB_TRY_VOID(give_up(*snapshot, whole.error()));
        continue;
      }
      options_.on_news(fmt::format("{}; taking the rows from snapshot {}", why,
                                   wire::snapshot_name(snapshot->index, snapshot->term)));
      BIB_TRY_VOID(decide_install(files_, places_, *snapshot));
      from_snapshot_ = true;
      return complete_install(files_, places_, *snapshot);
    }
    if (log_.log.base().index == wire::LogIndex()) {
      options_.on_news(fmt::format("{}; rebuilding the rows from the log", why));
      return remove_tree(files_, places_.state);
    }
    return wire::fail(
        ErrorCode::kCorrupt,
        "{}. The log is whole, but starts at entry {}, and {}. To restore the node from the "
        "others, {}. Keep that directory until the node is well: if no other node has the data, it "
        "is all that there is",
        why, log_.log.first_index().value(), why_no_snapshot(), wire::kHowToReplace);
  }

  Status check_whole(const SnapshotManifest& snapshot) const {
    BIB_TRY_VOID(verify_snapshot(files_, places_.snapshots, snapshot));
    const std::string name = wire::snapshot_name(snapshot.index, snapshot.term);
    BIB_TRY(const projections::StateMark mark,
            options_.verify_rows(snapshot_state_directory(places_.snapshots, name)));
    return projections::check_against_manifest(mark, snapshot);
  }

  // What cannot be read may be whole all the same, and keeps its name.
  Status give_up(const SnapshotManifest& snapshot, const wire::Error& why) {
    const wire::LogPosition position = snapshot.position();
    const bool is_damaged = why.code == ErrorCode::kCorrupt;
    if (is_damaged) BIB_TRY_VOID(set_snapshot_aside(files_, places_.snapshots, position));
    if (is_damaged) state_.snapshots.set_aside.push_back(position);
    options_.on_news(fmt::format(
        "snapshot {} cannot be used: {}{}", wire::snapshot_name(position.index, position.term),
        why.message,
        is_damaged ? fmt::format("; it is set aside as {}", wire::damaged_snapshot_name(position))
                   : std::string()));
    std::erase_if(state_.snapshots.snapshots,
                  [&](const SnapshotManifest& each) { return each.position() == position; });
    return {};
  }

  std::string why_no_snapshot() const {
    if (state_.snapshots.set_aside.empty()) {
      return fmt::format("{} holds no snapshot to continue from", places_.snapshots);
    }
    std::string names;
    for (const wire::LogPosition position : state_.snapshots.set_aside) {
      names += (names.empty() ? "" : ", ") + wire::damaged_snapshot_name(position);
    }
    return fmt::format("{} holds no snapshot to continue from that is whole ({})",
                       places_.snapshots, names);
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
