// LogWalk: the one judge of a log's files. It is handed their bytes and says what is in the log and
// what is wrong with it.
//
// A step machine without I/O. The caller lists the directory, reads the note of the log's start
// (log_start.h) and calls begin(); then, as long as next() names a segment, it reads that one and
// calls take(); then end(). Each segment is in memory only meanwhile. Any one thread.
//
// The rule: segments have successive numbers from 1, or from the one that the note names, and
// successive sequences; they are of one cluster, node and log; each begins with the term, vote,
// position and membership that the one before it ends with; each is sealed except for the last. A
// segment whose header follows another entry than the log's last begins the log again, after a
// snapshot. What a crash leaves legally (a torn last write, a segment that was being created, one
// that was being removed) is no damage. All else is, and a node must not start on it.
//
// One judge, two policies (docs/decisions/0018-one-judge-of-a-log.md). kStopAtDamage ends with the
// first damage: whatever the visitor was shown before it is part of the log. kGoOn finds everything
// in one walk: after damage, the next segment's header says where the log is.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/base/result.h"
#include "wire/log/log_format.h"
#include "wire/log/log_start.h"
#include "wire/log/log_terms.h"

namespace bib::wire {

// The log's owner, as every segment's header names it.
struct LogIdentity {
  ClusterId cluster;
  NodeId node;
  std::uint64_t log_id = 0;

  bool operator==(const LogIdentity&) const = default;
};
LogIdentity identity_of(const SegmentHeader& header);

// A membership that is in the log, or that was in it before its first entry.
struct LoggedMembership {
  LogIndex index;
  Membership membership;
  std::vector<std::uint8_t> bytes;  // as encoded
};

// The log as it is after what has been walked.
struct LogState {
  std::optional<LogIdentity> identity;
  LogTerms terms;
  HardState hard_state;
  // Ascending; the first one may be at or below the base.
  std::vector<LoggedMembership> memberships;
  std::uint64_t next_sequence = 0;

  LogPosition base() const { return terms.base(); }
  LogPosition last() const { return terms.last(); }
};

enum class LogFlaw : std::uint8_t {
  // Legal: what a crash leaves.
  kRetired,  // a segment below the log's start
  kBlank,    // a segment without a block, after one that is not sealed
  kTorn,     // the last write did not complete
  // Damage.
  kUnreadable,   // the caller could not read the file
  kUnsupported,  // of a version that this build does not know, or damaged
  kMissing,      // a segment's file
  kForeign,      // the file is another segment's, or another log's
  kDamaged,      // all else
};
bool is_damage(LogFlaw flaw);

struct LogFinding {
  LogFlaw flaw = LogFlaw::kDamaged;
  std::uint64_t segment = 0;  // 0: the note of the log's start
  std::uint64_t offset = 0;   // in the file; 0: its beginning, or the whole
  LogIndex index;             // the first entry that is affected; 0: none
  std::string what;           // without the place
};

// What was found in one segment's file.
struct WalkedSegment {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
  // False: its content belongs to another place, or cannot be read; nothing below is filled.
  bool is_ours = false;
  bool is_blank = false;    // LogFlaw::kBlank; nothing below is filled
  bool begins_log = false;  // the log's first one, or the first one after a snapshot
  SegmentHeader header;
  SegmentEnd end = SegmentEnd::kTail;
  std::uint64_t end_offset = 0;  // after the last valid block
  // Bytes after end_offset that are not zero end here; end_offset when there are none. They were
  // never durable.
  std::uint64_t debris_end = 0;
  std::uint64_t blocks = 0;
  std::uint64_t durable_sequence = 0;
  std::uint64_t next_sequence = 0;
  LogIndex first_index;  // the lowest that was written here; 0: none
  LogIndex last_index;   // the highest
  std::uint64_t first_ordinal = 0;
  std::uint64_t records = 0;
};

// One record in its place. The views live until the visitor returns.
struct WalkedRecord {
  const Record& record;
  const SegmentHeader& segment;
  std::uint64_t ordinal;  // how many records of the log the walk gave before this one
};

// Told what the walk meets. All do nothing unless overridden.
class LogVisitor {
 public:
  virtual ~LogVisitor() = default;
  // The segment's header was judged; `state` is the one at its beginning.
  virtual void begin(const WalkedSegment&, const LogState&) {}
  // The record was judged; `state` is as before it.
  virtual void record(const WalkedRecord&, const LogState&) {}
  virtual void end(const WalkedSegment&) {}
  virtual void found(const LogFinding&) {}
};

class LogWalk {
 public:
  enum class Policy { kStopAtDamage, kGoOn };

