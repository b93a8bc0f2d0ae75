// LogStore: a node's Raft log, term and vote on disk. Appends, truncates, rolls, recovers.
//
// Has no thread and no clock of its own: LogThread drives it in a node, the simulator in a
// simulation. Used by one thread at a time and never by two. All calls block on the disk.
//
// One append() is one write and one sync, in a pre-written file, so that no metadata changes. What
// append() has returned for is durable, and published in locations() for readers.
//
// Any failed write or sync leaves the store failed: that call and every later one returns the same
// error. Nothing is retried, because after a failed sync no one knows what is on the disk; a new
// open() finds out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "consensus/log_view.h"
#include "consensus/raft_types.h"
#include "engine/ports/file.h"
#include "engine/ports/log_port.h"
#include "engine/storage/log_locations.h"
#include "engine/storage/log_recovery.h"
#include "engine/storage/log_segment.h"
#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/log/log_format.h"
#include "wire/log/log_start.h"

namespace bib::engine {

// What was taken off the log's beginning: files that are no longer needed, lowest number first.
struct RetiredSegments {
  wire::LogPosition base;  // the log begins after it now
  std::vector<std::string> paths;
};

// Lets go of retired files: the one place where the log's past ends. May run on any thread that may
// block, beside the store.
wire::Status retire_segments(FileSystem& files, const std::string& directory,
                             const RetiredSegments& retired);

struct LogStoreOptions {
  wire::ClusterId cluster;
  wire::NodeId node;
  std::uint64_t segment_bytes = 0;  // log.segment_bytes; rounded up to wire::kSegmentBytesUnit
  std::uint32_t alignment = 0;      // of new segments' blocks: 512, 4096; 0: as the disk is
  std::uint32_t block_bytes_max = 4U << 20;  // a block is ended when it has grown beyond
  wire::ByteView schema;                     // event_schema(); must outlive the store
  std::function<std::uint64_t()> random;     // draws the log id of a new log
  std::function<std::int64_t()> now_us;      // microseconds since 1970-01-01 UTC
};

class LogStore {
 public:
  struct Recovered;

  // Recovers the log in `directory`, or begins one. The caller holds the data directory's lock.
  // kCorrupt: damaged, see log_recovery.h. kConfig: the log of another cluster or node.
  static wire::Result<Recovered> open(FileSystem& files, std::string directory,
                                      LogStoreOptions options);
  ~LogStore();
  LogStore(const LogStore&) = delete;
  LogStore& operator=(const LogStore&) = delete;

  // All the writes in their order, then one sync. Entries that do not follow the log's last entry
  // or a truncation below the base are our own bug and abort.
  wire::Status append(std::span<const LogStoreWrite> writes);
  // Takes whole sealed segments off the log's beginning as far as all their entries are at or below
  // `index`, which must be durable, applied, and in a durable snapshot. The new beginning is on the
  // disk when it returns (log_start.h); the files are the caller's to give to retire_segments(), or
  // to leave: the next open() finishes that. `paths` is empty when nothing could go.
  wire::Result<RetiredSegments> compact_to(wire::LogIndex index);
  // Says on the disk that what has been appended is durable, so that damage to the last blocks is
  // not mistaken for a torn write. For idle moments; needs no sync; nothing to do twice.
  wire::Status write_watermark();
  // Marks a clean end. Only destruction may follow.
  wire::Status close();

  // Files for later segments, made ahead. wants_prepared(): give it one, from any thread through
  // prepare_segment(prepared_request()).
  bool wants_prepared() const { return !prepared_ && !failure_; }
  SegmentRequest prepared_request() const;
  void adopt(PreparedSegment segment);

  // The log's last entry, durable.
  wire::LogPosition last() const { return locations_->last(); }
  std::shared_ptr<const LogLocations> locations() const { return locations_; }
  FileSystem& files() const { return files_; }
  const std::string& directory() const { return directory_; }
  const wire::LogIdentity& identity() const { return identity_; }
  const std::optional<wire::Error>& failure() const { return failure_; }

  struct Counters {
    std::uint64_t blocks = 0;
    std::uint64_t bytes = 0;  // with headers and padding
    std::uint64_t entries = 0;
    std::uint64_t syncs = 0;
    std::uint64_t segments_made = 0;
    std::uint64_t segments_not_ready = 0;  // made on the spot because none was prepared
  };
  const Counters& counters() const { return counters_; }

 private:
  LogStore(FileSystem& files, std::string directory, LogStoreOptions options);

  wire::Status begin_log();
  wire::Status continue_log(LogContents& contents);
  wire::Status sync_previous_segment();
  wire::Status fail_with(wire::Status status);

  wire::Status append_one(const LogStoreWrite& write);
  wire::Status append_entry(const wire::Bytes& entry);
  void remember_membership(const wire::Bytes& entry);
  wire::Status truncate(wire::LogIndex from);
  wire::Status do_reset(const LogReset& reset);
  wire::Status make_room(std::uint64_t record_size);
  enum class Sync : std::uint8_t { kLater, kNow };
  wire::Status finish_block(std::uint8_t flags, Sync when);
  wire::Status write_block(wire::ByteView block, Sync when);
  wire::Status sync();
  wire::Status write_log_start(const wire::LogStart& start);
  std::size_t first_needed_segment(wire::LogIndex index) const;
  void all_is_durable();
  wire::Status roll(std::uint64_t block_size);
  void publish();
  // The term at an index of the log as written, ahead of what is published.
  std::optional<wire::Term> term_written(wire::LogIndex index) const;
  wire::SegmentHeader next_header() const;
  std::uint64_t segment_bytes_for(const wire::SegmentHeader& header,
                                  std::uint64_t block_size) const;

  FileSystem& files_;
  std::string directory_;
  LogStoreOptions options_;
  wire::LogIdentity identity_;
  std::shared_ptr<LogLocations> locations_;

  std::unique_ptr<LogSegment> segment_;
  std::unique_ptr<wire::BlockBuilder> builder_;
  std::optional<PreparedSegment> prepared_;

  // The log as written, ahead of what is published.
  wire::LogPosition last_;
  wire::HardState hard_state_;
  std::vector<wire::LoggedMembership> memberships_;
  std::vector<SegmentStart> starts_;  // of all segments, ascending; the last is the open one
  struct Change;
  std::vector<Change> changes_;    // written, not yet published
  std::size_t block_changes_ = 0;  // the first of them that is in the unfinished block

  std::uint64_t next_sequence_ = 0;
  std::uint64_t durable_sequence_ = 0;
  bool unsynced_ = false;
  bool watermark_current_ = false;   // nothing was appended since the last watermark
  bool replaced_watermark_ = false;  // the last block overwrote one, and is not synced
  std::optional<wire::Error> failure_;
  Counters counters_;
};

struct LogStore::Recovered {
  std::unique_ptr<LogStore> store;
  wire::HardState hard_state;
  consensus::LogView log;  // base, terms and sizes
  std::vector<wire::LoggedMembership>
      memberships;  // ascending; the first may be at or below the base
  bool is_new = false;
  bool closed_cleanly = false;
  std::string torn;          // what a torn last write left, for the node's log; empty: nothing
  wire::LogIndex committed;  // as LogContents
  std::string note_problem;
};

// What consensus starts from, with rows at `applied`, which is from the log's base to its end.
consensus::Restored restored_from(const LogStore::Recovered& log, wire::LogIndex applied);

}  // namespace bib::engine
