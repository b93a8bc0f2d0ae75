// SimLog: the log's port over the real LogStore and a simulated disk: what the log's thread is in a
// process (uv/log_thread.h), in simulated time.
//
// An append takes time and happens at the end of it; a crash in between leaves the disk after any
// of its file operations. The queue is bounded as the thread's is.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "engine/ports/log_port.h"
#include "engine/storage/log_reader.h"
#include "engine/storage/log_store.h"
#include "sim_machine.h"

namespace bib::sim {

// Told of what the disk has, as soon as it has it.
class LogWatcher {
 public:
  virtual ~LogWatcher() = default;
  virtual void on_durable_writes(const std::vector<engine::LogStoreWrite>& writes) = 0;
  // An append may have got any part of the way.
  virtual void on_writes_in_doubt(const std::vector<engine::LogStoreWrite>& writes) = 0;
  virtual void on_cut(wire::LogIndex base) = 0;
  virtual void on_cut_in_doubt(wire::LogIndex base) = 0;
};

class SimLog final : public engine::LogPort {
 public:
  SimLog(SimMachine& machine, LogWatcher& watcher, std::unique_ptr<engine::LogStore> store,
         std::shared_ptr<engine::LogReader> reader);
  void attach(engine::LogEvents& events) { events_ = &events; }

  const engine::LogStore& store() const { return *store_; }
  void stall(Time until) { stalls_until_ = until; }
  // The process ends: what is under way gets some part of the way.
  void end_halfway();

  [[nodiscard]] bool submit(engine::LogStoreWrite&& write) override;
  void read(std::uint64_t token, wire::LogIndex first, wire::LogIndex last,
            std::size_t bytes_max) override;
  void compact(wire::LogIndex index) override;
  std::chrono::microseconds append_running() const override;
  wire::Status stop(std::vector<engine::LogStoreWrite> rest) override;

 private:
  void begin_append();
  void finish_append();
  void compact_now();
  void fail(const wire::Error& error);
  void prepare();

  SimMachine& machine_;
  LogWatcher& watcher_;
  std::unique_ptr<engine::LogStore> store_;
  std::shared_ptr<engine::LogReader> reader_;
  engine::LogEvents* events_ = nullptr;

  std::deque<engine::LogStoreWrite> queue_;
  std::vector<engine::LogStoreWrite> appending_;
  std::uint32_t appends_ = 0;  // numbers the idle timers
  Time append_began_ = 0;      // of the one under way
  Time stalls_until_ = 0;
  wire::LogIndex compact_to_;  // as soon as nothing is being written; 0: nothing to do
  bool prepares_ = false;
  bool stopped_ = false;
  std::optional<wire::Error> failure_;
};

}  // namespace bib::sim
