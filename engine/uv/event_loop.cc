#include "engine/uv/event_loop.h"

#include <poll.h>
#include <sched.h>

#include <memory>
#include <utility>

#include "engine/uv/thread_name.h"
#include "wire/base/check.h"

namespace bib::engine {

namespace {

// libuv's default of four leaves none to the log's reads while two names are looked up and two jobs
// run: look-ups take half of the threads at most, jobs UvPool::kJobsMax.
constexpr const char* kPoolThreads = "6";

}  // namespace

EventLoop::EventLoop() {
  // Read when something runs on the pool for the first time; an operator's own value stays.
  static const int set = ::setenv("UV_THREADPOOL_SIZE", kPoolThreads, 0);
  BIB_CHECK(set == 0);
  BIB_CHECK(uv_loop_init(&loop_) == 0);
  loop_.data = this;
  BIB_CHECK(uv_prepare_init(&loop_, &prepare_) == 0);
  prepare_.data = this;
  BIB_CHECK(uv_idle_init(&loop_, &idle_) == 0);
  idle_.data = this;
}

EventLoop::~EventLoop() {
  BIB_CHECK(closed_, "an event loop was destroyed before it was run out");
}

void EventLoop::on_prepare(uv_prepare_t* handle) {
  auto* self = static_cast<EventLoop*>(handle->data);
  if (self->turn_handler_) self->turn_handler_();
  if (std::exchange(self->poll_wanted_, false)) self->poll_before_sleep();
}

// libuv takes what is ready from its epoll descriptor right after this, so looking whether that is
// readable is enough: nothing is taken from it here.
void EventLoop::poll_before_sleep() {
  if (uv_backend_timeout(&loop_) == 0) return;  // it will not sleep
  if (poll_misses_ >= kPollMisses && ++poll_misses_ % kPollRetry != 0) {
    ++poll_counters_.skipped;
    return;
  }
  pollfd backend{uv_backend_fd(&loop_), POLLIN, 0};
  const std::uint64_t end =
      uv_hrtime() + static_cast<std::uint64_t>(std::chrono::nanoseconds(kPollTime).count());
  do {
    if (poll(&backend, 1, 0) != 0) {
      poll_misses_ = 0;
      ++poll_counters_.found;
      return;
    }
    sched_yield();
  } while (uv_hrtime() < end);
  ++poll_misses_;
  ++poll_counters_.missed;
}

void EventLoop::continue_soon() {
  // An active idle handle makes the next poll return at once; it stops itself.
  uv_idle_start(&idle_, [](uv_idle_t* idle) { uv_idle_stop(idle); });
}

wire::Status EventLoop::run() {
  uv_prepare_start(&prepare_, on_prepare);
  while (!stopping_) uv_run(&loop_, UV_RUN_ONCE);
  uv_prepare_stop(&prepare_);
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);
  closed_ = true;
  const int status = uv_loop_close(&loop_);
  if (status != 0) return tl::unexpected(uv_error(status, "closing the event loop"));
  return {};
}

void EventLoop::stop() {
  stopping_ = true;
}

Timer::Timer(EventLoop& loop, std::function<void()> on_fire)
    : state_(new State{{}, std::move(on_fire)}) {
  BIB_CHECK(uv_timer_init(loop.raw(), &state_->handle) == 0);
  state_->handle.data = state_;
}

Timer::~Timer() {
  uv_timer_stop(&state_->handle);
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

void Timer::start(std::uint64_t after_ms, std::uint64_t repeat_ms) {
  // The loop's cached time may be old after a long turn; a timer counts from now.
  uv_update_time(state_->handle.loop);
  uv_timer_start(
      &state_->handle, [](uv_timer_t* timer) { static_cast<State*>(timer->data)->on_fire(); },
      after_ms, repeat_ms);
}

void Timer::stop() {
  uv_timer_stop(&state_->handle);
}

namespace {

struct PoolJob {
  uv_work_t request;
  std::function<void()> work;
  std::function<void()> done;
};

}  // namespace

void run_on_pool(EventLoop& loop, std::function<void()> work, std::function<void()> done) {
  auto job = std::make_unique<PoolJob>(PoolJob{{}, std::move(work), std::move(done)});
  job->request.data = job.get();
  const int status = uv_queue_work(
      loop.raw(), &job->request,
      [](uv_work_t* request) {
        name_this_thread("bib-pool");
        static_cast<PoolJob*>(request->data)->work();
      },
      [](uv_work_t* request, int) {
        const std::unique_ptr<PoolJob> finished(static_cast<PoolJob*>(request->data));
        finished->done();
      });
  BIB_CHECK(status == 0, "uv_queue_work: {}", uv_strerror(status));
  job.release();  // until the callback above takes it back
}

wire::Error uv_error(int status, std::string_view what) {
  return wire::Error{wire::ErrorCode::kIo, fmt::format("{}: {}", what, uv_strerror(status))};
}

}  // namespace bib::engine
