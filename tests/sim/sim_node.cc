#include "sim_node.h"

#include <algorithm>
#include <utility>

#include "engine/storage/state_install.h"
#include "projections/apply/replay.h"
#include "violation.h"
#include "wire/base/check.h"

namespace bib::sim {

using wire::ErrorCode;
using wire::LogIndex;

namespace {

constexpr std::int64_t kEpochUs = 1'700'000'000'000'000;
constexpr std::uint64_t kStoreChangesMax = 10;

}  // namespace

SimProcess::SimProcess(SimNode& machine, wire::NodeConfig the_config)
    : config(std::move(the_config)),
      entropy(machine.world().random),
      logger(machine, machine.world().trace.is_printed()),
      turns(machine, machine),
      startup({machine.files(), machine, entropy, logger}, config),
      pool(machine),
      peers(machine, machine.world().plan.voters + machine.world().plan.spares),
      sessions(machine) {}

SimNode::SimNode(World& world, NodeIndex index)
    : world_(world),
      index_(index),
      name_(fmt::format("n{}", index + 1)),
      disk_(world.plan.disk.write_unit),
      files_(disk_, [this](unsigned) { return wait_for_descriptor(); }),
      state_(files_, world.plan.on_rocksdb),
      log_id_(world.random.next() | 1) {}

SimNode::~SimNode() {
  disk_.crash_after(0);  // nothing is tidied up
  process_.reset();      // while what its last words ask for is still there
}

const consensus::Raft* SimNode::raft() const {
  return is_running() ? &process_->node->raft() : nullptr;
}

const projections::StateMark* SimNode::mark() const {
  return is_running() ? &process_->node->parts().projector->mark() : nullptr;
}

wire::Status SimNode::check_rows() const {
  const projections::Projector& projector = *process_->node->parts().projector;
  BIB_TRY(const projections::QueryView view, process_->node->parts().projector->view());
  BIB_TRY(const projections::DigestSet digests, projections::compute_digests(view.state()));
  if (digests == projector.mark().digests) return {};
  return wire::fail(ErrorCode::kCorrupt, "the digests are not those of the rows");
}

// ---- clocks

std::int64_t SimNode::now_us() const {
  return kEpochUs + static_cast<std::int64_t>(world_.queue.now()) + clock_offset_us_;
}

std::uint64_t SimNode::monotonic_us() const {
  return steady_us_ + (world_.queue.now() - tick_set_at_) * kTickTime / tick_;
}

void SimNode::set_tick(Time tick) {
  steady_us_ = monotonic_us();
  tick_set_at_ = world_.queue.now();
  tick_ = tick;
}

bool SimNode::rows_differ() const {
  return is_running() && process_->node->parts().rows->differs();
}

bool SimNode::disk_is_stalled() const {
  return is_running() && process_->node->disk_is_stalled();
}

void SimNode::stall_disk(Time duration) {
  disk_stalls_until_ = world_.queue.now() + duration;
  if (process_ && process_->log) process_->log->stall(disk_stalls_until_);
}

// ---- what happens to the process

void SimNode::start_later(Time delay) {
  world_.queue.after(delay, *this, kStart, static_cast<std::uint64_t>(boot_) << 32);
}

void SimNode::after(Time delay, std::function<void()> what) {
  std::uint32_t slot = 0;
  if (free_calls_.empty()) {
    slot = static_cast<std::uint32_t>(calls_.size());
    calls_.push_back(std::move(what));
  } else {
    slot = free_calls_.back();
    free_calls_.pop_back();
    calls_[slot] = std::move(what);
  }
  world_.queue.after(delay, *this, kCall, static_cast<std::uint64_t>(boot_) << 32 | slot);
}

void SimNode::on_event(std::uint32_t code, std::uint64_t argument) {
  const bool is_of_this_run = argument >> 32 == boot_;
  if (code == kStart) {
    if (is_of_this_run) start();
    return;
  }
  const auto slot = static_cast<std::uint32_t>(argument);
  std::function<void()> what = std::exchange(calls_[slot], nullptr);
  free_calls_.push_back(slot);
  if (is_of_this_run && process_) happen(std::move(what));
}

void SimNode::happen(std::function<void()> what) {
  if (paused_) {
    deferred_.push_back(std::move(what));
    return;
  }
  what();
  if (std::exchange(turn_is_due_, false)) return turn();
  input();
}

void SimNode::every(Time period, void (SimNode::*what)()) {
  after(period, [this, period, what] {
    every(period, what);
    (this->*what)();
  });
}

void SimNode::input() {
  if (collects_) return;
  if (is_dying() || !is_running() || !world_.plan.coalesces) return turn();
  turn_soon();
}

void SimNode::turn_soon() {
  if (turn_is_scheduled_ || !process_) return;
  turn_is_scheduled_ = true;
  const Time delay = world_.plan.coalesces ? world_.random.below(400) : 50;
  after(delay, [this] {
    turn_is_scheduled_ = false;
    turn_is_due_ = true;
  });
}

void SimNode::turn() {
  if (!is_dying() && is_running() && !process_->stopped) {
    process_->node->on_turn();
    if (!is_dying() && is_running()) look_at_snapshots();
  }
  end_step();
}

void SimNode::end_step() {
  // Also where the node could have lived with the error: its machine is gone.
  if (process_ && disk_.crashed()) die_after_step(Death::kPower);
  if (is_dying()) {
    return die(dying_, world_.random.between(5 * kMillisecond, 2 * kSecond));
  }
  if (process_ && process_->stopped) {
    const Time restart = restart_after_stop_ != 0
                             ? restart_after_stop_
                             : world_.random.between(5 * kMillisecond, 2 * kSecond);
    if (is_running()) world_.oracle.after_step(*this);  // what it committed in its last step
    return die(Death::kKilled, restart);
  }
  world_.oracle.after_step(*this);
}

void SimNode::look_at_snapshots() {
  for (const wire::LogPosition one : process_->node->parts().snapshots->store().set_aside()) {
    if (is_damaged(one)) continue;
    violated("snapshot", "{} sets its snapshot at {} aside, which is whole", name_,
             one.index.value());
  }
  const engine::SnapshotPtr newest = process_->node->parts().snapshots->store().newest();
  if (!newest || newest == process_->newest_seen) return;
  process_->newest_seen = newest;
  world_.oracle.check_snapshot(*this, *newest);
  world_.oracle.count_snapshot();
}

void SimNode::tick() {
  // As often as its clock says.
  after(tick_, [this] { tick(); });
  if (!is_running()) return;
  process_->node->look_at_disk();
  process_->node->on_tick();
  if (!is_dying() && !process_->stopped) world_.oracle.on_tick(*this);
}

void SimNode::housekeeping() {
  if (!is_running()) return;
  const engine::NodeParts& parts = process_->node->parts();
  if (const auto age = parts.driver->age_us()) {
    world_.oracle.on_age(*this, world_.queue.now(), *age, parts.projector->applied_index());
  }
  process_->node->on_housekeeping();
  if (world_.plan.work.sessions_max != 0) check_sessions();
}

// Clients that are known go on: each keeps what it has not acknowledged, and some steps of the
// floor.
void SimNode::check_sessions() const {
  const std::uint64_t limit = process_->config.limits.sessions_max;
  const std::uint64_t bound = limit + 20 * (world_.plan.work.clients + 1);
  for (const wire::ProjectionStatus& one : process_->node->parts().projector->status()) {
    if (one.name != "sessions" || one.rows <= bound) continue;
    violated("bound", "{} keeps {} records of requests, limits.sessions_max is {}", name_, one.rows,
             limit);
  }
}

// ---- the end

void SimNode::stop(Time restart_after) {
  if (!is_running() || paused_ || process_->stopped) return;
  world_.trace.line(name_, "is asked to stop (SIGTERM)");
  restart_after_stop_ = restart_after;
  process_->node->stop();
  input();
}

// Where the disk is whole, a node has no reason to end by itself.
void SimNode::on_stopped(const wire::Status& status) {
  if (is_dying()) return;
  process_->stopped = status;
  world_.trace.line(name_, "has ended: {}", status ? "as asked" : status.error().message);
  if (status || disk_.crashed()) return;
  if (status.error().code == ErrorCode::kIo && damage_.had_faults) return;
  if (status.error().code == ErrorCode::kCorrupt && damage_.of_rows) return;
  // At the word of its leader, which lies.
  if (status.error().code == ErrorCode::kConflict && world_.plan.network.lie_ppm != 0) return;
  violated("stopped", "{} ends by itself: {}", name_, status.error().message);
}

void SimNode::die(Death death, std::optional<Time> restart_after) {
  if (!process_) return;
  if (is_dying() && is_running()) world_.oracle.on_death_in_turn(*this);
  dying_ = Death::kNone;
  restart_after_stop_ = 0;
  world_.trace.note(index_, static_cast<int>(death));
  world_.trace.line(name_, "dies: {}", death == Death::kPower ? "power" : "killed");
  if (!process_->stopped && process_->log) {
    if (world_.random.below(2) == 0) process_->pool.end_halfway();
    process_->log->end_halfway();
    process_->store_thread->end_halfway();
    if (process_->store->is_open() && world_.random.below(2) == 0) {
      if (world_.random.below(2) == 0) {
        disk_.crash_after(world_.random.between(1, kStoreChangesMax));
      }
      state_.flush_part(*process_->store, world_.random);
    }
  }
  disk_.crash_after(0);  // nothing is tidied up
  const bool was_running = is_running();
  process_.reset();
  if (death == Death::kPower) disk_.lose_power(world_.random);
  paused_ = false;
  turn_is_scheduled_ = turn_is_due_ = false;
  deferred_.clear();
  if (was_running) {
    world_.network.stopped(index_, death == Death::kKilled);
    world_.clients.on_node_gone(index_);
  }
  if (restart_after) start_later(*restart_after);
}

void SimNode::maybe_die_here(std::uint32_t ppm) {
  if (ppm == 0 || is_dying() || !world_.faults_are_on || !world_.random.chance_ppm(ppm)) return;
  dying_ = some_death();
  world_.trace.line(name_, "dies in the middle of a turn");
}

void SimNode::pause() {
  if (!process_ || paused_) return;
  world_.trace.line(name_, "stops (SIGSTOP)");
  paused_ = true;
}

void SimNode::resume() {
  if (!process_ || !paused_) return;
  world_.trace.line(name_, "continues (SIGCONT)");
  paused_ = false;
  std::vector<std::function<void()>> deferred = std::move(deferred_);
  deferred_.clear();
  // Which socket is read first is chance.
  if (deferred.size() > 1 && world_.random.below(2) == 0) {
    std::rotate(
        deferred.begin(),
        deferred.begin() + static_cast<std::ptrdiff_t>(world_.random.below(deferred.size())),
        deferred.end());
  }
  collects_ = true;
  for (const std::function<void()>& one : deferred) {
    if (process_ && !is_dying() && !process_->stopped) one();
  }
  collects_ = false;
  if (process_) turn();
}

void SimNode::heal() {
  limit_space(std::nullopt);
  disk_.heal();
  disk_.refuse_opening(false);
  set_tick(kTickTime);
  disk_stalls_until_ = 0;
  if (process_) {
    if (process_->log) process_->log->stall(0);
    // Requests are repeated as long as it takes; but new clients need room.
    if (world_.plan.work.sessions_max == 0) process_->pace.expiry_ms = UINT64_MAX / 2;
  }
  resume();
}

// ---- requests

void SimNode::on_request(engine::Asker asker, wire::FrameKind kind,
                         std::vector<std::uint8_t> body) {
  if (!is_running()) return world_.clients.on_node_gone(index_);
  happen([this, asker, kind, body = std::move(body)] {
    if (is_running() && !process_->stopped) process_->sessions.on_request(asker, kind, body);
  });
}

void SimNode::on_hang_up(engine::SessionId session) {
  if (!is_running()) return;
  happen([this, session] {
    if (is_running()) process_->sessions.end(session);
  });
}

void SimNode::on_join_request(const wire::JoinRequest& request,
                              std::function<void(const wire::JoinReply&)> reply) {
  if (!is_running()) return;
  happen([this, request, reply = std::move(reply)] {
    if (!is_running()) return;
    process_->node->peers().on_join_request(
        request, [this, boot = boot_, reply](const wire::JoinReply& one) {
          if (boot == boot_ && !is_dying()) reply(one);
        });
  });
}

wire::Status SimNode::change_membership(std::span<const consensus::MembershipChange> changes) {
  const engine::NodeParts& parts = process_->node->parts();
  parts.commands->propose_open_batch();
  const wire::Status status = parts.driver->change_membership(changes);
  if (status) world_.oracle.on_change_asked(*this, raft()->last_index());
  input();
  return status;
}

// ---- what the oracle hears

void SimNode::before_message(const wire::PeerMessage& message) {
  if (is_dying()) return;
  message_was_taken_ = true;
  world_.oracle.before_message(*this, message);
}

void SimNode::before_suspicion(wire::NodeId peer) {
  if (!is_dying()) world_.oracle.before_suspicion(*this, peer);
}

void SimNode::on_written(const consensus::LogWrite& write,
                         const std::vector<wire::Bytes>& entries) {
  if (is_dying()) return;
  world_.oracle.on_written(*this, write, entries);
  if (write.reset_to) world_.oracle.on_log_reset(*this, *write.reset_to);
}

void SimNode::on_applied(const wire::Bytes& entry, const projections::StateMark& mark) {
  maybe_die_here(world_.plan.faults.die_in_turn_ppm);
  if (is_dying()) return;
  world_.oracle.on_applied(*this, entry, mark);
  check_unwritten();
}

// One entry may go beyond the limit, and another one after the store has taken something.
void SimNode::check_unwritten() {
  const std::size_t unwritten = process_->node->parts().projector->sizes().unwritten_bytes();
  const std::uint64_t limit = process_->config.limits.unwritten_bytes;
  const bool is_more = unwritten > limit && unwritten >= process_->unwritten;
  process_->over_limit = is_more ? process_->over_limit + 1 : 0;
  process_->unwritten = unwritten;
  if (process_->over_limit < 4) return;
  violated("bound", "{} has {} bytes of rows that are not stored, limits.unwritten_bytes is {}",
           name_, unwritten, limit);
}

void SimNode::on_role(const consensus::RoleChange& change) {
  if (is_dying()) return;
  world_.trace.note(index_, static_cast<int>(change.role), change.term.value(),
                    change.leader.value());
  if (change.role == consensus::Role::kLeader) {
    maybe_die_here(world_.plan.faults.die_on_change_ppm);
  }
}

void SimNode::on_membership(const wire::Membership&) {
  if (!is_dying()) maybe_die_here(world_.plan.faults.die_on_change_ppm);
}

void SimNode::on_store_write(const std::vector<projections::DeltaPtr>& deltas) {
  if (process_) process_->over_limit = 0;
  for (const projections::DeltaPtr& delta : deltas) world_.oracle.on_stored(*this, delta->mark());
}

void SimNode::on_installed(const projections::StateMark& before,
                           const projections::StateMark& after) {
  if (is_dying()) return;
  // The snapshot stands for what the log lacks, until the log has been reset (state_install.h).
  const auto place = engine::find_install(files_, engine::InstallPlaces(process_->config.data_dir));
  if (place && *place) decided_ = (*place)->index;
  world_.oracle.on_installed(*this, before, after);
}

}  // namespace bib::sim
