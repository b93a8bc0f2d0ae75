#include "engine/store_writer.h"

#include <utility>

#include "wire/check.h"

namespace bib::engine {

StoreWriter::StoreWriter(EventLoop& loop, projections::RocksStore& store,
                         std::function<void(wire::Result<wire::LogIndex>)> on_written)
    : store_(store),
      mailbox_(loop, 16,
               [this](wire::Result<wire::LogIndex>&& result) {
                 busy_ = false;
                 on_written_(std::move(result));
               }),
      on_written_(std::move(on_written)),
      thread_([this] { run(); }) {}

StoreWriter::~StoreWriter() {
  if (thread_.joinable()) (void)finish({});
}

void StoreWriter::write(std::vector<projections::DeltaPtr> deltas) {
  BIB_CHECK(!busy_ && !deltas.empty());
  busy_ = true;
  {
    const std::lock_guard lock(mutex_);
    work_ = std::move(deltas);
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
  if (!deltas.empty()) BIB_TRY_VOID(projections::store_deltas(deltas, store_));
  return store_.flush();
}

void StoreWriter::run() {
  while (true) {
    std::vector<projections::DeltaPtr> deltas;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !work_.empty(); });
      if (work_.empty()) return;
      deltas.swap(work_);
    }
    const wire::LogIndex index = deltas.back()->mark().applied_index;
    const wire::Status status = projections::store_deltas(deltas, store_);
    wire::Result<wire::LogIndex> result = index;
    if (!status) result = tl::unexpected(status.error());
    BIB_CHECK(mailbox_.post(std::move(result)), "one write is under way at a time");
  }
}

}  // namespace bib::engine
