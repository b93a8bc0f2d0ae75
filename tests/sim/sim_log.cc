#include "sim_log.h"

#include <algorithm>
#include <utility>

#include "engine/storage/log_segment.h"

namespace bib::sim {

using engine::LogStoreWrite;
using wire::LogIndex;

namespace {

constexpr Time kIdleAfter = 50 * kMillisecond;  // as LogThreadOptions::watermark_after
constexpr std::uint64_t kAppendChangesMax = 8;  // a crash in an append comes within so many

}  // namespace

SimLog::SimLog(SimMachine& machine, LogWatcher& watcher, std::unique_ptr<engine::LogStore> store,
               std::shared_ptr<engine::LogReader> reader)
    : machine_(machine), watcher_(watcher), store_(std::move(store)), reader_(std::move(reader)) {}

bool SimLog::submit(LogStoreWrite&& write) {
  if (machine_.is_dying()) {
    const LogStoreWrite gone = std::move(write);
    return true;
  }
  if (failure_ || stopped_) return false;
  if (!queue_.empty() && queue_.size() >= machine_.world().plan.disk.queue_writes_max) return false;
  queue_.push_back(std::move(write));
  begin_append();
  return true;
}

void SimLog::begin_append() {
  if (!appending_.empty() || queue_.empty()) return;
  appending_.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
  queue_.clear();
  ++appends_;
  World& world = machine_.world();
  append_began_ = world.queue.now();
  const DiskPlan& disk = world.plan.disk;
  Time duration = world.random.between(disk.append_min, disk.append_max);
  if (stalls_until_ > world.queue.now()) duration += stalls_until_ - world.queue.now();
  machine_.after(duration, [this] { finish_append(); });
}

void SimLog::finish_append() {
  if (stopped_) return;
  const std::vector<LogStoreWrite> writes = std::exchange(appending_, {});
  if (const wire::Status status = store_->append(writes); !status) {
    watcher_.on_writes_in_doubt(writes);
    return fail(status.error());
  }
  watcher_.on_durable_writes(writes);
  events_->on_log_durable(writes.back().append_sequence);
  compact_now();
  if (machine_.is_dying() || stopped_) return;
  begin_append();
  if (appending_.empty()) {
    machine_.after(kIdleAfter, [this, appends = appends_] {
      if (stopped_ || appends != appends_ || !appending_.empty()) return;
      if (const auto status = store_->write_watermark(); !status) fail(status.error());
    });
  }
  prepare();
}

void SimLog::prepare() {
  World& world = machine_.world();
  if (!world.plan.disk.prepares_segments || prepares_ || !store_->wants_prepared()) return;
  prepares_ = true;
  machine_.after(world.random.between(100, 20 * kMillisecond), [this] {
    prepares_ = false;
    if (stopped_ || !store_->wants_prepared()) return;
    auto prepared = engine::prepare_segment(store_->prepared_request());
    if (prepared) store_->adopt(*std::move(prepared));
  });
}

void SimLog::fail(const wire::Error& error) {
  if (failure_) return;
  failure_ = error;
  queue_.clear();
  World& world = machine_.world();
  world.trace.line(machine_.name(), "{}", error.message);
  if (machine_.disk().crashed() || world.random.below(2) == 0) {
    return machine_.die_after_step(Death::kPower);
  }
  events_->on_log_failed(error);
}

void SimLog::read(std::uint64_t token, LogIndex first, LogIndex last, std::size_t bytes_max) {
  if (machine_.is_dying()) return;
  machine_.after(machine_.world().random.between(50, kMillisecond),
                 [this, token, first, last, bytes_max] {
                   if (!stopped_)
                     events_->on_log_read(token, reader_->read(first, last, bytes_max));
                 });
}

// Between two appends.
void SimLog::compact(LogIndex index) {
  if (machine_.is_dying() || stopped_ || failure_) return;
  const bool is_under_way = compact_to_ != LogIndex();
  compact_to_ = index;
  if (is_under_way) return;
  machine_.after(machine_.world().random.between(50, 5 * kMillisecond), [this] { compact_now(); });
}

void SimLog::compact_now() {
  if (compact_to_ == LogIndex() || !appending_.empty() || stopped_) return;
  const LogIndex target = std::exchange(compact_to_, LogIndex());
  auto retired = store_->compact_to(target);
  if (!retired) {
    watcher_.on_cut_in_doubt(target);
    return fail(retired.error());
  }
  if (retired->paths.empty()) return;
  const LogIndex base = retired->base.index;
  watcher_.on_cut(base);
  World& world = machine_.world();
  machine_.after(
      world.random.between(10, 100 * kMillisecond), [this, retired = *std::move(retired)] {
        if (stopped_) return;
        const auto status = engine::retire_segments(store_->files(), store_->directory(), retired);
        if (!status) fail(status.error());
      });
  machine_.after(world.random.between(10, kMillisecond), [this, base] {
    if (!stopped_) events_->on_log_compacted(base);
  });
}

std::chrono::microseconds SimLog::append_running() const {
  const Time running = appending_.empty() ? 0 : machine_.world().queue.now() - append_began_;
  return std::chrono::microseconds(running);
}

// Everything that was submitted, without a pause: the loop waits for it.
wire::Status SimLog::stop(std::vector<LogStoreWrite> rest) {
  stopped_ = true;
  for (LogStoreWrite& write : rest) queue_.push_back(std::move(write));
  if (failure_) return tl::unexpected(*failure_);
  World& world = machine_.world();
  if (world.faults_are_on && world.random.chance_ppm(world.plan.faults.die_in_stop_ppm)) {
    machine_.disk().crash_after(world.random.between(1, 3 * kAppendChangesMax));
  }
  while (!appending_.empty() || !queue_.empty()) {
    if (appending_.empty()) {
      appending_.assign(std::make_move_iterator(queue_.begin()),
                        std::make_move_iterator(queue_.end()));
      queue_.clear();
    }
    const std::vector<LogStoreWrite> writes = std::exchange(appending_, {});
    if (const auto status = store_->append(writes); !status) {
      watcher_.on_writes_in_doubt(writes);
      return status;
    }
    watcher_.on_durable_writes(writes);
  }
  return store_->close();
}

void SimLog::end_halfway() {
  if (stopped_) return;
  World& world = machine_.world();
  if (compact_to_ != LogIndex() && appending_.empty() && world.random.below(4) == 0) {
    watcher_.on_cut_in_doubt(compact_to_);
    machine_.disk().crash_after(world.random.between(1, kAppendChangesMax));
    (void)store_->compact_to(compact_to_);
    machine_.disk().crash_after(0);
    return;
  }
  if (appending_.empty() || world.random.below(3) == 0) return;
  watcher_.on_writes_in_doubt(appending_);
  machine_.disk().crash_after(world.random.between(1, kAppendChangesMax));
  (void)store_->append(appending_);
}

}  // namespace bib::sim
