#include "inspect/log_source.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

#include "inspect/block_gaps.h"
#include "wire/base/little_endian.h"
#include "wire/log/log_start.h"

namespace bib::inspect {

using wire::ByteView;
using wire::ErrorCode;
using wire::LogIndex;
using wire::Record;
using wire::RecordKind;
using wire::Result;
using wire::SegmentEnd;
using wire::SegmentHeader;
using wire::SegmentScan;
using wire::Status;

namespace {

// How often the log's end is read again while it keeps changing.
constexpr int kReadsMax = 8;
constexpr std::uint64_t kSegmentBytesUnit = 4096;

// The scanner's text without what a finding says beside it.
std::string bare_problem(const SegmentScan& scan) {
  std::string text = scan.problem;
  const std::string head =
      fmt::format("segment {}, offset {}: ", scan.header.number, scan.problem_offset);
  const std::string tail =
      fmt::format("; entries from {} on are affected", scan.problem_index.value());
  if (text.starts_with(head)) text.erase(0, head.size());
  if (text.ends_with(tail)) text.resize(text.size() - tail.size());
  return text;
}

// Behind the last byte that is not zero; `from` when there is none.
std::uint64_t end_of_content(ByteView bytes, std::uint64_t from) {
  std::uint64_t end = bytes.size();
  while (end > from && bytes[end - 1] == 0) --end;
  return std::max(end, from);
}

// A segment never changes its size, which is a multiple of 4096, and keeps a block's room at its
// end: a last write can be torn, but not cut off by the end of the file.
bool was_cut_short(ByteView bytes, const SegmentScan& scan) {
  if (scan.end == SegmentEnd::kSealed || scan.end == SegmentEnd::kDamaged) return false;
  if (bytes.size() % kSegmentBytesUnit != 0) return true;
  if (scan.end_offset + scan.header.alignment > bytes.size()) return true;
  const ByteView rest = bytes.subspan(scan.end_offset);
  const std::uint8_t* at = rest.data();
  return wire::load_u32(at) == wire::kBlockMagic && wire::load_u64(at + 16) == scan.next_sequence &&
         wire::load_u64(at + 24) == scan.header.log_id &&
         wire::load_u64(at + 32) == scan.header.number && wire::load_u32(at + 12) > rest.size();
}

bool looks_damaged(ByteView bytes, const SegmentScan& scan) {
  return scan.end == SegmentEnd::kDamaged || was_cut_short(bytes, scan);
}

class Walk {
 public:
  Walk(std::string directory, LogVisitor& visitor, const std::vector<std::uint64_t>& segments)
      : directory_(std::move(directory)),
        visitor_(visitor),
        queue_(segments.begin(), segments.end()) {}

  // Takes the note of the log's start into account; before anything else.
  Status begin();
  // Walks one segment; false behind the last one.
  Result<bool> step();
  LogState take_state() { return std::move(state_); }

 private:
  void set_blank_segment_aside();
  Result<bool> step_behind_the_last();
  void take_segment(std::uint64_t number, bool is_last);
  bool read_segment(SegmentReport& report);
  void report_missing(std::uint64_t first, std::uint64_t last, const SegmentHeader* next);
  bool check_whose(const SegmentReport& report);
  void join_state(SegmentReport& report);
  void settle_end(const SegmentReport& report);
  Result<SegmentScan> scan(bool is_last, const std::function<Status(const Record&)>& visit) const;
  void take_records(SegmentReport& report, bool is_last);
  void take_record(SegmentReport& report, const Record& record);
  void take_membership(const SegmentReport& report, std::uint64_t offset, LogIndex index,
                       ByteView bytes);
  void take_end(SegmentReport& report, const SegmentScan& scan);
  void take_damaged_end(SegmentReport& report, const SegmentScan& scan, bool is_last);

  LogIndex next_index() const { return state_.last().index + 1; }
  std::string path_of(std::uint64_t number) const {
    return join_path(directory_, wire::segment_file_name(number));
  }
  std::string how_to_restore() const;
  void damage(const std::string& path, std::uint64_t offset, LogIndex index, std::string what);
  void damage(const std::string& path, std::uint64_t offset, LogIndex index, std::string what,
              std::string advice);

