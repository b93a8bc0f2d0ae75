#include "sim_node.h"

#include <algorithm>
#include <utility>

#include "engine/storage/log_segment.h"
#include "projections/apply/replay.h"
#include "sim_process.h"
#include "violation.h"
#include "wire/base/check.h"
#include "wire/model/event.h"

namespace bib::sim {

using wire::ErrorCode;
using wire::LogIndex;

namespace {

constexpr std::int64_t kEpochUs = 1'700'000'000'000'000;
constexpr Time kIdleAfter = 50 * kMillisecond;  // as LogThreadOptions::watermark_after

}  // namespace

SimNode::SimNode(World& world, NodeIndex index)
    : world_(world),
      index_(index),
      name_(fmt::format("n{}", index + 1)),
      disk_(world.plan.disk.write_unit),
      state_(disk_, world.plan.on_rocksdb),
      log_id_(world.random.next() | 1) {}

SimNode::~SimNode() {
  disk_.crash_after(0);  // nothing is tidied up
}

const consensus::Raft* SimNode::raft() const {
  return process_ ? &process_->driver->raft() : nullptr;
}

const projections::StateMark* SimNode::mark() const {
  return process_ ? &process_->projector->mark() : nullptr;
}

wire::Status SimNode::check_rows() const {
  BIB_TRY(const projections::QueryView view, process_->projector->view());
  BIB_TRY(const projections::DigestSet digests, projections::compute_digests(view.state()));
  if (digests == process_->projector->mark().digests) return {};
  return wire::fail(ErrorCode::kCorrupt, "the digests are not those of the rows");
}

std::int64_t SimNode::now_us() {
  return kEpochUs + static_cast<std::int64_t>(world_.queue.now()) + clock_offset_us_;
}

void SimNode::schedule(Time delay, Code code, std::uint32_t argument) {
  world_.queue.after(delay, *this, code, static_cast<std::uint64_t>(boot_) << 32 | argument);
}

// ---- life

void SimNode::found(const wire::Membership& membership) {
  founders_ = membership;
}

void SimNode::start_later(Time delay) {
  schedule(delay, kStart);
}

void SimNode::start() {
  if (process_ || is_lost_) return;
  ++boot_;
  disk_.restart();
  if (world_.faults_are_on && world_.random.chance_ppm(world_.plan.faults.die_in_start_ppm)) {
    disk_.crash_after(world_.random.between(1, 20));
  }
  const wire::Status status = boot_process();
  if (!status) {
    refuse_to_start(status.error());
    return;
  }
  const consensus::Raft& raft = *this->raft();
  world_.trace.note(index_, boot_, raft.term().value(), raft.last_index().value(),
                    raft.applied().value());
  world_.trace.line(name_, "started: boot {}, term {}, log {} to {}, applied {}", boot_,
                    raft.term().value(), raft.log().first_index().value(),
                    raft.last_index().value(), raft.applied().value());
  world_.network.started(index_);
  schedule(world_.random.below(tick_), kTick);
  schedule(world_.random.below(world_.plan.housekeeping), kHousekeeping);
  schedule(world_.random.below(kProbeInterval), kProbe);
  if (disk_.crashed()) dying_ = Death::kPower;
  end_step();
}

wire::Result<engine::LogStore::Recovered> SimNode::open_log() {
  engine::LogStoreOptions options;
  options.cluster = world_.cluster;
  options.node = id();
  options.segment_bytes = world_.plan.disk.segment_bytes;
  options.block_bytes_max = world_.plan.disk.block_bytes_max;
  options.schema = wire::event_schema();
  options.random = [this] { return log_id_; };
  options.now_us = [this] { return now_us(); };
  BIB_TRY(auto log, engine::LogStore::open(disk_, kLogDirectory, options));
  check_recovered(log);
  const bool empty = log.log.last_index() == LogIndex() && log.memberships.empty();
  if (!empty || !founders_) return log;
  // As Node::Impl::found_cluster() in engine/bibd/bibd.cc, but all founders begin with the same
  // entry.
  const wire::EntryStamp stamp{world_.cluster, wire::Term(1), LogIndex(1), kEpochUs};
  const std::vector<std::uint8_t> encoded = wire::encode_membership(*founders_);
  const wire::Bytes entry = wire::make_membership_entry(stamp, encoded);
  world_.oracle.on_founded(entry, *founders_);
  engine::LogStoreWrite write;
  write.hard_state = wire::HardState{wire::Term(1), wire::NodeId()};
  write.entries = {entry};
  BIB_TRY_VOID(log.store->append(std::span<const engine::LogStoreWrite>(&write, 1)));
  log.hard_state = *write.hard_state;
  log.log.append(wire::Term(1), static_cast<std::uint32_t>(entry.size()));
  log.memberships = {engine::LoggedMembership{LogIndex(1), *founders_, encoded}};
  return log;
}

wire::Status SimNode::boot_process() {
  BIB_TRY(engine::LogStore::Recovered log, open_log());
  durable_log_ = log.store->locations();
  auto process = std::make_unique<Process>(world_.plan);
  BIB_TRY(engine::RecoveredState state, recover_state(log));
  maybe_cut_to_ = LogIndex();
  cut_ = kNoCut;
  process->store = std::move(state.store);
  process->projector = std::move(state.projector);
  consensus::RaftConfig config = world_.plan.raft;
  config.self = id();
  config.seed += boot_;
  config.own_log = log.store->identity().log_id;
  const consensus::Restored restored = restored_from(log, process->projector->applied_index());
  if (const auto status = consensus::check_restored(config, restored); !status) {
    violated("durability", "{}: {}", name_, status.error().message);
  }
  engine::RaftDriverOptions options = world_.plan.driver;
  options.cluster = world_.cluster;
  options.run_base = world_.random.next();
  process->log = std::move(log.store);
  process->reader = std::make_unique<engine::LogReader>(disk_, kLogDirectory, durable_log_);
  process->driver = std::make_unique<engine::RaftDriver>(config, restored, options, *this, *this,
                                                         *this, *this, *this);
  engine::CommandsOptions desk;
  desk.cluster = world_.cluster;
  desk.uncommitted_bytes_max = world_.plan.raft.uncommitted_bytes_max;
  process->commands =
      std::make_unique<engine::Commands>(desk, *process->driver, *process->projector, *this, *this);
  process_ = std::move(process);
  make_snapshots(std::move(state.snapshots));
  process_->snapshots->attach(*process_->driver);
  process_->guard = std::make_unique<engine::MemberGuard>(process_->driver->raft());
  world_.oracle.on_boot(*this, log.hard_state);
  return {};
}

// What anybody was told to be durable is there. (A write under way may have truncated since.)
void SimNode::check_recovered(const engine::LogStore::Recovered& recovered) const {
  if (rotten_) {
    violated("durability", "{}: damage in what was durable was not noticed", name_);
  }
  if (recovered.hard_state.term < durable_hard_state_.term ||
      (recovered.hard_state.term == durable_hard_state_.term &&
       durable_hard_state_.vote != wire::NodeId() &&
       recovered.hard_state.vote != durable_hard_state_.vote)) {
    violated("durability", "{}: term {} and vote {} were durable, found are {} and {}", name_,
             durable_hard_state_.term.value(), durable_hard_state_.vote.value(),
             recovered.hard_state.term.value(), recovered.hard_state.vote.value());
  }
  if (!durable_log_) return;
  const wire::LogPosition last = durable_log_->last();
  LogIndex index = std::max(durable_log_->base().index, recovered.log.base().index);
  for (; index <= last.index && index < cut_; ++index) {
    if (recovered.log.term_at(index) == durable_log_->term_at(index)) continue;
    violated("durability", "{}: entry {} was durable and is not there after a crash", name_,
             index.value());
  }
}

void SimNode::refuse_to_start(const wire::Error& error) {
  world_.trace.note(index_, boot_, static_cast<int>(error.code));
  world_.trace.line(name_, "does not start: {}", error.message);
  if (disk_.crashed()) {
    if (world_.random.below(2) == 0) disk_.lose_power(world_.random);
    return start_later(world_.random.between(kMillisecond, 500 * kMillisecond));
  }
  if (error.code == ErrorCode::kIo) {  // the disk is full, or a sync failed
    disk_.crash_after(0);
    return start_later(500 * kMillisecond);
  }
  if (rotten_ && error.code == ErrorCode::kCorrupt) {
    is_lost_ = true;
    return;
  }
  violated("durability", "{} does not start: {}", name_, error.message);
}

// ---- death

void SimNode::die(Death death, std::optional<Time> restart_after) {
  if (!process_) return;
  dying_ = Death::kNone;
  world_.trace.note(index_, static_cast<int>(death));
  world_.trace.line(name_, "dies: {}", death == Death::kPower ? "power" : "killed");
  if (world_.random.below(2) == 0) work_half();
  if (!process_->appending.empty() && world_.random.below(3) != 0) append_half();
  if (!process_->exchanging && world_.random.below(2) == 0) store_half();
  disk_.crash_after(0);  // nothing is tidied up
  process_.reset();
  if (death == Death::kPower) disk_.lose_power(world_.random);
  paused_ = false;
  deferred_.clear();
  world_.network.stopped(index_, death == Death::kKilled);
  world_.clients.on_node_gone(index_);
  if (restart_after) start_later(*restart_after);
}

void SimNode::note_cut(const std::vector<engine::LogStoreWrite>& writes) {
  for (const engine::LogStoreWrite& write : writes) {
    if (write.truncate_from) cut_ = std::min(cut_, *write.truncate_from);
    if (write.reset) cut_ = LogIndex();
  }
}

// The append under way gets as far as one of its file operations.
void SimNode::append_half() {
  note_cut(process_->appending);
  disk_.crash_after(world_.random.between(1, 8));
  (void)process_->log->append(process_->appending);
}

// Some of what was applied may have become durable.
void SimNode::store_half() {
  if (!process_->storing.empty() && world_.random.below(2) == 0) {
    (void)projections::store_deltas(process_->storing, *process_->store);
  }
  if (world_.random.below(2) == 0) disk_.crash_after(world_.random.between(1, 10));
  state_.flush_part(*process_->store, world_.random);
}

void SimNode::maybe_die_here(std::uint32_t ppm) {
  if (ppm == 0 || is_dying() || !world_.faults_are_on || !world_.random.chance_ppm(ppm)) return;
  dying_ = world_.random.below(2) == 0 ? Death::kKilled : Death::kPower;
  world_.trace.line(name_, "dies in the middle of a turn");
}

void SimNode::pause() {
  if (!process_ || paused_) return;
  world_.trace.line(name_, "stops (SIGSTOP)");
  paused_ = true;
}

void SimNode::resume() {
  if (!process_ || !paused_) return;
  world_.trace.line(name_, "goes on (SIGCONT)");
  paused_ = false;
  std::vector<Deferred> deferred = std::move(deferred_);
  deferred_.clear();
  // Which socket is read first is chance.
  if (world_.random.below(2) == 0) {
    std::stable_partition(deferred.begin(), deferred.end(),
                          [](const Deferred& one) { return one.kind == Deferred::Kind::kRequest; });
  }
  process_->collects = true;
  for (Deferred& one : deferred) {
    if (process_ && !is_dying()) handle(std::move(one));
  }
  if (!process_) return;
  process_->collects = false;
  turn();
}

void SimNode::handle(Deferred&& deferred) {
  switch (deferred.kind) {
    case Deferred::Kind::kEvent:
      return on_event(deferred.code, deferred.argument);
    case Deferred::Kind::kMessage:
      return on_peer_message(std::move(deferred.message));
    case Deferred::Kind::kSnapshotRequest:
      return on_snapshot_request(std::move(deferred.request));
    case Deferred::Kind::kSnapshotPart:
      return on_snapshot_part(std::move(deferred.part));
    case Deferred::Kind::kConnected:
      return on_peer_connected(deferred.peer);
    case Deferred::Kind::kDisconnected:
      return on_peer_disconnected(deferred.peer);
    case Deferred::Kind::kRequest:
      return deferred.call();
  }
}

void SimNode::heal() {
  limit_space(std::nullopt);
  disk_.heal();
  set_tick(kTickTime);
  disk_stalls_until_ = 0;
  resume();
}

// ---- events

void SimNode::on_event(std::uint32_t code, std::uint64_t argument) {
  if (argument >> 32 != boot_) return;
  if (code == kStart) return start();
  if (!process_) return;
  if (paused_) {
    if (code == kResume) return resume();
    Deferred deferred;
    deferred.code = code;
    deferred.argument = argument;
    deferred_.push_back(std::move(deferred));
    return;
  }
  const auto detail = static_cast<std::uint32_t>(argument);
  switch (code) {
    case kTick:
      return tick();
    case kTurn:
      process_->turn_is_scheduled = false;
      return turn();
    case kAppended:
      return finish_append();
    case kLogRead:
      return finish_read(detail);
    case kIdle:
      if (detail == process_->appends && process_->appending.empty()) {
        if (!process_->log->write_watermark()) dying_ = Death::kKilled;
        end_step();
      }
      return;
    case kPrepare: {
      process_->prepare_is_scheduled = false;
      if (!process_->log->wants_prepared()) return;
      auto prepared = engine::prepare_segment(process_->log->prepared_request());
      if (prepared) process_->log->adopt(*std::move(prepared));
      return;
    }
    case kHousekeeping:
      return housekeeping();
    case kStored:
      return finish_store();
    case kJob:
      return step_job(detail);
    case kStoreJob:
      return step_store_job();
    case kCompact:
      compact_now();
      return end_step();
    case kCompacted:
      process_->driver->on_log_compacted(LogIndex(detail));
      return input();
    case kProbe:
      return probe();
    case kExpire:
      return expire_sessions();
    default:
      return;
  }
}

void SimNode::tick() {
  schedule(tick_, kTick);
  watch_disk();
  process_->commands->propose_open_batch();
  process_->driver->tick();
  if (world_.plan.snapshots.exist) process_->snapshots->on_tick();
  world_.oracle.on_tick(*this);
  input();
}

void SimNode::input() {
  if (process_->collects) return;
  if (is_dying() || !world_.plan.coalesces) return turn();
  if (process_->turn_is_scheduled) return;
  process_->turn_is_scheduled = true;
  schedule(world_.random.below(400), kTurn);
}

// As Node::on_turn().
void SimNode::turn() {
  if (is_dying()) return end_step();
  Process& process = *process_;
  process.commands->decide_parked();
  process.commands->propose_open_batch();
  const wire::Status status = process.driver->run_effects();
  if (is_dying()) return end_step();
  if (!status && disk_.crashed()) {
    dying_ = Death::kPower;
    return end_step();
  }
  if (!status) violated("durability", "{} stops: {}", name_, status.error().message);
  if (process.commands->failure()) {
    violated("digest", "{} stops: {}", name_, process.commands->failure()->message);
  }
  begin_append();
  continue_snapshots();
  if (process.driver->has_more_work()) turn_soon();
  end_step();
}

void SimNode::turn_soon() {
  if (process_->turn_is_scheduled) return;
  process_->turn_is_scheduled = true;
  schedule(50, kTurn);
}

void SimNode::end_step() {
  // Also where the node could have lived with the error: its machine is gone.
  if (process_ && disk_.crashed() && !is_dying()) dying_ = Death::kPower;
  if (is_dying()) {
    return die(dying_, world_.random.between(5 * kMillisecond, 2 * kSecond));
  }
  world_.oracle.after_step(*this);
}

// ---- peers

void SimNode::on_peer_message(wire::PeerMessage&& message) {
  if (paused_) {
    Deferred deferred;
    deferred.kind = Deferred::Kind::kMessage;
    deferred.message = std::move(message);
    deferred_.push_back(std::move(deferred));
    return;
  }
  process_->probes[index_of(message.from)].heard();
  if (world_.plan.network.greets && !process_->guard->on_message(message)) return;
  world_.oracle.before_message(*this, message);
  // The driver takes the payload; the oracle looks at the rest.
  wire::PeerMessage head = message;
  process_->driver->on_message(std::move(message));
  world_.oracle.after_message(*this, head);
  input();
}

void SimNode::on_peer_connected(wire::NodeId peer) {
  if (paused_) {
    Deferred deferred;
    deferred.kind = Deferred::Kind::kConnected;
    deferred.peer = peer;
    deferred_.push_back(std::move(deferred));
    return;
  }
  process_->probes[index_of(peer)] = {};
  process_->driver->on_peer_connected(peer);
  input();
}

void SimNode::on_peer_disconnected(wire::NodeId peer) {
  if (paused_) {
    Deferred deferred;
    deferred.kind = Deferred::Kind::kDisconnected;
    deferred.peer = peer;
    deferred_.push_back(std::move(deferred));
    return;
  }
  world_.oracle.before_suspicion(*this, peer);
  process_->driver->on_peer_disconnected(peer);
  process_->snapshots->on_peer_disconnected(peer);
  input();
}

void SimNode::send(const wire::PeerMessage& message) {
  maybe_die_here(world_.plan.faults.die_in_turn_ppm);
  if (is_dying()) return;
  world_.oracle.on_sent(*this, message);
  world_.network.send(index_, message);
}

// ---- the log

void SimNode::submit(const consensus::LogWrite& write, std::vector<wire::Bytes> entries) {
  if (is_dying()) return;
  world_.oracle.on_written(*this, write, entries);
  engine::LogStoreWrite out;
  out.append_sequence = write.append_sequence;
  if (write.hard_state) {
    out.hard_state = wire::HardState{write.hard_state->term, write.hard_state->vote};
  }
  if (write.reset_to) {
    const consensus::MembershipAt& membership = *write.reset_membership;
    world_.oracle.on_log_reset(*this, *write.reset_to);
    out.reset = engine::LogReset{*write.reset_to, membership.index,
                                 wire::encode_membership(membership.membership)};
  }
  out.truncate_from = write.truncate_from;
  out.entries = std::move(entries);
  process_->queued.push_back(std::move(out));
}

void SimNode::begin_append() {
  Process& process = *process_;
  if (!process.appending.empty() || process.queued.empty()) return;
  process.appending.assign(std::make_move_iterator(process.queued.begin()),
                           std::make_move_iterator(process.queued.end()));
  process.queued.clear();
  ++process.appends;
  process.append_began = world_.queue.now();
  const DiskPlan& disk = world_.plan.disk;
  Time duration = world_.random.between(disk.append_min, disk.append_max);
  if (disk_stalls_until_ > world_.queue.now()) duration += disk_stalls_until_ - world_.queue.now();
  schedule(duration, kAppended);
}

void SimNode::finish_append() {
  Process& process = *process_;
  const std::vector<engine::LogStoreWrite> writes = std::exchange(process.appending, {});
  if (const wire::Status status = process.log->append(writes); !status) {
    world_.trace.line(name_, "{}", status.error().message);
    note_cut(writes);
    dying_ = world_.random.below(2) == 0 ? Death::kKilled : Death::kPower;
    return end_step();
  }
  for (const engine::LogStoreWrite& write : writes) {
    if (write.hard_state) durable_hard_state_ = *write.hard_state;
    if (write.truncate_from) {
      while (!append_ends_.empty() && append_ends_.back() >= *write.truncate_from) {
        append_ends_.pop_back();
      }
    }
    if (write.reset) append_ends_.clear();
  }
  append_ends_.push_back(process.log->last().index);
  if (append_ends_.size() > kAppendEndsKept) append_ends_.pop_front();
  world_.trace.note(index_, writes.back().append_sequence, process.log->last().index.value());
  world_.trace.line(name_, "durable: {}/t{}, term {} vote {}", process.log->last().index.value(),
                    process.log->last().term.value(), durable_hard_state_.term.value(),
                    durable_hard_state_.vote.value());
  process.driver->on_durable(writes.back().append_sequence);
  compact_now();
  if (is_dying()) return end_step();
  begin_append();
  if (process.appending.empty()) schedule(kIdleAfter, kIdle, process.appends);
  if (world_.plan.disk.prepares_segments && process.log->wants_prepared() &&
      !process.prepare_is_scheduled) {
    process.prepare_is_scheduled = true;
    schedule(world_.random.between(100, 20 * kMillisecond), kPrepare);
  }
  input();
}

void SimNode::read(std::uint64_t token, LogIndex first, LogIndex last, std::size_t bytes_max) {
  if (is_dying()) return;
  process_->log_reads.push_back({token, first, last, bytes_max});
  schedule(world_.random.between(50, kMillisecond), kLogRead,
           static_cast<std::uint32_t>(process_->log_reads.size() - 1));
}

void SimNode::finish_read(std::uint32_t slot) {
  const LogRead request = process_->log_reads[slot];
  process_->driver->on_log_read(
      request.token, process_->reader->read(request.first, request.last, request.bytes_max));
  input();
}

// ---- applying, and what it gives

wire::Status SimNode::apply(const wire::Bytes& entry) {
  maybe_die_here(world_.plan.faults.die_in_turn_ppm);
  if (is_dying()) return wire::fail(ErrorCode::kShuttingDown, "the node has died");
  const auto applied = process_->projector->apply(entry, true);
  if (!applied) violated("digest", "{}: {}", name_, applied.error().message);
  world_.oracle.on_applied(*this, entry, process_->projector->mark());
  process_->commands->on_outcomes(applied->outcomes);
  return {};
}

void SimNode::on_role(const consensus::RoleChange& change) {
  if (is_dying()) return;
  const bool leads = change.role == consensus::Role::kLeader;
  if (process_->leading && !leads) process_->commands->on_leadership_lost();
  process_->leading = leads;
  static constexpr const char* kNames[] = {"follower", "pre-candidate", "candidate", "leader"};
  world_.trace.note(index_, static_cast<int>(change.role), change.term.value(),
                    change.leader.value());
  world_.trace.line(name_, "is {} in term {}, leader {}", kNames[static_cast<int>(change.role)],
                    change.term.value(), change.leader.value());
  if (leads) maybe_die_here(world_.plan.faults.die_on_change_ppm);
}

void SimNode::on_membership(const wire::Membership& membership) {
  if (is_dying()) return;
  if (world_.trace.is_printed()) {
    const auto list = [](const std::vector<wire::NodeId>& ids) {
      std::string text;
      for (const wire::NodeId id : ids) text += fmt::format(" {}", id.value());
      return text;
    };
    world_.trace.line(name_, "membership: voters{}, outgoing{}, learners{}",
                      list(membership.voters), list(membership.voters_outgoing),
                      list(membership.learners));
  }
  maybe_die_here(world_.plan.faults.die_on_change_ppm);
}

void SimNode::housekeeping() {
  Process& process = *process_;
  schedule(world_.plan.housekeeping, kHousekeeping);
  if (const auto age = process.driver->age_us()) {
    world_.oracle.on_age(*this, world_.queue.now(), *age, process.projector->applied_index());
  }
  look_for_expired_sessions();
  // As Node::carry_to_store().
  if (store_is_busy() || process.exchanging) return;
  if (process.projector->applied_index() > process.driver->raft().durable_index()) return;
  const projections::LayerSizes sizes = process.projector->sizes();
  if (sizes.active_rows == 0 && sizes.frozen_deltas == 0) return;
  process.storing = process.projector->take_for_store();
  if (!process.storing.empty()) schedule(world_.random.between(100, 20 * kMillisecond), kStored);
}

void SimNode::finish_store() {
  Process& process = *process_;
  const std::vector<projections::DeltaPtr> deltas = std::exchange(process.storing, {});
  for (const projections::DeltaPtr& delta : deltas) world_.oracle.on_stored(*this, delta->mark());
  // One batch, or one for each: both are in order.
  const bool one_batch = world_.random.below(2) == 0;
  wire::Status status;
  if (one_batch) {
    status = projections::store_deltas(deltas, *process.store);
  } else {
    for (const projections::DeltaPtr& delta : deltas) {
      status = projections::store_deltas(std::span(&delta, 1), *process.store);
      if (!status) break;
    }
  }
  if (status && world_.random.below(4) == 0) status = process.store->flush();
  if (!status) {
    fail_on_disk(status.error());
    return end_step();
  }
  process.projector->written(deltas.back()->mark().applied_index);
  continue_snapshots();
}

// ---- faults

void SimNode::stall_disk(Time duration) {
  disk_stalls_until_ = world_.queue.now() + duration;
}

}  // namespace bib::sim
