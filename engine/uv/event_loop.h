// EventLoop: one libuv loop and the discipline around it.
//
// Collect in callbacks, act once per turn: callbacks of sockets, timers and mailboxes only record;
// the turn handler runs once per iteration, in uv_prepare, just before the loop would block (timers
// fire before the poll in libuv 1.44, so uv_check would act too early). An EventLoop belongs to the
// thread that calls run(); everything on it is used from that thread only, except wake-ups through
// Mailbox.
//
// A loop that sleeps is woken late: on a virtual machine whose core has gone idle, a wake-up takes
// about as long as a small write to a disk. So a turn that has just sent something off whose answer
// comes soon says so (poll_soon()), and the loop looks for it for up to kPollTime without sleeping,
// yielding the core to other threads. Where the answers take longer than that, it soon stops
// trying.
//
// A libuv handle's memory is libuv's until its close callback: owners give up a handle with
// close_and_delete() and never touch it again.
#pragma once

#include <uv.h>

#include <chrono>
#include <cstdint>
#include <functional>

#include "engine/ports/turns.h"
#include "wire/base/result.h"

namespace bib::engine {

class EventLoop final : public Turns {
 public:
  EventLoop();
  // The loop must be empty: run() has returned and every handle has been given up.
  ~EventLoop() override;
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  uv_loop_t* raw() { return &loop_; }

  // Called once per iteration before the loop blocks. Set before run().
  void set_turn_handler(std::function<void()> handler) { turn_handler_ = std::move(handler); }
  // The next iteration does not block: the turn handler has more to do.
  void continue_soon() override;

  // For the turn handler: something is about to happen, so look for it before sleeping, this time.
  void poll_soon() override { poll_wanted_ = true; }

  static constexpr std::chrono::microseconds kPollTime{100};
  // After so many looks in a row that found nothing, only one turn in kPollRetry looks.
  static constexpr std::uint64_t kPollMisses = 8;
  static constexpr std::uint64_t kPollRetry = 64;
  struct PollCounters {
    std::uint64_t found = 0;
    std::uint64_t missed = 0;   // nothing came in time
    std::uint64_t skipped = 0;  // not tried, because it was in vain lately
  };
  const PollCounters& poll_counters() const { return poll_counters_; }

  // Runs until stop() was called, then closes the loop's own handles and runs until all handles are
  // gone. Returns uv_loop_close()'s verdict: kIo if handles were left.
  wire::Status run();
  void stop();

  // Milliseconds of the loop's monotonic clock, as of this iteration.
  std::uint64_t now_ms() const override { return uv_now(&loop_); }

 private:
  static void on_prepare(uv_prepare_t* handle);
  void poll_before_sleep();

  uv_loop_t loop_;
  uv_prepare_t prepare_;
  uv_idle_t idle_;
  std::function<void()> turn_handler_;
  bool poll_wanted_ = false;
  std::uint64_t poll_misses_ = 0;  // in a row, and turns that were skipped since
  PollCounters poll_counters_;
  bool stopping_ = false;
  bool closed_ = false;
};

// Gives a heap-allocated handle back: closes it and deletes it in the close callback.
template <typename Handle>
void close_and_delete(Handle* handle) {
  uv_close(reinterpret_cast<uv_handle_t*>(handle),
           [](uv_handle_t* closed) { delete reinterpret_cast<Handle*>(closed); });
}

// A repeating or single timer on a loop; stops and gives its handle up when destroyed.
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> on_fire);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // repeat_ms 0: once.
  void start(std::uint64_t after_ms, std::uint64_t repeat_ms);
  void stop();

 private:
  struct State {
    uv_timer_t handle;
    std::function<void()> on_fire;
  };
  State* state_;
};

// Runs `work` on libuv's pool and then `done` on the loop. `work` must own what it touches.
void run_on_pool(EventLoop& loop, std::function<void()> work, std::function<void()> done);

wire::Error uv_error(int status, std::string_view what);

}  // namespace bib::engine
