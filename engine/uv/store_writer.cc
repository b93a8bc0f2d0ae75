#include "engine/uv/store_writer.h"

#include <memory>
#include <utility>

#include "wire/base/check.h"

namespace bib::engine {
namespace {

constexpr std::size_t kJobsMax = 64;

}  // namespace

StoreWriter::StoreWriter(EventLoop& loop, projections::DurableStore& store,
                         std::function<void(wire::Result<wire::LogIndex>)> on_written)
    : store_(store),
      mailbox_(loop, kJobsMax,
               [this](std::function<void()>&& done) {
                 --under_way_;
                 done();
               }),
      on_written_(std::move(on_written)),
      thread_([this] { run_jobs(); }) {}

StoreWriter::~StoreWriter() {
  if (thread_.joinable()) (void)finish({});
}

void StoreWriter::write(std::vector<projections::DeltaPtr> deltas) {
  BIB_CHECK(!is_busy() && !deltas.empty());
  auto result = std::make_shared<wire::Result<wire::LogIndex>>();
  run(
      [&store = store_, deltas = std::move(deltas), result] {
        const wire::Status status = projections::store_deltas(deltas, store);
        if (status) {
          *result = deltas.back()->mark().applied_index;
        } else {
          *result = tl::unexpected(status.error());
        }
      },
      [this, result] { on_written_(std::move(*result)); });
}

void StoreWriter::run(std::function<void()> work, std::function<void()> done) {
  BIB_CHECK(under_way_ < kJobsMax, "{} jobs wait for the store", under_way_);
  ++under_way_;
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({std::move(work), std::move(done)});
  }
  wake_.notify_one();
}

wire::Status StoreWriter::finish(std::vector<projections::DeltaPtr> deltas) {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  if (!store_.is_open())
    return {};  // its files were being exchanged: the next start completes that
  if (!deltas.empty()) BIB_TRY_VOID(projections::store_deltas(deltas, store_));
  return store_.flush();
}

void StoreWriter::run_jobs() {
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
