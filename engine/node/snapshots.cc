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

Snapshots::Snapshots(SnapshotsOptions options, FoundSnapshots found, FileSystem& files,
                     Executor& executor, SnapshotPort& port, SnapshotHost& host, Clock& clock)
    : options_(std::move(options)),
      places_(options_.data_directory),
      files_(files),
      executor_(executor),
      port_(port),
      host_(host),
      clock_(clock),
      store_(files, executor, places_.snapshots, std::move(found), options_.retain_count,
             [this](const wire::Error& error) { host_.log_snapshot_event(error.message, true); }),
      sender_(
          options_.sender, store_, executor, port, [this](NodeId to, bool ok) { on_sent(to, ok); },
          [this](const SnapshotPtr& snapshot, const SnapshotDoubt& doubt) {
            on_doubt(snapshot, doubt);
          }),
      fetcher_(fetcher_options(options_, places_), files, executor, port,
               [this](Result<SnapshotManifest> manifest) { on_fetched(std::move(manifest)); }),
      audit_(
          {options_.audit_pause_ticks, fetcher_options(options_, places_).verifier()}, store_,
          executor,
          [this](const SnapshotPtr& snapshot, bool is_whole) { on_looked(snapshot, is_whole); },
          [this](const std::string& news) { host_.log_snapshot_event(news, true); }) {}

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
  audit_.on_tick();
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
  if (ticks_since_made_ >= options_.interval_ticks || replaces_damaged_) return true;
  if (!unanswered_.empty() && !audit_.is_looking_at(newest)) return true;
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
      [&files = files_, root = places_.snapshots, manifest = being_made_,
       checks = SealChecks{places_.state, sealed_, options_.verify_table}, sealed]() -> Status {
        *sealed = seal_snapshot(files, root, kMakingName, manifest, checks);
        return {};
      },
      [this, sealed](const Status&) { on_sealed(std::move(*sealed)); });
}

void Snapshots::on_sealed(Result<SnapshotManifest> manifest) {
  if (!manifest) {
    const wire::Error error = manifest.error();
    finish_making(tl::unexpected(error));
    if (error.code != ErrorCode::kCorrupt) return;
    return host_.on_state_damage(
        {error.code, fmt::format("The rows in {} are damaged, as a snapshot of them shows: {}",
                                 places_.state, error.message)});
  }
  sealed_.clear();
  for (const wire::SnapshotFile& file : manifest->files) {
    if (is_rows_file(file.name)) sealed_.push_back(file);
  }
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
    replaces_damaged_ = false;
  } else {
    retry_in_ticks_ = options_.retry_ticks;
    host_.log_snapshot_event(fmt::format("no snapshot could be made: {}", result.error().message),
                             true);
  }
  const auto waiting = std::exchange(waiting_, {});
  for (const Made& done : waiting) done(result);
  answer_waiting_peers(result ? *result : nullptr);
  cut_log();
}

void Snapshots::answer_waiting_peers(const SnapshotPtr& newest) {
  const auto unanswered = std::exchange(unanswered_, {});
  for (const consensus::SendSnapshot& wanted : unanswered) {
    if (newest && newest->index >= wanted.at_least) {
      offer(wanted.to, newest);
    } else {
      driver_->snapshot_sent(wanted.to, false);
    }
  }
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
  const bool is_doubted = audit_.is_looking_at(newest);
  if (newest && newest->index >= at_least && !is_doubted) return offer(to, newest);
  if (withheld_) return driver_->snapshot_sent(to, false);
  std::erase_if(unanswered_, [&](const auto& wanted) { return wanted.to == to; });
  unanswered_.push_back({to, at_least});
  if (!making_ && !installing_ && !is_doubted) begin_making();
}

// Whoever tells of damage in the snapshot that is being put in place is told by its installation.
void Snapshots::on_doubt(const SnapshotPtr& snapshot, const SnapshotDoubt& doubt) {
  if (!installing_ && !ending_) audit_.doubt(snapshot, doubt);
}

void Snapshots::on_looked(const SnapshotPtr& snapshot, bool is_whole) {
  if (!is_whole) {
    sender_.end_if([&](NodeId, const SnapshotManifest& sent) { return &sent == snapshot.get(); });
    replaces_damaged_ = true;
  }
  if (making_) return;  // what is being made answers those who wait
  if (is_whole) return answer_waiting_peers(store_.newest());
  if (withheld_) return answer_waiting_peers(nullptr);
  make_if_due();
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

}  // namespace bib::engine
