// What the tests of snapshots share: a state in RocksDB on a test's disk, snapshots of it, and
// executors and networks that do what they are told when they are told.
#pragma once

#include <rocksdb/env.h>
#include <catch2/catch.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/ports/executor.h"
#include "engine/ports/peer_port.h"
#include "engine/storage/log_store.h"
#include "engine/storage/snapshot_files.h"
#include "engine/storage/state_recovery.h"
#include "faulty_file_system.h"
#include "file_system_env.h"
#include "log_model.h"
#include "projections/apply/checkpoint.h"
#include "projections/apply/projector.h"
#include "projections/apply/replay.h"
#include "projections/state/rocks_state.h"
#include "wire/base/prng.h"

namespace bib::engine {

inline constexpr char kDataDirectory[] = "/data";
inline constexpr char kSnapshotRoot[] = "/data/snapshots";

template <typename T>
T must(wire::Result<T> result) {
  if (!result) FAIL(result.error().message);
  return *std::move(result);
}
inline void must(const wire::Status& status) {
  if (!status) FAIL(status.error().message);
}

// Entries 1, 2, ... of term 1, each with one event that sets a key.
std::vector<wire::Bytes> log_of(std::uint64_t count);

// A state on `files` with the entries applied and everything flushed; `up_to` of them.
projections::StateMark fill_state(FileSystem& files, const std::string& directory,
                                  const std::vector<wire::Bytes>& log, std::uint64_t up_to);
// The mark of a state whose rows have the digests that it claims.
projections::StateMark verified_state(FileSystem& files, const std::string& directory);

// The log of the node that made the snapshots.
inline constexpr std::uint64_t kMakersLog = 0xfeed;
// A snapshot at `index`, durable under its name.
wire::SnapshotManifest make_snapshot(FileSystem& files, const std::string& root,
                                     const std::vector<wire::Bytes>& log, std::uint64_t index);

// A node's data directory: rows at 5 and a log that ends at 8; and a snapshot at 30 beside them.
struct Scene {
  std::vector<wire::Bytes> log = log_of(30);
  FaultyFileSystem files;
  wire::SnapshotManifest snapshot;

  Scene();
};

// What a node has opened when it starts there.
struct Started {
  LogStore::Recovered log;
  std::unique_ptr<rocksdb::Env> env;
  RecoveredState state;
  std::string news;  // what it has said, a line each
};
wire::Result<Started> start(FileSystem& files);
// What a node is told that must not start: its directory is moved away, and it joins from an empty
// one, with a new log.
void join_from_empty_directory(FileSystem& files);

// The next moment to crash at: every one in the beginning and at the end, some of those in between,
// most of which are RocksDB's.
inline std::uint64_t next_crash(std::uint64_t last, std::uint64_t operations) {
  return last + (last > 40 && last + 20 < operations ? 9 : 1);
}

// Jobs wait until they are let go: all of them, or one at a time.
class ManualExecutor final : public Executor {
 public:
  void run(std::function<void()> work, std::function<void()> done) override {
    jobs_.push_back({std::move(work), std::move(done)});
  }
  std::size_t waiting() const { return jobs_.size(); }
  bool step() {
    if (jobs_.empty()) return false;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    job.work();
    job.done();
    return true;
  }
  void run_all() {
    while (step()) {
    }
  }

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  std::deque<Job> jobs_;
};

}  // namespace bib::engine