  const std::string directory_;
  LogVisitor& visitor_;
  std::deque<std::uint64_t> queue_;
  std::optional<std::uint64_t> blank_;
  std::optional<wire::LogStart> start_;
  std::optional<wire::Error> failure_;
  std::uint64_t expected_ = 1;
  FileBytes file_;
  LogState state_;
  bool state_known_ = false;  // false behind damage: the next header says where the log stands
  bool sealed_ = false;
  std::uint64_t ordinal_ = 0;
};

std::string Walk::how_to_restore() const {
  return fmt::format(
      "stop this node and keep a copy of {}. If the cluster is healthy without it (`bib cluster "
      "status`), {}: the other members hold these entries",
      directory_, kHowToRejoin);
}

void Walk::damage(const std::string& path, std::uint64_t offset, LogIndex index, std::string what) {
  damage(path, offset, index, std::move(what), how_to_restore());
}

void Walk::damage(const std::string& path, std::uint64_t offset, LogIndex index, std::string what,
                  std::string advice) {
  visitor_.found({FindingKind::kDamage, path, offset, index, std::move(what), std::move(advice)});
}

// A new segment gets its name before the one before it is sealed; a crash in between leaves it
// without a block. Whether that is so shows only behind the one before.
void Walk::set_blank_segment_aside() {
  if (queue_.size() < 2) return;
  if (!file_.read(path_of(queue_.back()), wire::kSegmentSizeMax)) return;  // it will be said later
  const auto header = wire::read_segment_header(file_.view());
  if (!header || end_of_content(file_.view(), header->header_size) > header->header_size) return;
  blank_ = queue_.back();
  queue_.pop_back();
}

// Nothing where there is no note.
Result<std::optional<wire::LogStart>> read_start(const std::string& directory, FileBytes& file) {
  BIB_TRY(const auto names, list_names(directory));
  if (!std::binary_search(names.begin(), names.end(), wire::kLogStartFileName)) {
    return std::nullopt;
  }
  BIB_TRY_VOID(file.read(join_path(directory, wire::kLogStartFileName), wire::kLogStartSize));
  BIB_TRY(const wire::LogStart start, wire::decode_log_start(file.view()));
  return start;
}

Status Walk::begin() {
  auto start = read_start(directory_, file_);
  if (!start) {
    damage(join_path(directory_, wire::kLogStartFileName), 0, {},
           fmt::format("where the log begins is not known: {}", start.error().message));
    if (!queue_.empty()) expected_ = queue_.front();
  } else if (*start) {
    start_ = **start;
    expected_ = start_->first_segment;
    state_.begin_at({start_->previous_index, start_->previous_term});
    while (!queue_.empty() && queue_.front() < expected_) {
      visitor_.found({FindingKind::kNote,
                      path_of(queue_.front()),
                      0,
                      {},
                      "this segment was let go when the log was compacted: the node removes it at "
                      "its next start",
                      {}});
      queue_.pop_front();
    }
    if (queue_.empty()) report_missing(expected_, expected_, nullptr);
  }
  set_blank_segment_aside();
  return {};
}

Result<bool> Walk::step() {
  if (failure_) return tl::unexpected(*failure_);
  if (queue_.empty()) return step_behind_the_last();
  const std::uint64_t number = queue_.front();
  queue_.pop_front();
  take_segment(number, queue_.empty());
  return true;
}

Result<bool> Walk::step_behind_the_last() {
  if (blank_) {
    const std::uint64_t number = *std::exchange(blank_, std::nullopt);
    if (sealed_ || !state_known_) {
      take_segment(number, true);
    } else {
      SegmentReport report;
      report.number = number;
      report.path = path_of(number);
      report.is_blank = true;
      visitor_.found({FindingKind::kNote,
                      report.path,
                      0,
                      {},
                      "this segment was being created when the node stopped: it holds nothing, and "
                      "the node removes it at its next start",
                      {}});
      visitor_.end(report);
    }
    return true;
  }
  if (!sealed_) return false;
  sealed_ = false;
  // A running node may have gone on in a new file since the directory was listed.
  BIB_TRY(const auto segments, list_segments(directory_));
  for (const std::uint64_t number : segments) {
    if (number >= expected_) queue_.push_back(number);
  }
  set_blank_segment_aside();
  if (!queue_.empty()) return step();
  report_missing(expected_, expected_, nullptr);
  return false;
}

void Walk::report_missing(std::uint64_t first, std::uint64_t last, const SegmentHeader* next) {
  std::string what = last == first ? "the file is missing"
                                   : fmt::format("{} files are missing, up to {}", last - first + 1,
                                                 wire::segment_file_name(last));
  if (next != nullptr && next->previous_index >= next_index()) {
    what += fmt::format(": entries {} to {} are gone", next_index().value(),
                        next->previous_index.value());
  }
  damage(path_of(first), 0, next_index(), std::move(what),
         "if the file was moved, put it back; if not, " + how_to_restore());
}

void Walk::take_segment(std::uint64_t number, bool is_last) {
  SegmentReport report;
  report.number = number;
  report.path = path_of(number);
  const bool readable = read_segment(report);
  if (number > expected_) {
    report_missing(expected_, number - 1, readable ? &report.header : nullptr);
    state_known_ = false;
  }
  expected_ = number + 1;
  sealed_ = false;
  report.is_ours = readable && check_whose(report);
  if (!report.is_ours) {
    state_known_ = false;
    visitor_.end(report);
    return;
  }
  if (is_last) settle_end(report);
  join_state(report);
  take_records(report, is_last);
  visitor_.end(report);
}

// Fills `bytes` and `header`; false, with a finding, when there is no header of ours.
bool Walk::read_segment(SegmentReport& report) {
  if (const Status status = file_.read(report.path, wire::kSegmentSizeMax); !status) {
    // A running node may have let go of it since the directory was listed.
    const auto start = read_start(directory_, file_);
    if (start && *start && (*start)->first_segment > report.number) {
      failure_ = {
          ErrorCode::kIo,
          fmt::format("the log in {} was compacted while it was read: try again", directory_)};
      return false;
    }
    damage(report.path, 0, next_index(), status.error().message);
    return false;
  }
  report.bytes = file_.view().size();
  auto header = wire::read_segment_header(file_.view());
  if (header) {
    report.header = *std::move(header);
    return true;
  }
  if (header.error().code == ErrorCode::kUnsupported) {
    damage(report.path, 0, next_index(), header.error().message,
           "if a newer bibd wrote it, use that version's raft-inspect; if not, the file is "
           "damaged: " +
               how_to_restore());
  } else {
    damage(report.path, 0, next_index(), header.error().message);
  }
  return false;
}

// Whether the file is this log's and stands in its place.
bool Walk::check_whose(const SegmentReport& report) {
  const SegmentHeader& header = report.header;
  const std::string advice =
      "if the file was copied or renamed by hand, put the right one back; if not, " +
      how_to_restore();
  if (header.number != report.number) {
    damage(report.path, 0, next_index(), fmt::format("the file holds segment {}", header.number),
           advice);
    return false;
  }
  const LogIdentity identity{header.cluster, header.node, header.log_id};
  if (!state_.identity) state_.identity = identity;
  if (identity == *state_.identity) return true;
  damage(report.path, 0, next_index(),
         fmt::format("the file belongs to another log (cluster {}, node {}, log {:016x})",
                     to_string(header.cluster), to_string(header.node), header.log_id),
         advice);
  return false;
}

// Compares where the header says that the log stands with where it stands.
void Walk::join_state(SegmentReport& report) {
  const SegmentHeader& header = report.header;
  const LogPlace place{header.previous_index, header.previous_term};
  const bool is_first = report.number == (start_ ? start_->first_segment : 1);
  if (is_first && start_) {
    const bool fits = start_->log_id == header.log_id && place.index == start_->previous_index &&
                      place.term == start_->previous_term;
    if (!fits) {
      damage(report.path, 0, place.index + 1,
             fmt::format("{} says that log {:016x} begins here behind entry {} of term {}",
                         wire::kLogStartFileName, start_->log_id, start_->previous_index.value(),
                         start_->previous_term.value()));
    }
  }
  const bool known = state_known_ && !is_first;
  if (known && header.first_sequence != state_.next_sequence) {
    damage(report.path, 0, next_index(),
           fmt::format("its first block is {}, but the segment before ends before {}",
                       header.first_sequence, state_.next_sequence));
  }
  if (known && header.hard_state != state_.hard_state) {
    damage(report.path, 0, next_index(),
           "its term and vote are not those that the segment before ends with");
  }
  state_.hard_state = header.hard_state;
  if (is_first || (known && place != state_.last())) {
    report.starts_anew = place.index > LogIndex(0) || !is_first;
    state_.memberships.clear();
    state_.begin_at(place);
  } else if (!known) {
    // Behind damage: the entries between are unknown, the log is still the same.
    if (place.index < state_.last().index) state_.truncate_from(place.index + 1);
    state_.append(place.index, place.term);
  }
  const bool is_news =
      state_.memberships.empty() || state_.memberships.back().index < header.membership_index;
  if (!header.membership.empty() && is_news) {
    take_membership(report, 0, header.membership_index, header.membership);
  }
}

// A running node writes while we read, so that a later block can be there without an earlier one.
// Damage stays the same, however often it is read.
void Walk::settle_end(const SegmentReport& report) {
  std::optional<std::uint64_t> before;
  for (int reads = 1; reads < kReadsMax; ++reads) {
    const auto seen = scan(true, {});
    if (!seen || !looks_damaged(file_.view(), *seen)) return;
    if (before == seen->end_offset) return;
    before = seen->end_offset;
    visitor_.reads_again(report);
    if (!file_.read(report.path, wire::kSegmentSizeMax)) return;
  }
}

Result<SegmentScan> Walk::scan(bool is_last,
                               const std::function<Status(const Record&)>& visit) const {
  const wire::ScanOptions options{
      .is_last = is_last, .verify_entries = true, .term_of = [this](LogIndex index) {
        return state_.term_at(index);
      }};
  return wire::scan_segment(file_.view(), options, visit);
}

void Walk::take_records(SegmentReport& report, bool is_last) {
  report.first_ordinal = ordinal_;
  visitor_.begin(report, state_);
  const auto seen = scan(is_last, [&](const Record& record) {
    take_record(report, record);
    return Status();
  });
  report.records = ordinal_ - report.first_ordinal;
  if (!seen) {
    damage(report.path, 0, next_index(), seen.error().message);
    state_known_ = false;
    return;
  }
  report.end = seen->end;
  report.end_offset = seen->end_offset;
  report.blocks = seen->blocks;
  report.durable_sequence = seen->durable_sequence;
  report.next_sequence = seen->next_sequence;
  if (seen->end == SegmentEnd::kDamaged) return take_damaged_end(report, *seen, is_last);
  take_end(report, *seen);
}

void Walk::take_record(SegmentReport& report, const Record& record) {
  visitor_.record({record, report.header, report.path, ordinal_++}, state_);
  if (record.kind == RecordKind::kHardState) {
    state_.hard_state = record.hard_state;
    return;
  }
  if (record.kind == RecordKind::kTruncate) {
    if (record.truncate_from <= state_.base.index) {
      damage(report.path, record.file_offset, record.truncate_from,
             fmt::format("a truncation from {} of a log that begins behind {}",
                         record.truncate_from.value(), state_.base.index.value()));
    }
    state_.truncate_from(record.truncate_from);
    return;
  }
  const LogIndex index = record.entry.index;
  state_.append(index, record.entry.term);
  report.first_index =
      report.first_index == LogIndex() ? index : std::min(report.first_index, index);
  report.last_index = std::max(report.last_index, index);
  if (record.entry.kind != wire::EntryKind::kMembership) return;
  const auto entry = wire::EntryReader::open(wire::Bytes::copy_of(record.content), true);
  if (!entry) return damage(report.path, record.file_offset, index, entry.error().message);
  take_membership(report, record.file_offset, index, entry->body());
}

void Walk::take_membership(const SegmentReport& report, std::uint64_t offset, LogIndex index,
                           ByteView bytes) {
  auto membership = wire::decode_membership(bytes);
  if (membership) {
    state_.memberships.push_back({index, *std::move(membership)});
    return;
  }
  damage(report.path, offset, index,
         fmt::format("a membership that is none: {}", membership.error().message));
}

void Walk::take_end(SegmentReport& report, const SegmentScan& scan) {
  sealed_ = scan.end == SegmentEnd::kSealed;
  state_known_ = true;
  state_.next_sequence = scan.next_sequence;
  if (was_cut_short(file_.view(), scan)) {
    report.end = SegmentEnd::kDamaged;
    damage(report.path, file_.view().size(), next_index(),
           "the file was cut short: a segment always has room behind its last block");
    return;
  }
  const std::uint64_t debris = end_of_content(file_.view(), scan.end_offset) - scan.end_offset;
  if (sealed_ || debris == 0) return;
  report.end = SegmentEnd::kTorn;
  visitor_.found(
      {FindingKind::kNote,
       report.path,
       scan.end_offset,
       next_index(),
       fmt::format("the last write, block {}, did not complete: {} bytes that were never "
                   "durable and that nobody was told about; the node clears them at "
                   "its next start",
                   scan.next_sequence, debris),
       {}});
}

void Walk::take_damaged_end(SegmentReport& report, const SegmentScan& scan, bool is_last) {
  const BlocksBehind behind = find_blocks_behind(file_.view(), scan);
  std::string what = bare_problem(scan);
  if (behind.blocks > 0) {
    what += fmt::format("; readable again at offset {} ({} blocks to offset {})", behind.resumes_at,
                        behind.blocks, behind.end_offset);
  }
  damage(report.path, scan.problem_offset, scan.problem_index, std::move(what));
  for (const BlockGap& gap : behind.gaps) {
    damage(report.path, gap.begin, gap.index,
           fmt::format("block {} is missing too; readable again at offset {}", gap.missing_sequence,
                       gap.end));
  }
  if (!is_last && !behind.sealed && behind.blocks > 0) {
    damage(report.path, behind.end_offset, behind.last_index + 1,
           "the segment is not the last one and does not end with a sealing block");
  }
  sealed_ = is_last && behind.sealed;
  state_known_ = false;
  state_.next_sequence = scan.next_sequence;
}

}  // namespace

Result<LogState> walk_log(const std::string& log_directory, LogVisitor& visitor) {
  BIB_TRY(const auto segments, list_segments(log_directory));
  if (segments.empty()) {
    return wire::fail(ErrorCode::kNotFound, "there is no segment in {}", log_directory);
  }
  Walk walk(log_directory, visitor, segments);
  BIB_TRY_VOID(walk.begin());
  for (bool more = true; more;) {
    BIB_TRY(more, walk.step());
  }
  return walk.take_state();
}

Status read_again(const SegmentReport& segment, FileBytes& file,
                  const std::function<Status(const LogRecord&)>& visit) {
  if (segment.records == 0) return {};
  BIB_TRY_VOID(file.read(segment.path, wire::kSegmentSizeMax));
  BIB_TRY(const SegmentHeader header, wire::read_segment_header(file.view()));
  std::uint64_t given = 0;
  const auto take = [&](const Record& record) {
    if (given == segment.records) return Status();
    return visit({record, header, segment.path, segment.first_ordinal + given++});
  };
  const auto scan = wire::scan_segment(file.view(), {.term_of = {}}, take);
  if (!scan) return tl::unexpected(scan.error());
  if (given == segment.records) return {};
  return wire::fail(ErrorCode::kIo, "{} changed while it was read: try again", segment.path);
}

}  // namespace bib::inspect
