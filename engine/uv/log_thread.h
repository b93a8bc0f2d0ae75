// LogThread: the thread that owns the LogStore and waits for the disk, so that no other does.
//
// submit(), metrics() and stop() belong to the node loop. Everything that has been submitted while
// a sync was under way goes into the next one (group commit without a timer). The callbacks run on
// the log thread and must only hand over (a mailbox); they are never called again once stop() or
// the destructor has returned. A second, small thread writes the next segment's zeros ahead, and
// lets go of segments that were compacted away.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engine/storage/log_store.h"
#include "wire/base/result.h"

namespace bib::engine {

// The write `append_sequence`, and with it every earlier one, is durable; `end` is the log's last
// entry since then.
struct LogDurable {
  std::uint64_t append_sequence = 0;
  wire::LogPosition end;
};

struct LogThreadOptions {
  std::size_t queue_writes_max = 4096;
  std::uint64_t queue_bytes_max = 64U << 20;      // one write is always taken by an empty queue
  std::uint64_t batch_bytes_max = 8U << 20;       // of one sync; one write is always taken
  std::chrono::milliseconds watermark_after{50};  // idle time
  std::function<void(const LogDurable&)> on_durable;
  // The log's files begin after this entry since compact(); not called where nothing could go.
  std::function<void(wire::LogPosition base)> on_compacted = {};
  // The disk failed; the node must stop. Called once, and nothing is durable after it.
  std::function<void(const wire::Error&)> on_failed;
};

struct LogThreadMetrics {
  std::uint64_t batches = 0;
  std::uint64_t writes = 0;
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  // on disk, with headers and padding
  std::uint64_t segments_not_ready = 0;
  std::chrono::microseconds append_last{0};  // write and sync
  std::chrono::microseconds append_max{0};
  // How long the write under way has taken so far; 0: none. A leader whose disk stalls sees it here
  // while it waits.
  std::chrono::microseconds append_running{0};
  std::size_t queued_writes = 0;
};

class LogThread {
 public:
  LogThread(std::unique_ptr<LogStore> store, LogThreadOptions options);
  // Like stop().
  ~LogThread();
  LogThread(const LogThread&) = delete;
  LogThread& operator=(const LogThread&) = delete;

  // False: the queue is full (on_durable will come before there is room), the disk has failed, or
  // stop() was called; the write was left as it was.
  [[nodiscard]] bool submit(LogStoreWrite&& write);
  // LogStore::compact_to(), between two batches. A later call replaces one that waits.
  void compact(wire::LogIndex index);
  // Makes all that was submitted durable, and `rest` after it, for which there is room now; closes
  // the log, ends the threads. The store's verdict.
  wire::Status stop(std::vector<LogStoreWrite> rest = {});
  LogThreadMetrics metrics() const;

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  // False: stopping, and nothing is left to do.
  bool wait_for_work(std::unique_lock<std::mutex>& lock, bool& idle);
  void take_batch();
  void append_batch();
  void compact_log(wire::LogIndex index);
  void fail(const wire::Error& error);
  void run_preparer();
  void prepare_segment_file(std::unique_lock<std::mutex>& lock);
  void retire_files(std::unique_lock<std::mutex>& lock);
  void exchange_prepared();

  const std::unique_ptr<LogStore> store_;  // the log thread's, until it has ended
  const LogThreadOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::deque<LogStoreWrite> queue_;
  std::uint64_t queue_bytes_ = 0;
  std::optional<wire::LogIndex> compact_to_;
  bool stopping_ = false;
  std::optional<wire::Error> failure_;
  LogThreadMetrics metrics_;
  std::optional<Clock::time_point> append_began_;

  std::vector<LogStoreWrite> batch_;  // the log thread's
  wire::Status outcome_;              // of close(); valid once the thread has ended

  // Shared by the log thread and the preparing one, under mutex_.
  std::condition_variable prepare_;
  std::optional<SegmentRequest> prepare_request_;
  std::optional<PreparedSegment> prepared_;
  std::deque<RetiredSegments> retired_;
  bool prepare_failed_ = false;
  std::uint64_t prepare_asked_at_ = 0;  // how many segments the store had made
  bool preparing_stops_ = false;
  std::optional<wire::Error> retire_failure_;  // for the log thread to report

  std::thread preparer_;
  std::thread thread_;
};

}  // namespace bib::engine
