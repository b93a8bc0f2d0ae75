#include "engine/uv/log_thread.h"

#include <algorithm>
#include <utility>

#include "engine/uv/thread_name.h"
#include "wire/base/check.h"

namespace bib::engine {

using wire::Status;

namespace {

std::uint64_t bytes_of(const LogStoreWrite& write) {
  std::uint64_t bytes = 64;
  for (const wire::Bytes& entry : write.entries) bytes += entry.size();
  return bytes;
}

std::chrono::microseconds since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                               start);
}

}  // namespace

LogThread::LogThread(std::unique_ptr<LogStore> store, LogThreadOptions options)
    : store_(std::move(store)), options_(std::move(options)) {
  preparer_ = std::thread([this] { run_preparer(); });
  thread_ = std::thread([this] { run(); });
}

LogThread::~LogThread() {
  static_cast<void>(stop());
}

bool LogThread::submit(LogStoreWrite&& write) {
  const std::uint64_t bytes = bytes_of(write);
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || failure_) return false;
    const bool fits = queue_.size() < options_.queue_writes_max &&
                      queue_bytes_ + bytes <= options_.queue_bytes_max;
    if (!queue_.empty() && !fits) return false;
    queue_bytes_ += bytes;
    queue_.push_back(std::move(write));
    if (queue_.size() > 1) return true;  // the thread has been woken, or is at work
  }
  work_.notify_one();
  return true;
}

void LogThread::compact(wire::LogIndex index) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || failure_) return;
    compact_to_ = index;
  }
  work_.notify_one();
}

Status LogThread::stop(std::vector<LogStoreWrite> rest) {
  {
    const std::lock_guard lock(mutex_);
    for (LogStoreWrite& write : rest) {
      if (stopping_ || failure_) break;
      queue_bytes_ += bytes_of(write);
      queue_.push_back(std::move(write));
    }
    stopping_ = true;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
  {
    const std::lock_guard lock(mutex_);
    preparing_stops_ = true;
  }
  prepare_.notify_one();
  if (preparer_.joinable()) preparer_.join();
  // The store removes what it has no more use for.
  if (prepared_ && store_->wants_prepared()) store_->adopt(*std::exchange(prepared_, std::nullopt));
  return outcome_;
}

LogThreadMetrics LogThread::metrics() const {
  const std::lock_guard lock(mutex_);
  LogThreadMetrics metrics = metrics_;
  metrics.queued_writes = queue_.size();
  if (append_began_) metrics.append_running = since(*append_began_);
  return metrics;
}

void LogThread::run() {
  name_this_thread("bib-log");
  bool idle = false;
  std::unique_lock lock(mutex_);
  while (wait_for_work(lock, idle)) {
    take_batch();
    const auto compact_to = std::exchange(compact_to_, std::nullopt);
    const auto retire_failure = std::exchange(retire_failure_, std::nullopt);
    if (!append_began_) append_began_ = Clock::now();  // whatever it is, it may stall
    lock.unlock();
    if (retire_failure) fail(*retire_failure);
    if (compact_to) {
      compact_log(*compact_to);
    } else if (idle) {
      if (const Status status = store_->write_watermark(); !status) fail(status.error());
    }
    if (!batch_.empty()) append_batch();
    lock.lock();
    append_began_.reset();
  }
  const auto failure = failure_;
  lock.unlock();
  outcome_ = failure ? Status(tl::unexpected(*failure)) : store_->close();
}

// `idle` in: nothing was written since the last watermark. Out: it is time for one.
bool LogThread::wait_for_work(std::unique_lock<std::mutex>& lock, bool& idle) {
  exchange_prepared();
  const auto has_work = [this] {
    return !queue_.empty() || stopping_ || compact_to_ || retire_failure_;
  };
  if (idle || failure_) {
    work_.wait(lock, has_work);
    idle = false;
  } else {
    idle = !work_.wait_for(lock, options_.watermark_after, has_work);
  }
  exchange_prepared();
  return idle || !queue_.empty() || !stopping_;
}

void LogThread::take_batch() {
  std::uint64_t bytes = 0;
  while (!queue_.empty()) {
    const std::uint64_t size = bytes_of(queue_.front());
    if (!batch_.empty() && bytes + size > options_.batch_bytes_max) break;
    bytes += size;
    batch_.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queue_bytes_ -= bytes;
  if (!batch_.empty()) append_began_ = Clock::now();
}

void LogThread::append_batch() {
  const Status status = store_->append(batch_);
  {
    const std::lock_guard lock(mutex_);
    const LogStore::Counters& counters = store_->counters();
    metrics_.append_last = since(*append_began_);
    metrics_.append_max = std::max(metrics_.append_max, metrics_.append_last);
    append_began_.reset();
    metrics_.batches += 1;
    metrics_.writes += batch_.size();
    metrics_.entries = counters.entries;
    metrics_.bytes = counters.bytes;
    metrics_.segments_not_ready = counters.segments_not_ready;
  }
  const std::uint64_t sequence = batch_.back().append_sequence;
  batch_.clear();
  if (!status) return fail(status.error());
  if (options_.on_durable) options_.on_durable({sequence, store_->last()});
}

void LogThread::compact_log(wire::LogIndex index) {
  auto retired = store_->compact_to(index);
  if (!retired) return fail(retired.error());
  if (retired->paths.empty()) return;
  const wire::LogPosition base = retired->base;
  {
    const std::lock_guard lock(mutex_);
    retired_.push_back(*std::move(retired));
  }
  prepare_.notify_one();
  if (options_.on_compacted) options_.on_compacted(base);
}

void LogThread::fail(const wire::Error& error) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    failure_ = error;
    queue_.clear();
    queue_bytes_ = 0;
  }
  if (options_.on_failed) options_.on_failed(error);
}

// Hands a finished file to the store, and asks for the next one. Under mutex_.
void LogThread::exchange_prepared() {
  if (!store_->wants_prepared() || prepare_request_) return;
  if (prepared_) {
    store_->adopt(*std::exchange(prepared_, std::nullopt));
    return;
  }
  const std::uint64_t made = store_->counters().segments_made;
  if (prepare_failed_ && made == prepare_asked_at_) return;
  prepare_failed_ = false;
  prepare_asked_at_ = made;
  prepare_request_ = store_->prepared_request();
  prepare_.notify_one();
}

void LogThread::run_preparer() {
  name_this_thread("bib-log-prepare");
  std::unique_lock lock(mutex_);
  while (true) {
    prepare_.wait(lock,
                  [this] { return preparing_stops_ || prepare_request_ || !retired_.empty(); });
    if (prepare_request_) {
      prepare_segment_file(lock);
    } else if (!retired_.empty()) {
      retire_files(lock);
    } else {
      return;
    }
  }
}

void LogThread::prepare_segment_file(std::unique_lock<std::mutex>& lock) {
  const SegmentRequest request = *prepare_request_;
  lock.unlock();
  auto prepared = prepare_segment(request);
  lock.lock();
  prepare_request_.reset();
  // When it fails the store makes this segment itself, and reports why it cannot.
  prepare_failed_ = !prepared.has_value();
  if (prepared) prepared_ = *std::move(prepared);
}

void LogThread::retire_files(std::unique_lock<std::mutex>& lock) {
  const RetiredSegments retired = std::move(retired_.front());
  retired_.pop_front();
  lock.unlock();
  const Status status = retire_segments(store_->files(), store_->directory(), retired);
  lock.lock();
  if (status) return;
  retire_failure_ = status.error();
  work_.notify_one();
}

}  // namespace bib::engine
