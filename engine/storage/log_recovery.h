// Recovery: reads a log's directory from its first byte to its last and says what is in it.
//
// Runs before the log thread starts, on the thread that opens the node. Reads one segment at a time
// into memory. Changes nothing in the directory: LogStore::open() repairs what may be repaired.
//
// The walk says what is damage and what a crash leaves legally (wire/log/log_walk.h); here
// the files are read and the first damage is worded: it is kCorrupt and the node must not start.
// The message names file, offset and the first index that is affected, and says what to do.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/ports/file.h"
#include "engine/storage/log_locations.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/log/log_format.h"
#include "wire/log/log_walk.h"

namespace bib::engine {

// Nothing when there is no log yet. Reads the first segment's header only.
wire::Result<std::optional<wire::LogIdentity>> read_identity(FileSystem& files,
                                                             const std::string& directory);

// The log's state at the beginning of a segment, by its header.
struct SegmentStart {
  std::uint64_t number = 0;
  wire::LogPosition previous;
};

struct LogContents {
  bool is_empty = true;  // there is no log yet; only `leftovers` says something
  wire::LogIdentity identity;
  wire::HardState hard_state;
  std::unique_ptr<LogLocations> locations;
  // Ascending by index. The first may be at or below the base.
  std::vector<wire::LoggedMembership> memberships;
  std::vector<SegmentStart> starts;  // of all segments, ascending

  // The segment to continue with.
  wire::SegmentHeader last_header;
  std::uint64_t last_segment_bytes = 0;
  std::uint64_t end_offset = 0;
  std::uint64_t next_sequence = 0;
  bool closed_cleanly = false;
  // Bytes after end_offset that are not zero end here; end_offset when there are none. They were
  // never durable and must be cleared before anything is appended (see LogStore::open()).
  std::uint64_t debris_end = 0;
  std::string torn;  // for a person: what the last write left; empty when it was complete

  wire::LogIndex committed;  // by the note of an earlier run; 0: not known
  std::string note_problem;  // for a person: why the note counts for nothing; empty: it does count

  // Files that a crash left, to be removed: temporary ones, a segment that was created when
  // the one before was not sealed yet, and segments below the log's start (log_start.h).
  std::vector<std::string> leftovers;
};

wire::Result<LogContents> recover_log(FileSystem& files, const std::string& directory);

}  // namespace bib::engine
