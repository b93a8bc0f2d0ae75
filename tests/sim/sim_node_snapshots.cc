// A simulated node's snapshots: what a real node's pool, store thread and log thread do for the
// Snapshots, in simulated time, with crashes between any two of the disk's changes.
#include <algorithm>
#include <utility>

#include "engine/storage/snapshot_files.h"
#include "engine/storage/state_install.h"
#include "projections/apply/checkpoint.h"
#include "sim_node.h"
#include "sim_process.h"
#include "violation.h"

namespace bib::sim {

using wire::ErrorCode;
using wire::LogIndex;
using wire::Status;

namespace {

constexpr std::uint64_t kJobChangesMax = 30;  // a crash in a job comes within so many

}  // namespace

// ---- start

wire::Result<engine::RecoveredState> SimNode::recover_state(engine::LogStore::Recovered& log) {
  const engine::InstallPlaces places(kDataDirectory);
  const auto decided = engine::find_install(disk_, places);
  // The log may be reset now.
  if (decided && *decided) cut_ = LogIndex();
  engine::StateRecoveryOptions options;
  options.data_directory = kDataDirectory;
  options.cluster = world_.cluster;
  options.projector.cache_bytes = world_.plan.row_cache_bytes;
  options.open_store = [this](const std::string& directory) { return state_.open(directory); };
  options.on_news = [this](const std::string& news) { world_.trace.line(name_, "{}", news); };
  BIB_TRY(engine::RecoveredState state, engine::recover_state(disk_, options, log));
  durable_hard_state_ = log.hard_state;
  decided_ = LogIndex();
  check_recovered_state(log, state);
  return state;
}

// The rows are the committed log's, and what the log lacks is in a snapshot that is whole.
void SimNode::check_recovered_state(const engine::LogStore::Recovered& log,
                                    const engine::RecoveredState& state) {
  const projections::StateMark& mark = state.projector->mark();
  world_.oracle.check_rows_at(*this, mark);
  for (const wire::SnapshotManifest& snapshot : state.snapshots) {
    world_.oracle.check_snapshot(*this, snapshot);
  }
  check_cut(log.log.base().index, state.snapshots);
}

void SimNode::check_cut(LogIndex base, const std::vector<wire::SnapshotManifest>& snapshots) {
  if (base == LogIndex()) return;
  for (const wire::SnapshotManifest& snapshot : snapshots) {
    if (snapshot.index < base) continue;
    const std::string root = engine::InstallPlaces(kDataDirectory).snapshots;
    const Status whole = engine::verify_snapshot_files(disk_, root, snapshot);
    if (whole) return;
    if (disk_.crashed()) return;  // in the middle of the start
    violated("snapshot", "{}: {}", name_, whole.error().message);
  }
  violated("snapshot", "{}: the log begins behind entry {}, and no snapshot goes that far", name_,
           base.value());
}

void SimNode::make_snapshots(std::vector<wire::SnapshotManifest> found) {
  const SnapshotPlan& plan = world_.plan.snapshots;
  engine::SnapshotsOptions options;
  options.data_directory = kDataDirectory;
  options.cluster = world_.cluster;
  options.node = id();
  options.threshold = plan.threshold;
  options.interval_ticks = plan.interval_ticks;
  // A node that keeps its log sends entries to whom another one has offered a snapshot.
  options.trailing_logs = plan.some_keep_all && index_ % 2 == 0 ? 100'000 : plan.trailing_logs;
  options.retain_count = plan.retain_count;
  options.retry_ticks = plan.retry_ticks;
  options.sender.silent_ticks = plan.give_up_ticks;
  options.fetcher.chunk_bytes = plan.chunk_bytes;
  options.fetcher.chunks_ahead = plan.chunks_ahead;
  options.fetcher.retry_ticks = plan.repeat_ticks;
  options.fetcher.give_up_ticks = plan.give_up_ticks;
  options.fetcher.still_busy_ticks = plan.repeat_ticks;
  options.fetcher.verify_rows =
      [this](const std::string& directory) -> wire::Result<projections::StateMark> {
    auto mark = state_.verify(directory);
    if (!mark && mark.error().code == ErrorCode::kCorrupt) {
      violated("snapshot", "{} fetched a snapshot that is none: {}", name_, mark.error().message);
    }
    if (mark) world_.oracle.check_rows_at(*this, *mark);
    return mark;
  };
  process_->snapshots = std::make_unique<engine::Snapshots>(std::move(options), std::move(found),
                                                            disk_, *this, *this, *this, *this);
}

// ---- the pool: jobs run at some time, beside each other

void SimNode::run(std::function<void()> work, std::function<void()> done) {
  if (!process_ || is_dying()) return;  // pins that go with the process let snapshots go
  const std::uint32_t number = process_->next_job++;
  process_->jobs.emplace(number, Job{std::move(work), std::move(done)});
  schedule(work_time(world_.plan.snapshots.job_max), kJob, number);
}

// Healthy machines do not take as long as they may.
Time SimNode::work_time(Time most) {
  return 10 + world_.random.below(world_.faults_are_on ? most : kMillisecond);
}

bool SimNode::do_work(const std::function<void()>& work) {
  const bool dies =
      world_.faults_are_on && world_.random.chance_ppm(world_.plan.snapshots.die_in_job_ppm);
  if (dies) disk_.crash_after(world_.random.between(1, kJobChangesMax));
  work();
  if (!dies && !disk_.crashed()) return true;
  world_.trace.line(name_, "dies in a job");
  dying_ = world_.random.below(2) == 0 ? Death::kKilled : Death::kPower;
  return false;
}

void SimNode::step_job(std::uint32_t number) {
  Job& job = process_->jobs.at(number);
  if (!job.has_worked) {
    job.has_worked = true;
    if (!do_work(job.work)) return end_step();
    return schedule(world_.random.between(10, kMillisecond), kJob, number);
  }
  const std::function<void()> done = std::move(job.done);
  process_->jobs.erase(number);
  done();
  input();
}

// What was under way when the process ended: some of it was done, and one thing in part.
void SimNode::work_half() {
  for (const auto& [number, job] : process_->jobs) {
    if (job.has_worked || world_.random.below(3) == 0) continue;
    if (world_.random.below(2) == 0) {
      disk_.crash_after(world_.random.between(1, kJobChangesMax));
      job.work();
      disk_.crash_after(0);
      return;
    }
    job.work();
  }
  if (process_->store_job && !process_->store_job->has_worked && world_.random.below(2) == 0) {
    disk_.crash_after(world_.random.between(1, kJobChangesMax));
    process_->store_job->work();
    disk_.crash_after(0);
    return;
  }
  if (process_->compact_to != LogIndex() && world_.random.below(2) == 0) {
    maybe_cut_to_ = std::max(maybe_cut_to_, process_->compact_to);
    disk_.crash_after(world_.random.between(1, 8));
    (void)process_->log->compact_to(process_->compact_to);
    disk_.crash_after(0);
  }
}

// ---- the store thread

bool SimNode::store_is_busy() const {
  return !process_->storing.empty() || process_->store_job.has_value();
}

void SimNode::run_on_store(std::function<void()> work, std::function<void()> done) {
  process_->store_job = Job{std::move(work), std::move(done)};
  schedule(work_time(world_.plan.snapshots.make_max), kStoreJob);
}

void SimNode::step_store_job() {
  Job& job = *process_->store_job;
  if (!job.has_worked) {
    job.has_worked = true;
    if (!do_work(job.work)) return end_step();
    return schedule(world_.random.between(10, kMillisecond), kStoreJob);
  }
  const std::function<void()> done = std::move(job.done);
  process_->store_job.reset();
  done();
  input();
}

// As Node::checkpoint() and exchange_state().
void SimNode::checkpoint(const std::string& directory,
                         std::function<void(wire::Result<projections::StateMark>)> done) {
  if (is_dying()) return;
  process_->wanted_checkpoint = Process::WantedCheckpoint{directory, std::move(done)};
  turn_soon();
}

void SimNode::exchange_state(std::function<Status()> swap, std::function<void(Status)> done) {
  if (is_dying()) return;
  process_->wanted_exchange = Process::WantedExchange{std::move(swap), std::move(done)};
  process_->exchanging = true;
  turn_soon();
}

// As Node::continue_snapshots().
void SimNode::continue_snapshots() {
  if (is_dying() || store_is_busy()) return;
  if (process_->wanted_checkpoint) begin_checkpoint();
  if (process_->wanted_exchange && !store_is_busy()) begin_exchange();
  const engine::SnapshotPtr newest = process_->snapshots->store().newest();
  if (newest && newest != process_->newest_seen) {
    process_->newest_seen = newest;
    world_.oracle.check_snapshot(*this, *newest);
    world_.oracle.count_snapshot();
  }
}

// As Node::begin_checkpoint().
void SimNode::begin_checkpoint() {
  Process& process = *process_;
  if (process.projector->applied_index() > process.driver->raft().durable_index()) return;
  auto wanted = *std::exchange(process.wanted_checkpoint, std::nullopt);
  auto deltas = process.projector->take_for_store();
  const bool has_deltas = !deltas.empty();
  auto mark = std::make_shared<wire::Result<projections::StateMark>>();
  run_on_store(
      [this, deltas = std::move(deltas), directory = wanted.directory, mark] {
        projections::DurableStore& store = *process_->store;
        if (!deltas.empty()) {
          if (const Status status = projections::store_deltas(deltas, store); !status) {
            *mark = tl::unexpected(status.error());
            return;
          }
        }
        *mark = projections::create_checkpoint(store, directory);
        if (*mark) check_checkpoint(directory, **mark);
      },
      [this, mark, has_deltas, done = std::move(wanted.done)] {
        if (!*mark) return fail_on_disk(mark->error());
        if (has_deltas) process_->projector->written((*mark)->applied_index);
        done(std::move(*mark));
      });
}

// Its rows are those of the place that it claims, no entry by half.
void SimNode::check_checkpoint(const std::string& directory, const projections::StateMark& mark) {
  const auto verified = state_.verify(directory);
  if (!verified) {
    violated("snapshot", "{} makes a snapshot at {}: {}", name_, mark.applied_index.value(),
             verified.error().message);
  }
  if (*verified != mark) {
    violated("snapshot", "{} makes a snapshot at {}, its rows stand at {}", name_,
             mark.applied_index.value(), verified->applied_index.value());
  }
  world_.oracle.check_rows_at(*this, mark);
}

// As Node::begin_exchange().
void SimNode::begin_exchange() {
  auto wanted = *std::exchange(process_->wanted_exchange, std::nullopt);
  auto outcome = std::make_shared<Status>();
  auto opened = std::make_shared<std::unique_ptr<projections::Projector>>();
  run_on_store(
      [this, swap = std::move(wanted.swap), outcome, opened] {
        const auto exchange = [&]() -> Status {
          projections::DurableStore& store = *process_->store;
          store.close();
          const Status swapped = swap();
          note_decided();
          BIB_TRY_VOID(swapped);
          BIB_TRY_VOID(store.reopen());
          BIB_TRY(*opened, projections::Projector::open(
                               store, {.cache_bytes = world_.plan.row_cache_bytes}));
          return {};
        };
        *outcome = exchange();
      },
      [this, outcome, opened, done = std::move(wanted.done)] {
        if (*outcome) {
          world_.oracle.on_installed(*this, process_->projector->mark(), (*opened)->mark());
          process_->projector->replace_with(std::move(*opened));
          process_->exchanging = false;
        }
        done(*outcome);
      });
}

// From the note on, the snapshot stands for what the log lacks (state_install.h).
void SimNode::note_decided() {
  const auto place = engine::find_install(disk_, engine::InstallPlaces(kDataDirectory));
  if (place && *place) decided_ = (*place)->index;
}

// A real node stops then.
void SimNode::fail_on_disk(const wire::Error& error) {
  world_.trace.line(name_, "{}", error.message);
  if (error.code != ErrorCode::kIo) violated("snapshot", "{} stops: {}", name_, error.message);
  if (!is_dying()) dying_ = world_.random.below(2) == 0 ? Death::kKilled : Death::kPower;
}

void SimNode::on_snapshot_failure(const wire::Error& error) {
  fail_on_disk(error);
}

void SimNode::on_snapshot_news(const std::string& text, bool is_problem) {
  world_.trace.line(name_, "{}{}", is_problem ? "trouble: " : "", text);
}

// ---- the log thread

// As LogThread::compact(): between two appends.
void SimNode::compact_log(LogIndex index) {
  if (is_dying()) return;
  const bool is_under_way = process_->compact_to != LogIndex();
  process_->compact_to = index;
  if (!is_under_way) schedule(world_.random.between(50, 5 * kMillisecond), kCompact);
}

void SimNode::compact_now() {
  if (process_->compact_to == LogIndex() || !process_->appending.empty()) return;
  const LogIndex target = std::exchange(process_->compact_to, LogIndex());
  auto retired = process_->log->compact_to(target);
  if (!retired) {
    maybe_cut_to_ = std::max(maybe_cut_to_, target);
    return fail_on_disk(retired.error());
  }
  if (retired->paths.empty()) return;
  const LogIndex base = retired->base.index;
  world_.trace.note(index_, base.value());
  world_.trace.line(name_, "the log is cut: it begins behind {}", base.value());
  world_.oracle.count_cut();
  std::vector<wire::SnapshotManifest> snapshots;
  for (const auto& snapshot : process_->snapshots->store().list()) snapshots.push_back(*snapshot);
  check_cut(base, snapshots);
  auto status = std::make_shared<Status>();
  run([this, retired = *std::move(retired),
       status] { *status = engine::retire_segments(disk_, kLogDirectory, retired); },
      [this, status] {
        if (!*status) fail_on_disk(status->error());
      });
  schedule(world_.random.between(10, kMillisecond), kCompacted,
           static_cast<std::uint32_t>(base.value()));
}

// ---- SnapshotKeeper, SnapshotPort

void SimNode::send_snapshot(wire::NodeId to, LogIndex at_least) {
  if (!is_dying()) process_->snapshots->send_snapshot(to, at_least);
}

void SimNode::receive_snapshot(wire::NodeId from, wire::LogPosition last) {
  if (!is_dying()) process_->snapshots->receive_snapshot(from, last);
}

void SimNode::on_install_durable(wire::LogPosition last) {
  world_.trace.line(name_, "the log stands at the snapshot of {}", last.index.value());
  decided_ = LogIndex();
  if (!is_dying()) process_->snapshots->on_install_durable(last);
}

void SimNode::send(const wire::SnapshotRequest& request) {
  if (is_dying()) return;
  wire::SnapshotRequest out = request;
  out.from = id();
  world_.network.send(index_, out);
}

void SimNode::send(const wire::SnapshotPart& part) {
  if (is_dying()) return;
  wire::SnapshotPart out = part;
  out.from = id();
  world_.network.send(index_, out);
}

void SimNode::on_snapshot_request(wire::SnapshotRequest&& request) {
  if (paused_) {
    Deferred deferred;
    deferred.kind = Deferred::Kind::kSnapshotRequest;
    deferred.request = request;
    deferred_.push_back(std::move(deferred));
    return;
  }
  process_->snapshots->on_request(request);
  input();
}

void SimNode::on_snapshot_part(wire::SnapshotPart&& part) {
  if (paused_) {
    Deferred deferred;
    deferred.kind = Deferred::Kind::kSnapshotPart;
    deferred.part = std::move(part);
    deferred_.push_back(std::move(deferred));
    return;
  }
  process_->snapshots->on_part(std::move(part));
  input();
}

}  // namespace bib::sim
