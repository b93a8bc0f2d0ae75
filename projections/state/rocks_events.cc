#include "projections/state/rocks_events.h"

#include "projections/state/rocks_report.h"

namespace bib::projections {

namespace {

constexpr std::chrono::seconds kRoomPause(10);

}  // namespace

std::optional<wire::Error> RocksEvents::damage() const {
  const std::scoped_lock lock(mutex_);
  return damage_;
}

bool RocksEvents::lacks_room() const {
  const std::scoped_lock lock(mutex_);
  return !without_room_.empty();
}

void RocksEvents::closes() {
  const std::scoped_lock lock(mutex_);
  closes_ = true;
  changed_.notify_all();
}

void RocksEvents::forget() {
  const std::scoped_lock lock(mutex_);
  damage_.reset();
  without_room_.clear();
  closes_ = false;
  begun_.clear();  // where it is closed, RocksDB does not tell of their ends
  install_.clear();
}

wire::Status RocksEvents::check(const rocksdb::Status& status, std::string_view doing) {
  wire::Status checked = projections::check(status, doing, directory_);
  if (!checked && checked.error().code == wire::ErrorCode::kCorrupt) {
    const std::scoped_lock lock(mutex_);
    if (!damage_) damage_ = checked.error();
  }
  return checked;
}

void RocksEvents::OnBackgroundError(rocksdb::BackgroundErrorReason reason,
                                    rocksdb::Status* status) {
  (void)check(*status, "merging or flushing by itself");
  if (reason == rocksdb::BackgroundErrorReason::kCompaction && projections::lacks_room(*status)) {
    *status = rocksdb::Status::OK();
  }
}

void RocksEvents::OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/,
                                       rocksdb::Status /*status*/, bool* recovers) {
  *recovers = false;
}

// ---- merges and ingestions

bool RocksEvents::begin_ingestion(std::chrono::milliseconds within) {
  std::unique_lock lock(mutex_);
  is_ingesting_ = changed_.wait_for(lock, within, [this] { return install_.empty(); });
  return is_ingesting_;
}

void RocksEvents::end_ingestion() {
  const std::scoped_lock lock(mutex_);
  is_ingesting_ = false;
  changed_.notify_all();
}

void RocksEvents::await_ingestion(int job, std::unique_lock<std::mutex>& lock) {
  changed_.wait(lock, [this] { return !is_ingesting_; });
  install_.insert(job);
}

void RocksEvents::OnCompactionBegin(rocksdb::DB* /*db*/, const rocksdb::CompactionJobInfo& job) {
  std::unique_lock lock(mutex_);
  await_ingestion(job.job_id, lock);
  begun_.insert(job.job_id);
}

void RocksEvents::OnSubcompactionBegin(const rocksdb::SubcompactionJobInfo& part) {
  const std::scoped_lock lock(mutex_);
  install_.erase(part.job_id);
  changed_.notify_all();
}

void RocksEvents::OnSubcompactionCompleted(const rocksdb::SubcompactionJobInfo& part) {
  std::unique_lock lock(mutex_);
  if (begun_.contains(part.job_id)) await_ingestion(part.job_id, lock);
}

void RocksEvents::OnCompactionCompleted(rocksdb::DB* /*db*/,
                                        const rocksdb::CompactionJobInfo& job) {
  std::unique_lock lock(mutex_);
  begun_.erase(job.job_id);
  install_.erase(job.job_id);
  changed_.notify_all();
  if (job.status.ok()) without_room_.erase(job.cf_id);
  if (!projections::lacks_room(job.status)) return;
  without_room_.insert(job.cf_id);
  changed_.wait_for(lock, kRoomPause, [this] { return closes_; });
}

}  // namespace bib::projections
