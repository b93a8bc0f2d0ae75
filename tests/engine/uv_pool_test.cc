#include "engine/uv/uv_pool.h"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

using namespace bib::engine;

namespace {

// Jobs that run until they are let go.
class Gate {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

}  // namespace

TEST_CASE("a read of the log does not wait for lists and hashing, however many there are") {
  EventLoop loop;
  std::optional<UvPool> pool(loop);
  Gate gate;
  constexpr int kLists = 20;
  std::vector<int> ended;
  for (int i = 0; i < kLists; ++i) {
    pool->run([&] { gate.wait(); }, [&, i] { ended.push_back(i); });
  }
  std::size_t ended_before_read = kLists;
  run_on_pool(
      loop, [] {},
      [&] {
        ended_before_read = ended.size();
        gate.open();
      });
  loop.set_turn_handler([&] {
    if (ended.size() < kLists) return;
    loop.stop();
    loop.continue_soon();  // nothing else would wake it
  });
  REQUIRE(loop.run());
  CHECK(ended_before_read == 0);
  CHECK(ended.size() == kLists);
}

TEST_CASE("a read of the log finds a thread beside all jobs and names that are looked up") {
  EventLoop loop;
  std::optional<UvPool> pool(loop);
  Gate gate;
  constexpr int kLookUps = 3;  // libuv lets them have half of the threads
  int ended = 0;
  for (int i = 0; i < kLookUps; ++i)
    run_on_pool(
        loop, [&] { gate.wait(); }, [&] { ++ended; });
  for (std::size_t i = 0; i < UvPool::kJobsMax; ++i) {
    pool->run([&] { gate.wait(); }, [&] { ++ended; });
  }
  int ended_before_read = -1;
  run_on_pool(
      loop, [] {},
      [&] {
        ended_before_read = ended;
        gate.open();
      });
  loop.set_turn_handler([&] {
    if (ended < kLookUps + static_cast<int>(UvPool::kJobsMax)) return;
    loop.stop();
    loop.continue_soon();
  });
  REQUIRE(loop.run());
  CHECK(ended_before_read == 0);
}

TEST_CASE("jobs that have not started when their pool ends are dropped") {
  EventLoop loop;
  std::optional<UvPool> pool(loop);
  Gate gate;
  std::size_t started = 0;
  std::mutex mutex;
  std::size_t ended = 0;
  for (int i = 0; i < 10; ++i) {
    pool->run(
        [&] {
          {
            const std::lock_guard lock(mutex);
            ++started;
          }
          gate.wait();
        },
        [&] { ++ended; });
  }
  pool.reset();
  gate.open();
  loop.set_turn_handler([&] {
    if (ended < UvPool::kJobsMax) return;
    loop.stop();
    loop.continue_soon();
  });
  REQUIRE(loop.run());
  CHECK(started == UvPool::kJobsMax);
}