  LogWalk(Policy policy, LogVisitor& visitor) : policy_(policy), visitor_(visitor) {}

  // `start`: nothing where there is no note; an error where it cannot be read. `numbers`: of the
  // segments that exist, ascending.
  void begin(const Result<std::optional<LogStart>>& start,
             const std::vector<std::uint64_t>& numbers);
  // Segments that a running node has made meanwhile; when next() is empty. Known ones are ignored.
  void add(const std::vector<std::uint64_t>& numbers);

  // The segment to read now; nothing when all were taken, or when the walk stopped.
  std::optional<std::uint64_t> next() const;
  // Its whole file, or why it cannot be read. From `zeros_from` on the caller knows that it holds
  // zeros only.
  void take(const Result<ByteView>& bytes, std::uint64_t zeros_from = UINT64_MAX);
  // The next segment is the log's last, and these bytes look damaged, which they may also do while
  // a node writes them: where they do. The caller may read them again.
  std::optional<std::uint64_t> damage_in_last(ByteView bytes) const;

  // The last segment that was taken is sealed: there must be another one.
  bool wants_more() const { return !stopped_ && sealed_ && !next(); }
  void end();

  const LogState& state() const { return state_; }

 private:
  bool next_is_last() const { return queue_.size() == 1 && !looks_ahead_; }
  std::uint64_t first_number() const { return start_ ? start_->first_segment : 1; }
  LogIndex next_index() const { return state_.last().index + 1; }

  void look_ahead();
  std::size_t end_of_content(ByteView bytes, std::size_t from) const;
  void set_blank_aside(ByteView last);
  void settle_blank();
  void take_segment(const Result<ByteView>& bytes);
  bool take_header(WalkedSegment& segment, Result<SegmentHeader> header);
  void report_missing(std::uint64_t first, std::uint64_t last, const SegmentHeader* next);
  bool check_whose(const WalkedSegment& segment);
  void check_start(const WalkedSegment& segment);
  void check_join(const WalkedSegment& segment);
  void join(WalkedSegment& segment);
  void go_on_at(LogPosition position);
  Result<SegmentScan> scan(ByteView bytes, std::uint64_t zeros_from, bool is_last,
                           const std::function<Status(const Record&)>& visit) const;
  void take_records(WalkedSegment& segment, ByteView bytes, bool is_last);
  void take_record(WalkedSegment& segment, const Record& record);
  bool check_record(const WalkedSegment& segment, const Record& record);
  void truncate_from(LogIndex from);
  void take_entry(WalkedSegment& segment, const Record& record);
  void take_membership(const WalkedSegment& segment, std::uint64_t offset, LogIndex index,
                       ByteView bytes);
  void take_end(WalkedSegment& segment, const SegmentScan& scan, ByteView bytes);
  void take_damaged_end(WalkedSegment& segment, const SegmentScan& scan, ByteView bytes,
                        bool is_last);
  void find(LogFinding finding);
  void damage(std::uint64_t segment, std::uint64_t offset, LogIndex index, std::string what);

  const Policy policy_;
  LogVisitor& visitor_;
  std::optional<LogStart> start_;
  std::deque<std::uint64_t> queue_;
  std::optional<std::uint64_t> blank_;
  std::uint64_t expected_ = 1;             // the next segment's number
  std::uint64_t zeros_from_ = UINT64_MAX;  // in the one in hand
  LogState state_;
  std::uint64_t ordinal_ = 0;
  bool looks_ahead_ = false;      // next() is the last segment, to see whether it is blank
  bool state_known_ = false;      // false after damage: the next header says where the log is
  bool membership_known_ = true;  // false after one that could not be read
  bool sealed_ = false;
  bool stopped_ = false;
};

}  // namespace bib::wire
