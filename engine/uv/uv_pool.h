// UvPool: libuv's pool as an executor, of which it takes a part.
//
// Lives on the loop, which gets the answers. Lists, feeds and the hashing of snapshots run here;
// reads of the log for followers and for applying go to libuv's pool themselves (UvLog), and find
// a thread free whatever waits here. Jobs start in the order in which they came; those that have
// not started when the pool is destroyed are dropped.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <utility>

#include "engine/ports/executor.h"
#include "engine/ports/lifetime.h"
#include "engine/uv/event_loop.h"

namespace bib::engine {

class UvPool final : public Executor {
 public:
  static constexpr std::size_t kJobsMax = 2;  // at a time, of libuv's six threads (event_loop.cc)

  explicit UvPool(EventLoop& loop) : loop_(loop) {}
  void run(std::function<void()> work, std::function<void()> done) override {
    waiting_.push_back({std::move(work), std::move(done)});
    start_next();
  }

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };

  void start_next() {
    if (running_ == kJobsMax || waiting_.empty()) return;
    ++running_;
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    auto and_then = lifetime_.guarded([](UvPool& self) {
      --self.running_;
      self.start_next();
    });
    run_on_pool(loop_, std::move(job.work),
                [done = std::move(job.done), and_then = std::move(and_then)]() mutable {
                  and_then();  // first: `done` may end the pool
                  done();
                });
  }

  EventLoop& loop_;
  std::deque<Job> waiting_;
  std::size_t running_ = 0;
  Lifetime<UvPool> lifetime_{this};
};

}  // namespace bib::engine
