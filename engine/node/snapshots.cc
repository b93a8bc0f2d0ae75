#include "engine/node/snapshots.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/ports/clock.h"
#include "projections/apply/checkpoint.h"
#include "wire/base/check.h"
#include "wire/base/mutant.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::LogIndex;
using wire::LogPosition;
using wire::NodeId;
using wire::Result;
using wire::SnapshotManifest;
using wire::SnapshotRequestKind;
using wire::Status;

namespace {

constexpr std::uint64_t kPauseFactor = 4;
constexpr std::uint64_t kBytesWithoutPause = 4;  // times bytes_max
constexpr unsigned kFailuresTold = 2;            // one may be a connection that was lost

SnapshotFetcherOptions fetcher_options(const SnapshotsOptions& options,
                                       const InstallPlaces& places) {
  SnapshotFetcherOptions fetcher = options.fetcher;
  fetcher.root = places.snapshots;
  fetcher.cluster = options.cluster;
  return fetcher;
}

}  // namespace

Snapshots::Snapshots(SnapshotsOptions options, std::vector<SnapshotManifest> found,
                     FileSystem& files, Executor& executor, SnapshotPort& port, SnapshotHost& host,
                     Clock& clock)
    : options_(std::move(options)),
      places_(options_.data_directory),
      files_(files),
      executor_(executor),
      port_(port),
      host_(host),
      clock_(clock),
      store_(files, executor, places_.snapshots, std::move(found), options_.retain_count,
             [this](const wire::Error& error) { host_.log_snapshot_event(error.message, true); }),
      sender_(options_.sender, store_, executor, port,
              [this](NodeId to, bool ok) { on_sent(to, ok); }),
      fetcher_(fetcher_options(options_, places_), files, executor, port,
               [this](Result<SnapshotManifest> manifest) { on_fetched(std::move(manifest)); }) {}

Snapshots::~Snapshots() = default;

void Snapshots::run(std::function<Status()> work, std::function<void(Status)> done) {
  auto outcome = std::make_shared<Status>();
  executor_.run(
      [work = std::move(work), outcome] { *outcome = work(); },
      lifetime_.guarded([outcome, done = std::move(done)](Snapshots&) { done(*outcome); }));
}

// ---- time

void Snapshots::on_tick() {
  sender_.on_tick();
  sender_.end_if([this](NodeId peer, const SnapshotManifest&) { return !is_member(peer); });
  fetcher_.on_tick();
  if (const auto offer = std::exchange(offer_, std::nullopt)) {
    receive_snapshot(offer->from, offer->last);
  }
  ++ticks_since_made_;
  if (making_) ++ticks_making_;
  if (retry_in_ticks_ > 0) --retry_in_ticks_;
  if (fetch_wait_ > 0) --fetch_wait_;
  make_if_due();
  cut_log();
}

void Snapshots::make_if_due() {
  if (making_ || installing_ || retry_in_ticks_ > 0 || withheld_) return;
  if (is_due()) begin_making();
}

bool Snapshots::is_due() const {
  const consensus::Raft& raft = driver_->raft();
  const LogIndex applied = raft.applied();
  const SnapshotPtr newest = store_.newest();
  const LogIndex last = newest ? newest->index : LogIndex();
  if (applied <= last) return false;
  if (!unanswered_.empty() || ticks_since_made_ >= options_.interval_ticks) return true;
  const std::uint64_t bytes = raft.log().bytes_in(std::max(last, raft.log().base().index), applied);
  // Making one reads all of the state: it does not go on without a pause, unless the log outgrows
  // it.
  const bool has_paused = ticks_since_made_ >= kPauseFactor * ticks_making_;
  if (bytes >= options_.bytes_max) {
    return has_paused || bytes / kBytesWithoutPause >= options_.bytes_max;
  }
  return applied - last >= options_.threshold && bytes >= options_.bytes_min && has_paused;
}

// ---- making

void Snapshots::make(Made done) {
  const SnapshotPtr newest = store_.newest();
  const LogIndex applied = driver_->raft().applied();
  if (withheld_) return done(tl::unexpected(*withheld_));
  if (!making_ && newest && newest->index >= applied) return done(newest);
  if (applied == LogIndex()) {
    return done(wire::fail(ErrorCode::kRefused,
                           "nothing is applied here yet, so there is nothing to make a snapshot "
                           "of"));
  }
  if (installing_) {
    return done(wire::fail(ErrorCode::kOverloaded,
                           "this node is putting a snapshot of another one in place; try again in "
                           "a moment"));
  }
  waiting_.push_back(std::move(done));
  if (!making_) begin_making();
}

