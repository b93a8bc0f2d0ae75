// What RocksDB's own threads meet and do: damage is noted, a merge that found no room is left for
// RocksDB to repeat, and no merge is put in place while files are taken in.
//
// The last is for a fault of RocksDB 7.8. IngestExternalFiles() looks for older rows in the version
// that readers see, and for files in the newest one. They differ when a merge by another thread
// was written to the MANIFEST together with the ingestion's own entry and that thread has not run
// since: older rows are missed then, and the new ones are taken for older than those. So a merge's
// thread and an ingestion exclude each other, from before the one's entry until readers see it.
#pragma once

#include <rocksdb/listener.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "wire/base/result.h"

namespace bib::projections {

// The store's thread ingests; all else is called by any thread of RocksDB's, which holds no lock
// then. Outlives the database: it is among its options.
class RocksEvents final : public rocksdb::EventListener {
 public:
  explicit RocksEvents(std::string directory) : directory_(std::move(directory)) {}

  // The first damage that anybody has met. Any thread.
  std::optional<wire::Error> damage() const;
  // The last merge of some family found no room. Any thread.
  bool lacks_room() const;
  // Before it is closed, for whoever waits here; and after it: another one may lie there soon.
  void closes();
  void forget();
  // As projections::check(); notes damage. Any thread.
  wire::Status check(const rocksdb::Status& status, std::string_view doing);

  // False: a merge was still being put in place after that time, and files must not be taken in.
  // True: none is until end_ingestion().
  bool begin_ingestion(std::chrono::milliseconds within);
  void end_ingestion();

  // A merge without room loses nothing, and is tried again. As an error it would fail every flush,
  // of all families at once, until it is cleared (7.8, "atomic_flush").
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override;
  // RocksDB's recovery can end without a word to the close that waits for it (7.8, soft errors). A
  // store that failed is opened again by the node's next start.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason reason, rocksdb::Status status,
                            bool* recovers) override;
  // Between the first two callbacks, a job may turn out to be a mere move, which is put in place at
  // once. After one that found no room, RocksDB's thread pauses (which merges for all families):
  // it would fill the disk each second.
  void OnCompactionBegin(rocksdb::DB* db, const rocksdb::CompactionJobInfo& job) override;
  void OnSubcompactionBegin(const rocksdb::SubcompactionJobInfo& part) override;
  void OnSubcompactionCompleted(const rocksdb::SubcompactionJobInfo& part) override;
  void OnCompactionCompleted(rocksdb::DB* db, const rocksdb::CompactionJobInfo& job) override;

 private:
  // Holds the lock, but for while it waits.
  void await_ingestion(int job, std::unique_lock<std::mutex>& lock);

  const std::string directory_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<wire::Error> damage_;
  std::set<std::uint32_t> without_room_;  // families whose last merge found none
  bool closes_ = false;
  bool is_ingesting_ = false;
  std::set<int> begun_;    // jobs of RocksDB's own threads; not those that the store asks for
  std::set<int> install_;  // those of them that may be about to be put in place
};

}  // namespace bib::projections
