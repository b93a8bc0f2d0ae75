// Log source: walks a log's segments in order and says what is wrong with them.
//
// It judges as the node does when it starts (engine/storage/log_recovery.h): segments in order must
// have successive numbers and sequences, the same cluster, node and log id, and be sealed except
// for the last; what a crash leaves legally (a torn last write, a segment that was being created)
// is a note; all else is damage. A log that was compacted begins where the note of its start says
// (wire/log/log_start.h); a first segment that is missing without it is damage. Other than the node
// it goes on behind damage: each segment's header says where the log stood, so that everything
// wrong is found in one walk. A segment whose header follows another entry than the log's last
// starts the log anew behind a snapshot.
//
// Reads one segment at a time. A running node may append meanwhile: what looks damaged at the log's
// end is read again until it stays the same. Any one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "inspect/finding.h"
#include "inspect/source.h"
#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/base/result.h"
#include "wire/log/entry.h"
#include "wire/log/log_format.h"

namespace bib::inspect {

// Whose log it is, as every segment's header says.
struct LogIdentity {
  wire::ClusterId cluster;
  wire::NodeId node;
  std::uint64_t log_id = 0;

  bool operator==(const LogIdentity&) const = default;
};

struct LogPlace {
  wire::LogIndex index;
  wire::Term term;

  bool operator==(const LogPlace&) const = default;
};

struct LoggedMembership {
  wire::LogIndex index;
  wire::Membership membership;
};

// The log as it stands after what has been walked.
struct LogState {
  std::optional<LogIdentity> identity;
  LogPlace base;  // the log begins behind it
  wire::HardState hard_state;
  // Ascending; the first one at or below the base.
  std::vector<LoggedMembership> memberships;
  std::uint64_t next_sequence = 0;

  LogPlace last() const {
    return {last_index_, terms_.empty() ? wire::Term() : terms_.back().term};
  }
  std::optional<wire::Term> term_at(wire::LogIndex index) const;

  void begin_at(const LogPlace& place);
  void append(wire::LogIndex index, wire::Term term);
  void truncate_from(wire::LogIndex index);

 private:
  struct TermRun {
    wire::LogIndex first;
    wire::Term term;
  };
  wire::LogIndex last_index_;
  std::vector<TermRun> terms_;
};

// What was found in one segment's file.
struct SegmentReport {
  std::uint64_t number = 0;
  std::string path;
  std::uint64_t bytes = 0;
  // False: its content belongs to another place, or cannot be read; nothing below is filled.
  bool is_ours = false;
  bool is_blank = false;  // a crash left it: it was named, but the one before was not sealed yet
  bool starts_anew = false;
  wire::SegmentHeader header;
  wire::SegmentEnd end = wire::SegmentEnd::kTail;
  std::uint64_t end_offset = 0;
  std::uint64_t blocks = 0;
  std::uint64_t durable_sequence = 0;
  std::uint64_t next_sequence = 0;
  wire::LogIndex first_index;  // the lowest that was written here; 0: none
  wire::LogIndex last_index;   // the highest
  std::uint64_t first_ordinal = 0;
  std::uint64_t records = 0;
};

// One record in its place. The views live until the visitor returns.
struct LogRecord {
  const wire::Record& record;
  const wire::SegmentHeader& segment;
  const std::string& path;
  std::uint64_t ordinal;  // how many records of the log the walk gave before this one
};

// Told what the walk meets. All do nothing unless overridden.
class LogVisitor {
 public:
  virtual ~LogVisitor() = default;
  // The segment is about to be walked; `state` stands at its beginning.
  virtual void begin(const SegmentReport&, const LogState&) {}
  // `state` is as before the record.
  virtual void record(const LogRecord&, const LogState&) {}
  virtual void end(const SegmentReport&) {}
  // The last segment's end looks damaged and is about to be read once more.
  virtual void reads_again(const SegmentReport&) {}
  virtual void found(const Finding&) {}
};

// Walks the whole log; returns the state behind it. kNotFound: there is no segment. kIo: the
// directory cannot be listed (a file that cannot be read is a finding), or a running node has
// compacted the log meanwhile.
wire::Result<LogState> walk_log(const std::string& log_directory, LogVisitor& visitor);

// Gives the records that the walk found in one segment once more, and no newer ones. `file` is
// used to read it and holds the records' bytes afterwards. An error from `visit` ends it.
wire::Status read_again(const SegmentReport& segment, FileBytes& file,
                        const std::function<wire::Status(const LogRecord&)>& visit);

}  // namespace bib::inspect