void Snapshots::begin_making() {
  making_ = true;
  ticks_making_ = 0;
  run(
      [&files = files_, root = places_.snapshots]() -> Status {
        BIB_TRY_VOID(files.make_directories(root));
        return begin_partial_snapshot(files, root, kMakingName);
      },
      [this](const Status& status) {
        if (!status) return finish_making(tl::unexpected(status.error()));
        if (installing_) {
          return finish_making(
              wire::fail(ErrorCode::kOverloaded, "the state is being exchanged for a newer one"));
        }
        host_.checkpoint(
            snapshot_state_directory(places_.snapshots, kMakingName),
            [this](Result<projections::StateMark> mark) { on_checkpoint(std::move(mark)); });
      });
}

void Snapshots::on_checkpoint(Result<projections::StateMark> mark) {
  if (!mark) return finish_making(tl::unexpected(mark.error()));
  if (withheld_) return finish_making(tl::unexpected(*withheld_));
  // The log still holds that place: it is cut after snapshots only, and this one is the newest.
  const consensus::MembershipAt* membership = driver_->raft().membership_at(mark->applied_index);
  if (membership == nullptr || mark->applied_index == LogIndex()) {
    return finish_making(wire::fail(ErrorCode::kRefused,
                                    "the log does not say who was a member at entry {}",
                                    mark->applied_index.value()));
  }
  being_made_ = {.cluster = options_.cluster,
                 .node = options_.node,
                 .index = mark->applied_index,
                 .term = mark->applied_term,
                 .created_us = clock_.now_us(),
                 .membership_index = membership->index,
                 .membership = membership->membership,
                 .projections = projections::snapshot_projections(*mark),
                 .files = {}};
  if (store_.find(being_made_.position())) return finish_making(store_.newest());
  auto sealed = std::make_shared<Result<SnapshotManifest>>();
  run(
      [&files = files_, root = places_.snapshots, manifest = being_made_, sealed]() -> Status {
        *sealed = seal_snapshot(files, root, kMakingName, manifest);
        return {};
      },
      [this, sealed](const Status&) { on_sealed(std::move(*sealed)); });
}

void Snapshots::on_sealed(Result<SnapshotManifest> manifest) {
  if (!manifest) return finish_making(tl::unexpected(manifest.error()));
  const SnapshotPtr made = store_.add(*std::move(manifest));
  host_.log_snapshot_event(fmt::format("made snapshot {} of {} bytes in {} files", name_of(*made),
                                       made->bytes(), made->files.size()),
                           false);
  finish_making(made);
}

void Snapshots::finish_making(Result<SnapshotPtr> result) {
  making_ = false;
  if (result) {
    ticks_since_made_ = 0;
  } else {
    retry_in_ticks_ = options_.retry_ticks;
    host_.log_snapshot_event(fmt::format("no snapshot could be made: {}", result.error().message),
                             true);
  }
  const auto waiting = std::exchange(waiting_, {});
  for (const Made& done : waiting) done(result);
  const auto unanswered = std::exchange(unanswered_, {});
  for (const consensus::SendSnapshot& wanted : unanswered) {
    if (result && (*result)->index >= wanted.at_least) {
      offer(wanted.to, *result);
    } else {
      driver_->snapshot_sent(wanted.to, false);
    }
  }
  cut_log();
}

// ---- the log

void Snapshots::cut_log() {
  if (installing_ || ending_) return;
  LogIndex target = cut_target();
  end_transfers_that_hold_back(target);
  if (const auto sending = sender_.lowest_under_way()) target = std::min(target, *sending);
  if (target <= cut_asked_ || target <= driver_->raft().log().base().index) return;
  cut_asked_ = target;
  host_.compact_log(target);
}

// As if nothing were being sent; 0: nowhere.
LogIndex Snapshots::cut_target() const {
  const consensus::Raft& raft = driver_->raft();
  // One that is ahead of the log (fetched, and not put in place) does not replace any of it: the
  // log would not go on from there.
  SnapshotPtr newest;
  for (const SnapshotPtr& snapshot : store_.list()) {
    if (snapshot->index <= raft.applied()) newest = snapshot;
  }
  if (!newest) return {};
  const std::uint64_t last = raft.last_index().value();
  const LogIndex by_count(last > options_.trailing_logs ? last - options_.trailing_logs : 0);
  const LogIndex by_bytes = raft.log().last_bytes_after(options_.trailing_bytes);
  const LogIndex end = BIB_MUTANT(kCutsAboveSnapshot) ? raft.applied() : newest->index;
  return std::min({std::max(by_count, by_bytes), end, raft.applied(), raft.durable_index()});
}

void Snapshots::end_transfers_that_hold_back(LogIndex target) {
  const consensus::LogView& log = driver_->raft().log();
  sender_.end_if([&](NodeId, const SnapshotManifest& snapshot) {
    const LogIndex from = std::max(snapshot.index, log.base().index);
    if (from >= target) return false;
    return log.bytes_in(from, target) > std::max(options_.held_bytes_max, snapshot.bytes());
  });
}

