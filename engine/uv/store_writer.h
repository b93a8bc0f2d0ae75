// StoreWriter: the store thread. Carries frozen deltas into RocksDB, in order, each time as one
// batch with the applied index; and does whatever else blocks on the store: checkpoints, and
// exchanging its files.
//
// Made, fed and destroyed on the node loop. Jobs run one after another; there are few of them (the
// node starts none while one is under way, is_busy()), so nothing piles up here. The answers come
// through a mailbox. Destruction waits for the thread, which makes everything durable before it
// ends.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/ports/executor.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/mailbox.h"
#include "projections/state/delta.h"
#include "projections/state/rocks_state.h"
#include "wire/base/result.h"

namespace bib::engine {

class StoreWriter final : public Executor {
 public:
  // `on_written` gets the index up to which the store now stands, or why it failed.
  StoreWriter(EventLoop& loop, projections::DurableStore& store,
              std::function<void(wire::Result<wire::LogIndex>)> on_written);
  ~StoreWriter() override;
  StoreWriter(const StoreWriter&) = delete;
  StoreWriter& operator=(const StoreWriter&) = delete;

  bool is_busy() const { return under_way_ > 0; }
  // Oldest first, not empty; not while busy.
  void write(std::vector<projections::DeltaPtr> deltas);
  // On the store thread, behind what was asked for before.
  void run(std::function<void()> work, std::function<void()> done) override;

  // Ends the thread behind its jobs (nobody is told of them any more), writes the last deltas (may
  // be none) and flushes the store.
  wire::Status finish(std::vector<projections::DeltaPtr> deltas);

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  void run_jobs();

  projections::DurableStore& store_;
  Mailbox<std::function<void()>> mailbox_;
  std::function<void(wire::Result<wire::LogIndex>)> on_written_;
  std::size_t under_way_ = 0;  // node loop

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace bib::engine
