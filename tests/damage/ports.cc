#include "ports.h"

#include <utility>

#include "lan.h"

namespace bib::damage {

using wire::LogIndex;

namespace {

constexpr Time kAppendTime = 100;
constexpr Time kJobTime = kMillisecond;
constexpr Time kIdleAfter = 50 * kMillisecond;  // as LogThreadOptions::watermark_after

}  // namespace

void LogLines::write(engine::LogLevel level, std::string_view area, std::string_view message) {
  if (level < engine::LogLevel::kWarn) return;
  machine_.note(fmt::format("  {} {}: {}", to_string(machine_.id()), area, message));
}

void VirtualTurns::continue_soon() {
  if (std::exchange(is_due_, true)) return;
  machine_.after(50, [this] { is_due_ = false; });
}

// ---- the log

bool FileLog::submit(engine::LogStoreWrite&& write) {
  if (failure_ || is_stopped_) return false;
  queue_.push_back(std::move(write));
  if (!std::exchange(is_due_, true)) machine_.after(kAppendTime, [this] { append(); });
  return true;
}

void FileLog::append() {
  is_due_ = false;
  if (failure_ || is_stopped_) return;
  const std::vector<engine::LogStoreWrite> writes = std::exchange(queue_, {});
  if (const auto status = store_->append(writes); !status) return fail(status.error());
  events_->on_log_durable(writes.back().append_sequence);
  compact_now();
  machine_.after(kIdleAfter, [this, appends = ++appends_] {
    if (failure_ || is_stopped_ || appends != appends_ || !queue_.empty()) return;
    if (const auto status = store_->write_watermark(); !status) fail(status.error());
  });
}

void FileLog::fail(const wire::Error& error) {
  if (failure_) return;
  failure_ = error;
  queue_.clear();
  events_->on_log_failed(error);
}

void FileLog::read(std::uint64_t token, LogIndex first, LogIndex last, std::size_t bytes_max) {
  machine_.after(kAppendTime, [this, token, first, last, bytes_max] {
    if (!is_stopped_) events_->on_log_read(token, reader_->read(first, last, bytes_max));
  });
}

void FileLog::compact(LogIndex index) {
  compact_to_ = index;
  machine_.after(kAppendTime, [this] { compact_now(); });
}

void FileLog::compact_now() {
  if (compact_to_ == LogIndex() || failure_ || is_stopped_ || !queue_.empty()) return;
  const auto retired = store_->compact_to(std::exchange(compact_to_, LogIndex()));
  if (!retired) return fail(retired.error());
  if (retired->paths.empty()) return;
  const auto status = engine::retire_segments(store_->files(), store_->directory(), *retired);
  if (!status) return fail(status.error());
  events_->on_log_compacted(retired->base.index);
}

wire::Status FileLog::stop(std::vector<engine::LogStoreWrite> rest) {
  is_stopped_ = true;
  if (failure_) return tl::unexpected(*failure_);
  for (engine::LogStoreWrite& write : rest) queue_.push_back(std::move(write));
  if (!queue_.empty()) BIB_TRY_VOID(store_->append(std::exchange(queue_, {})));
  return store_->close();
}

// ---- jobs

void Pool::run(std::function<void()> work, std::function<void()> done) {
  machine_.after(kJobTime, [this, work = std::move(work), done = std::move(done)] {
    work();
    machine_.after(kJobTime, done);
  });
}

void StoreQueue::run(std::function<void()> work, std::function<void()> done) {
  if (is_stopped_) return;
  is_busy_ = true;
  work_ = std::move(work);
  machine_.after(kJobTime, [this, done = std::move(done)]() mutable {
    if (is_stopped_) return;
    std::exchange(work_, nullptr)();
    machine_.after(kJobTime, [this, done = std::move(done)] {
      if (is_stopped_) return;
      is_busy_ = false;
      done();
    });
  });
}

void StoreQueue::stop() {
  is_stopped_ = true;
  if (work_) std::exchange(work_, nullptr)();
}

// ---- the others

void Peers::send(const wire::PeerMessage& message) {
  machine_.lan().send(machine_.id(), message.to, [message](Machine& to) {
    wire::PeerMessage copy = message;
    to.node().peers().on_peer_message(std::move(copy));
  });
}

void Peers::send(const wire::SnapshotRequest& request) {
  machine_.lan().send(machine_.id(), request.to, [request, from = machine_.id()](Machine& to) {
    wire::SnapshotRequest copy = request;
    copy.from = from;
    to.node().peers().on_snapshot_request(copy);
  });
}

void Peers::send(const wire::SnapshotPart& part) {
  machine_.lan().send(machine_.id(), part.to, [part, from = machine_.id()](Machine& to) {
    wire::SnapshotPart copy = part;
    copy.from = from;
    to.node().peers().on_snapshot_part(std::move(copy));
  });
}

bool Peers::is_connected(wire::NodeId peer) const {
  return machine_.lan().is_connected(machine_.id(), peer);
}

}  // namespace bib::damage