// ---- sending

void Snapshots::send_snapshot(NodeId to, LogIndex at_least) {
  const SnapshotPtr newest = store_.newest();
  if (newest && newest->index >= at_least) return offer(to, newest);
  if (withheld_) return driver_->snapshot_sent(to, false);
  std::erase_if(unanswered_, [&](const auto& wanted) { return wanted.to == to; });
  unanswered_.push_back({to, at_least});
  if (!making_ && !installing_) begin_making();
}

bool Snapshots::is_member(NodeId peer) const {
  return driver_->raft().membership().find(peer) != nullptr;
}

void Snapshots::on_request(const wire::SnapshotRequest& request) {
  if (is_member(request.from)) return sender_.on_request(request);
  const bool wants_answer =
      request.kind == SnapshotRequestKind::kManifest || request.kind == SnapshotRequestKind::kChunk;
  if (wants_answer) sender_.refuse_stranger(request);
}

void Snapshots::offer(NodeId to, const SnapshotPtr& snapshot) {
  sender_.offered(to, snapshot);
  driver_->offer_snapshot(to, snapshot->position());
}

void Snapshots::on_peer_disconnected(NodeId peer) {
  sender_.on_peer_disconnected(peer);
  fetcher_.on_peer_disconnected(peer);
}

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
  if (fetch_wait_ > 0) return tell(from, last, SnapshotRequestKind::kGivenUp);
  // It may be here already: fetched, but the node went down before it was put in place.
  if (const SnapshotPtr here = store_.find(last)) return install(here, from);
  if (!fetcher_.begin(from, {last.index, last.term})) {
    offer_ = Offer{from, last};  // what was abandoned is still writing
    return;
  }
  fetch_source_ = from;
  if (fetch_problem_) return;  // it was said before that it is tried again
  host_.log_snapshot_event(fmt::format("fetching snapshot {} from {}",
                                       wire::snapshot_name(last.index, last.term), to_string(from)),
                           false);
}

void Snapshots::on_fetched(Result<SnapshotManifest> manifest) {
  if (!manifest) return on_fetch_failed(manifest.error(), "fetched");
  const SnapshotPtr fetched = store_.add(*std::move(manifest));
  if (making_) {
    offer_ = Offer{fetch_source_, fetched->position()};
    return;
  }
  install(fetched, fetch_source_);
}

// What the other side, or the network, is to blame for may be better in a moment. What this side is
// to blame for is said once, and tried again less and less often.
void Snapshots::on_fetch_failed(const wire::Error& error, std::string_view what) {
  ++fetches_failed_;
  const bool is_ours = error.code != ErrorCode::kTimeout && error.code != ErrorCode::kNotFound;
  const bool is_known = is_ours && fetch_problem_ == error.code;
  if (is_ours) {
    fetch_pause_ = is_known ? std::min(2 * fetch_pause_, options_.fetch_pause_ticks_max)
                            : options_.fetch_pause_ticks_min;
    fetch_wait_ = fetch_pause_;
    fetch_problem_ = error.code;
  }
  if (is_known) return;
  host_.log_snapshot_event(fmt::format("the snapshot could not be {}: {}", what, error.message),
                           true);
}

bool Snapshots::fails_to_fetch(NodeId peer) const {
  const auto failed = failed_to_send_.find(peer);
  return failed != failed_to_send_.end() && failed->second >= kFailuresTold;
}

void Snapshots::on_sent(NodeId to, bool ok) {
  if (ok || !is_member(to)) {
    failed_to_send_.erase(to);
  } else {
    ++failed_to_send_[to];
  }
  driver_->snapshot_sent(to, ok);
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

void Snapshots::install(const SnapshotPtr& snapshot, NodeId source) {
  if (!driver_->begin_install(snapshot->position())) {
    return tell(source, snapshot->position(),
                SnapshotRequestKind::kInstalled);  // not needed any more
  }
  installing_ = true;
  installing_pin_ = store_.pin(snapshot);
  run([&files = files_, places = places_,
       snapshot] { return prepare_install(files, places, *snapshot); },
      [this, snapshot, source](const Status& prepared) {
        if (!prepared) {
          // Nothing was decided: the node stays as it is.
          installing_ = false;
          installing_pin_ = {};
          driver_->cancel_install();
          on_fetch_failed(prepared.error(), "put in place");
          return tell(source, snapshot->position(), SnapshotRequestKind::kGivenUp);
        }
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

void Snapshots::on_install_durable(LogPosition) {
  run([&files = files_, places = places_] { return end_install(files, places); },
      [this](const Status& status) {
        if (!status) return host_.on_snapshot_failure(status.error());
        ending_ = false;
        installing_pin_ = {};
      });
}

}  // namespace bib::engine
