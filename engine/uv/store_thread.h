// StoreThread: the thread on which everything that blocks on RocksDB runs: writing deltas,
// checkpoints, and exchanging the store's files.
//
// Made, fed and destroyed on the node loop. Jobs run one after another; there are few of them (the
// node starts none while one is under way, is_busy()), so nothing piles up here. The answers come
// through a mailbox. Destruction waits for the jobs that were asked for.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "engine/ports/store_port.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/mailbox.h"

namespace bib::engine {

class StoreThread final : public StorePort {
 public:
  explicit StoreThread(EventLoop& loop);
  ~StoreThread() override;
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;

  bool is_busy() const override { return under_way_ > 0; }
  void run(std::function<void()> work, std::function<void()> done) override;
  void stop() override;

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  void run_jobs();

  Mailbox<std::function<void()>> mailbox_;
  std::size_t under_way_ = 0;  // node loop

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace bib::engine
