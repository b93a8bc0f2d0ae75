// Recovery: reads a log's directory from its first byte to its last and says what is in it.
//
// Runs before the log thread starts, on the thread that opens the node. Reads one segment at a time
// into memory. Changes nothing in the directory: LogStore::open() repairs what may be repaired.
//
// What ends in a legal crash is accepted: a torn last write, a segment that was being created. Any
// other flaw is kCorrupt and the node must not start; the message names file, offset and the first
// index that is affected, and says what to do. Segments in order must have successive numbers and
// sequences, the same cluster, node and log id, and be sealed except for the last. A segment whose
// header follows another entry than the log's last starts the log anew behind a snapshot. The first
// segment is number 1, or the one that the note of the log's start names.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/ports/file.h"
#include "engine/storage/log_locations.h"
#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/base/result.h"
#include "wire/log/log_format.h"

namespace bib::engine {

// Whose log it is, as every segment's header says.
struct LogIdentity {
  wire::ClusterId cluster;
  wire::NodeId node;
  std::uint64_t log_id = 0;

  bool operator==(const LogIdentity&) const = default;
};

// Nothing when there is no log yet. Reads the first segment's header only.
wire::Result<std::optional<LogIdentity>> read_identity(FileSystem& files,
                                                       const std::string& directory);

// A membership that stands in the log, or that stood in it before its first entry.
struct LoggedMembership {
  wire::LogIndex index;
  wire::Membership membership;
  std::vector<std::uint8_t> bytes;  // as encoded
};

// Where the log stood at the beginning of a segment, by its header.
struct SegmentStart {
  std::uint64_t number = 0;
  wire::LogPosition previous;
};

struct LogContents {
  bool is_empty = true;  // there is no log yet; only `leftovers` says something
  LogIdentity identity;
  wire::HardState hard_state;
  std::unique_ptr<LogLocations> locations;
  // By index, ascending. The first may lie at or below the base.
  std::vector<LoggedMembership> memberships;
  std::vector<SegmentStart> starts;  // of all segments, ascending

  // The segment to go on with.
  wire::SegmentHeader last_header;
  std::uint64_t last_segment_bytes = 0;
  std::uint64_t end_offset = 0;
  std::uint64_t next_sequence = 0;
  bool closed_cleanly = false;
  // Bytes behind end_offset that are not zero end here; end_offset when there are none. They were
  // never durable and must be cleared before anything is appended (see LogStore::open()).
  std::uint64_t debris_end = 0;
  std::string torn;  // for a person: what the last write left behind; empty when it was complete

  // Files that a crash left behind, to be removed: temporary ones, a segment that was created when
  // the one before was not sealed yet, and segments below the log's start (log_start.h).
  std::vector<std::string> leftovers;
};

wire::Result<LogContents> recover_log(FileSystem& files, const std::string& directory);

}  // namespace bib::engine
