#include "engine/uv/store_thread.h"

#include <utility>

#include "engine/uv/thread_name.h"
#include "wire/base/check.h"

namespace bib::engine {
namespace {

constexpr std::size_t kJobsMax = 64;

}  // namespace

StoreThread::StoreThread(EventLoop& loop)
    : mailbox_(loop, kJobsMax,
               [this](std::function<void()>&& done) {
                 --under_way_;
                 done();
               }),
      thread_([this] { run_jobs(); }) {}

StoreThread::~StoreThread() {
  stop();
}

void StoreThread::run(std::function<void()> work, std::function<void()> done) {
  BIB_CHECK(under_way_ < kJobsMax, "{} jobs wait for the store", under_way_);
  ++under_way_;
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({std::move(work), std::move(done)});
  }
  wake_.notify_one();
}

void StoreThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void StoreThread::run_jobs() {
  name_this_thread("bib-store");
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job.work();
    job.work = nullptr;  // what it holds goes before anybody is told
    BIB_CHECK(mailbox_.post(std::move(job.done)), "more answers than jobs");
  }
}

}  // namespace bib::engine
