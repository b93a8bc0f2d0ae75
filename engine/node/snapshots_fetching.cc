// How another node's snapshot is fetched and takes the place of the state.
#include <algorithm>
#include <utility>

#include "engine/node/snapshots.h"
#include "wire/base/mutant.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::LogPosition;
using wire::NodeId;
using wire::Result;
using wire::SnapshotManifest;
using wire::SnapshotRequestKind;
using wire::Status;

// ---- fetching

void Snapshots::receive_snapshot(NodeId from, LogPosition last) {
  if (last.index <= driver_->raft().commit()) return;
  if (installing_ || ending_ || making_) {
    // The state must not be exchanged under a checkpoint, nor twice at a time.
    offer_ = Offer{from, last};
    return;
  }
  if (fetcher_.is_busy()) {
    const wire::LogPosition place = fetcher_.place();
    if (fetcher_.source() == from && place.index == last.index) return;
    if (BIB_MUTANT(kWaitsForOldLeader)) return;
    fetcher_.abandon();  // of an earlier leader, or an earlier snapshot
  }
  // The leader goes on meanwhile, and offers one again soon.
  if (must_wait(from, last)) return tell(from, last, SnapshotRequestKind::kGivenUp);
  // It may be here already: fetched, but the node went down before it was put in place.
  if (const SnapshotPtr here = store_.find(last)) return install(here, from, false);
  if (!fetcher_.begin(from, {last.index, last.term})) {
    offer_ = Offer{from, last};  // what was abandoned is still writing
    return;
  }
  fetching_ = Offer{from, last};
  if (fetch_problem_) return;  // it was said before that it is tried again
  host_.log_snapshot_event(fmt::format("fetching snapshot {} from {}",
                                       wire::snapshot_name(last.index, last.term), to_string(from)),
                           false);
}

void Snapshots::on_fetched(Result<SnapshotManifest> manifest) {
  if (!manifest) return on_fetch_failed(manifest.error(), "fetched");
  const SnapshotPtr fetched = store_.add(*std::move(manifest));
  if (making_) {
    offer_ = fetching_;
    return;
  }
  install(fetched, fetching_.from, true);
}

// A snapshot that its source has lost is not waited for: another one may be there at once.
bool Snapshots::must_wait(NodeId from, LogPosition last) const {
  if (fetch_wait_ == 0) return false;
  const bool may_differ = fetch_problem_ && fetch_problem_->code == ErrorCode::kNotFound;
  return !may_differ || fetch_problem_->offer == Offer{from, last};
}

// A lost connection may be back in a moment. All else is said once, of one snapshot where it is the
// snapshot's fault, and tried again less and less often.
void Snapshots::on_fetch_failed(const wire::Error& error, std::string_view what) {
  ++fetches_failed_;
  const bool may_pass = error.code == ErrorCode::kTimeout;
  const bool is_of_snapshot =
      error.code == ErrorCode::kNotFound || error.code == ErrorCode::kCorrupt;
  const bool is_same = fetch_problem_ && fetch_problem_->code == error.code;
  const bool is_known =
      !may_pass && is_same && (!is_of_snapshot || fetch_problem_->offer == fetching_);
  if (!may_pass) {
    fetch_pause_ = is_same ? std::min(2 * fetch_pause_, options_.fetch_pause_ticks_max)
                           : options_.fetch_pause_ticks_min;
    fetch_wait_ = fetch_pause_;
    fetch_problem_ = FetchProblem{error.code, fetching_};
  }
  if (is_known) return;
  const bool is_told = error.code == ErrorCode::kCorrupt;
  host_.log_snapshot_event(
      fmt::format("the snapshot could not be {}: {}{}", what, error.message,
                  is_told ? fmt::format(". Node {}, which sent it, is told; it is tried again",
                                        to_string(fetching_.from))
                          : std::string()),
      true);
}

void Snapshots::tell(NodeId to, LogPosition place, SnapshotRequestKind kind) {
  wire::SnapshotRequest sign;
  sign.to = to;
  sign.index = place.index;
  sign.term = place.term;
  sign.kind = kind;
  port_.send(sign);
}

// ---- installing (the steps of state_install.h)

void Snapshots::install(const SnapshotPtr& snapshot, NodeId source, bool is_checked) {
  if (!driver_->begin_install(snapshot->position())) {
    return tell(source, snapshot->position(),
                SnapshotRequestKind::kInstalled);  // not needed any more
  }
  installing_ = true;
  installing_pin_ = store_.pin(snapshot);
  run(
      [&files = files_, places = places_, snapshot, is_checked]() -> Status {
        if (!is_checked) BIB_TRY_VOID(verify_snapshot(files, places.snapshots, *snapshot));
        return prepare_install(files, places, *snapshot);
      },
      [this, snapshot, source](const Status& prepared) {
        if (!prepared) return on_prepare_failed(snapshot, source, prepared.error());
        host_.exchange_state(
            [&files = files_, places = places_, snapshot]() -> Status {
              if (!BIB_MUTANT(kInstallsUndecided)) {
                BIB_TRY_VOID(decide_install(files, places, *snapshot));
              }
              return swap_state(files, places);
            },
            [this, snapshot, source](const Status& swapped) {
              if (!swapped) return host_.on_snapshot_failure(swapped.error());
              installing_ = false;
              ending_ = true;
              ticks_since_made_ = 0;
              sealed_.clear();  // they were of the state that has gone
              fetch_problem_.reset();
              driver_->finish_install(snapshot->position(),
                                      {snapshot->membership_index, snapshot->membership});
              host_.log_snapshot_event(fmt::format("snapshot {} of {} is in place",
                                                   name_of(*snapshot), to_string(source)),
                                       false);
              tell(source, snapshot->position(), SnapshotRequestKind::kInstalled);
            });
      });
}

// Nothing was decided: the node stays as it is. What was here from before and is damaged is fetched
// anew.
void Snapshots::on_prepare_failed(const SnapshotPtr& snapshot, NodeId source,
                                  const wire::Error& error) {
  installing_ = false;
  installing_pin_ = {};
  driver_->cancel_install();
  fetching_ = Offer{source, snapshot->position()};
  const auto give_up = [this, source, position = snapshot->position()] {
    tell(source, position, SnapshotRequestKind::kGivenUp);
  };
  if (error.code != ErrorCode::kCorrupt) {
    on_fetch_failed(error, "put in place");
    return give_up();
  }
  host_.log_snapshot_event(fmt::format("{}. It is set aside, and fetched again from {}",
                                       error.message, to_string(source)),
                           true);
  store_.set_aside(snapshot, lifetime_.guarded([give_up](Snapshots&, const Status& renamed) {
    // A name that is still taken is found when it is fetched again.
    static_cast<void>(renamed);
    give_up();
  }));
}

void Snapshots::on_install_durable(LogPosition) {
  run([&files = files_, places = places_] { return end_install(files, places); },
      [this](const Status& status) {
        if (!status) return host_.on_snapshot_failure(status.error());
        ending_ = false;
        installing_pin_ = {};
      });
}

}  // namespace bib::engine
