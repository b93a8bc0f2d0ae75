// StoreWriter: the store thread. Carries frozen deltas into RocksDB, in order, each time as one
// batch with the applied index.
//
// Made, fed and destroyed on the node loop; one hand-over is under way at a time, so nothing piles
// up here (the deltas themselves are bounded by the node). The answer comes through a mailbox.
// Destruction waits for the thread, which makes everything durable before it ends.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engine/event_loop.h"
#include "engine/mailbox.h"
#include "projections/delta.h"
#include "projections/rocks_state.h"
#include "wire/result.h"

namespace bib::engine {

class StoreWriter {
 public:
  // `on_written` gets the index up to which the store now stands, or why it failed.
  StoreWriter(EventLoop& loop, projections::RocksStore& store,
              std::function<void(wire::Result<wire::LogIndex>)> on_written);
  ~StoreWriter();
  StoreWriter(const StoreWriter&) = delete;
  StoreWriter& operator=(const StoreWriter&) = delete;

  bool is_busy() const { return busy_; }
  // Oldest first, not empty; not while busy.
  void write(std::vector<projections::DeltaPtr> deltas);

  // Writes the last deltas (may be none) and flushes the store; the thread has ended after this.
  wire::Status finish(std::vector<projections::DeltaPtr> deltas);

 private:
  void run();

  projections::RocksStore& store_;
  Mailbox<wire::Result<wire::LogIndex>> mailbox_;
  std::function<void(wire::Result<wire::LogIndex>)> on_written_;
  bool busy_ = false;  // node loop

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<projections::DeltaPtr> work_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace bib::engine
