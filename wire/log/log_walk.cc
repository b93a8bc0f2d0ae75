// The happy path: the segments in order; of each the header, which must continue where the log is,
// then its records, then its end. What else there is:
//   - the last file may be blank: it got its name before the one before it was sealed. So the last
//     one is looked at first, and judged after the one before it;
//   - a number is skipped: files are missing;
//   - damage: the walk stops, or continues from the next header.
#include "wire/log/log_walk.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "wire/base/little_endian.h"
#include "wire/base/mutant.h"
#include "wire/log/block_gaps.h"
#include "wire/log/entry.h"

namespace bib::wire {
namespace {

// A segment never changes its size and keeps a block's room at its end, so a last write can be torn
// but not cut off by the end of the file.
bool was_cut_short(ByteView bytes, const SegmentScan& scan) {
  if (scan.end == SegmentEnd::kSealed || scan.end == SegmentEnd::kDamaged) return false;
  if (bytes.size() % kSegmentBytesUnit != 0) return true;
  if (scan.end_offset + scan.header.alignment > bytes.size()) return true;
  const ByteView rest = bytes.subspan(scan.end_offset);
  const std::uint8_t* at = rest.data();
  return load_u32(at) == kBlockMagic && load_u64(at + 16) == scan.next_sequence &&
         load_u64(at + 24) == scan.header.log_id && load_u64(at + 32) == scan.header.number &&
         load_u32(at + 12) > rest.size();
}

}  // namespace

LogIdentity identity_of(const SegmentHeader& header) {
  return {header.cluster, header.node, header.log_id};
}

bool is_damage(LogFlaw flaw) {
  return flaw != LogFlaw::kRetired && flaw != LogFlaw::kBlank && flaw != LogFlaw::kTorn;
}

void LogWalk::find(LogFinding finding) {
  if (stopped_) return;
  stopped_ = policy_ == Policy::kStopAtDamage && is_damage(finding.flaw);
  visitor_.found(finding);
}

void LogWalk::damage(std::uint64_t segment, std::uint64_t offset, LogIndex index,
                     std::string what) {
  find({LogFlaw::kDamaged, segment, offset, index, std::move(what)});
}

// ---- which segment comes next

void LogWalk::begin(const Result<std::optional<LogStart>>& start,
                    const std::vector<std::uint64_t>& numbers) {
  queue_.assign(numbers.begin(), numbers.end());
  if (!start) {
    const bool unsupported = start.error().code == ErrorCode::kUnsupported;
    find({.flaw = unsupported ? LogFlaw::kUnsupported : LogFlaw::kDamaged,
          .what = "where the log begins is not known: " + start.error().message});
    if (!queue_.empty()) expected_ = queue_.front();
  } else if (*start) {
    start_ = **start;
    expected_ = start_->first_segment;
    state_.terms.reset({start_->previous_index, start_->previous_term});
    while (!queue_.empty() && queue_.front() < expected_) {
      find({.flaw = LogFlaw::kRetired,
            .segment = queue_.front(),
            .what = "this segment was released when the log was compacted: the node removes it at "
                    "its next start"});
      queue_.pop_front();
    }
  }
  if (queue_.empty()) report_missing(expected_, expected_, nullptr);
  look_ahead();
}

void LogWalk::add(const std::vector<std::uint64_t>& numbers) {
  for (const std::uint64_t number : numbers) {
    if (number >= expected_) queue_.push_back(number);
  }
  look_ahead();
}

void LogWalk::look_ahead() {
  looks_ahead_ = queue_.size() > 1;
}

std::optional<std::uint64_t> LogWalk::next() const {
  if (stopped_ || queue_.empty()) return std::nullopt;
  return looks_ahead_ ? queue_.back() : queue_.front();
}

void LogWalk::take(const Result<ByteView>& bytes, std::uint64_t zeros_from) {
  BIB_CHECK(next().has_value());
  zeros_from_ = zeros_from;
  if (!std::exchange(looks_ahead_, false)) return take_segment(bytes);
  if (bytes) set_blank_aside(*bytes);  // if not, it is said in its turn
}

// The offset after the last byte that is not zero; `from` when all are.
std::size_t LogWalk::end_of_content(ByteView bytes, std::size_t from) const {
  constexpr std::size_t kChunk = 4096;
  static constexpr std::array<std::uint8_t, kChunk> kZeros{};
  std::size_t end = std::min<std::uint64_t>(bytes.size(), zeros_from_);
  while (end >= from + kChunk && std::memcmp(&bytes[end - kChunk], kZeros.data(), kChunk) == 0) {
    end -= kChunk;
  }
  while (end > from && bytes[end - 1] == 0) --end;
  return std::max(end, from);
}

// A new segment gets its name before the one before it is sealed; a crash in between leaves it
// without a block. Whether that is so shows only after the one before.
void LogWalk::set_blank_aside(ByteView last) {
  const auto header = read_segment_header(last);
  if (!header || end_of_content(last, header->header_size) > header->header_size) return;
  blank_ = queue_.back();
  queue_.pop_back();
}

void LogWalk::settle_blank() {
  if (!blank_ || stopped_) return;
  const std::uint64_t number = *std::exchange(blank_, std::nullopt);
  if (sealed_ || !state_known_ || number != expected_) return queue_.push_back(number);
  find({.flaw = LogFlaw::kBlank,
        .segment = number,
        .what = "this segment was being created when the node stopped: it holds nothing, and the "
                "node removes it at its next start"});
  WalkedSegment segment;
  segment.number = number;
  segment.is_blank = true;
  visitor_.end(segment);
}

void LogWalk::end() {
  if (wants_more()) report_missing(expected_, expected_, nullptr);
}

void LogWalk::report_missing(std::uint64_t first, std::uint64_t last, const SegmentHeader* next) {
  std::string what = last == first ? "the file is missing"
                                   : fmt::format("{} files are missing, up to {}", last - first + 1,
                                                 segment_file_name(last));
  if (next != nullptr && next->previous_index >= next_index()) {
    what += fmt::format(": entries {} to {} are gone", next_index().value(),
                        next->previous_index.value());
  }
  find({LogFlaw::kMissing, first, 0, next_index(), std::move(what)});
}

// ---- one segment

void LogWalk::take_segment(const Result<ByteView>& bytes) {
  WalkedSegment segment;
  segment.number = queue_.front();
  queue_.pop_front();
  const bool is_last = queue_.empty();
  if (bytes) segment.bytes = bytes->size();
  auto header = bytes ? read_segment_header(*bytes) : tl::unexpected(bytes.error());
  if (segment.number > expected_) {
    report_missing(expected_, segment.number - 1, header ? &*header : nullptr);
    state_known_ = false;
  }
  expected_ = segment.number + 1;
  sealed_ = false;
  segment.is_ours = take_header(segment, std::move(header)) && check_whose(segment);
  if (segment.is_ours) {
    join(segment);
    take_records(segment, *bytes, is_last);
  } else {
    state_known_ = false;
  }
  if (!stopped_) visitor_.end(segment);
  if (is_last) settle_blank();
}

// False, with a finding, when there is none.
bool LogWalk::take_header(WalkedSegment& segment, Result<SegmentHeader> header) {
  if (header) {
    segment.header = *std::move(header);
    return true;
  }
  const ErrorCode code = header.error().code;
  const LogFlaw flaw = code == ErrorCode::kIo            ? LogFlaw::kUnreadable
                       : code == ErrorCode::kUnsupported ? LogFlaw::kUnsupported
                                                         : LogFlaw::kDamaged;
  find({flaw, segment.number, 0, next_index(), header.error().message});
  return false;
}

// Whether the file is this log's and in its place.
bool LogWalk::check_whose(const WalkedSegment& segment) {
  const SegmentHeader& header = segment.header;
  if (header.number != segment.number && !BIB_MUTANT(kBelievesNames)) {
    find({LogFlaw::kForeign, segment.number, 0, next_index(),
          fmt::format("the file holds segment {}", header.number)});
    return false;
  }
  if (!state_.identity) state_.identity = identity_of(header);
  if (identity_of(header) == *state_.identity) return true;
  find({LogFlaw::kForeign, segment.number, 0, next_index(),
        fmt::format("the file belongs to another log (cluster {}, node {}, log {:016x})",
                    to_string(header.cluster), to_string(header.node), header.log_id)});
  return false;
}

void LogWalk::check_start(const WalkedSegment& segment) {
  const SegmentHeader& header = segment.header;
  if (start_->log_id == header.log_id && start_->previous_index == header.previous_index &&
      start_->previous_term == header.previous_term) {
    return;
  }
  damage(segment.number, 0, header.previous_index + 1,
         fmt::format("{} says that log {:016x} begins here after entry {} of term {}, but this is "
                     "log {:016x} after entry {} of term {}",
                     kLogStartFileName, start_->log_id, start_->previous_index.value(),
                     start_->previous_term.value(), header.log_id, header.previous_index.value(),
                     header.previous_term.value()));
}

// Compares what the header says of the log before it with what is known of it.
void LogWalk::check_join(const WalkedSegment& segment) {
  const SegmentHeader& header = segment.header;
  if (BIB_MUTANT(kBelievesNames)) return;
  if (header.first_sequence != state_.next_sequence) {
    damage(segment.number, 0, next_index(),
           fmt::format("its first block is {}, but the segment before ends before {}",
                       header.first_sequence, state_.next_sequence));
  }
  if (header.hard_state != state_.hard_state) {
    damage(segment.number, 0, next_index(),
           "its term and vote are not those that the segment before ends with");
  }
  if (segment.begins_log || !membership_known_) return;
  const auto& memberships = state_.memberships;
  const LogIndex latest = memberships.empty() ? LogIndex(0) : memberships.back().index;
  if (header.membership_index == latest) return;
  damage(segment.number, 0, next_index(),
         fmt::format("its membership is of entry {}, but the latest one of the segments before is "
                     "of entry {}",
                     header.membership_index.value(), latest.value()));
}

void LogWalk::join(WalkedSegment& segment) {
  const SegmentHeader& header = segment.header;
  const LogPosition position{header.previous_index, header.previous_term};
  const bool is_first = segment.number == first_number();
  const bool known = state_known_ && !is_first;
  segment.begins_log = is_first || (known && position != state_.last());
  if (is_first && start_) check_start(segment);
  if (known) check_join(segment);
  if (stopped_) return;
  state_.hard_state = header.hard_state;
  if (segment.begins_log) {
    state_.memberships.clear();
    state_.terms.reset(position);
  } else if (!known) {
    go_on_at(position);
  }
  const bool is_news =
      state_.memberships.empty() || state_.memberships.back().index < header.membership_index;
  if (!header.membership.empty() && is_news) {
    membership_known_ = true;
    take_membership(segment, 0, header.membership_index, header.membership);
  }
}

// After damage: what is in between is unknown, the log is still the same.
void LogWalk::go_on_at(LogPosition position) {
  LogTerms& terms = state_.terms;
  if (position.index <= terms.base().index) return terms.reset(position);
  if (position.index < terms.last().index) truncate_from(position.index + 1);
  if (terms.last() == position) return;
  if (position.index == terms.last().index || position.term < terms.last().term) {
    return terms.reset(position);
  }
  terms.skip_to(position);
}

// ---- its records

Result<SegmentScan> LogWalk::scan(ByteView bytes, std::uint64_t zeros_from, bool is_last,
                                  const std::function<Status(const Record&)>& visit) const {
  const ScanOptions options{
      .is_last = is_last,
      .verify_entries = true,
      .zeros_from = zeros_from,
      .term_of = [this](LogIndex index) { return state_.terms.term_at(index); }};
  return scan_segment(bytes, options, visit);
}

std::optional<std::uint64_t> LogWalk::damage_in_last(ByteView bytes) const {
  if (!next_is_last()) return std::nullopt;
  const auto seen = scan(bytes, UINT64_MAX, true, {});
  if (!seen) return std::nullopt;  // take() says why
  if (seen->end != SegmentEnd::kDamaged && !was_cut_short(bytes, *seen)) return std::nullopt;
  return seen->end_offset;
}

void LogWalk::take_records(WalkedSegment& segment, ByteView bytes, bool is_last) {
  if (stopped_) return;
  segment.first_ordinal = ordinal_;
  visitor_.begin(segment, state_);
  const auto seen = scan(bytes, zeros_from_, is_last, [&](const Record& record) -> Status {
    take_record(segment, record);
    if (stopped_) return fail(ErrorCode::kCorrupt, "the walk stopped");
    return {};
  });
  segment.records = ordinal_ - segment.first_ordinal;
  if (stopped_) return;
  if (!seen) {
    damage(segment.number, 0, next_index(), seen.error().message);
    state_known_ = false;
    return;
  }
  segment.end = seen->end;
  segment.end_offset = seen->end_offset;
  segment.debris_end = seen->end_offset;
  segment.blocks = seen->blocks;
  segment.durable_sequence = seen->durable_sequence;
  segment.next_sequence = seen->next_sequence;
  state_.next_sequence = seen->next_sequence;
  if (seen->end == SegmentEnd::kDamaged) return take_damaged_end(segment, *seen, bytes, is_last);
  take_end(segment, *seen, bytes);
}

void LogWalk::take_record(WalkedSegment& segment, const Record& record) {
  const bool is_right = check_record(segment, record);
  if (stopped_) return;
  visitor_.record({record, segment.header, ordinal_++}, state_);
  if (record.kind == RecordKind::kHardState) state_.hard_state = record.hard_state;
  if (record.kind == RecordKind::kTruncate) truncate_from(record.truncate_from);
  if (record.kind == RecordKind::kEntry && is_right) take_entry(segment, record);
}

void LogWalk::truncate_from(LogIndex from) {
  if (from > state_.base().index) {
    state_.terms.truncate_from(from);
  } else {
    state_.terms.reset({from - 1, Term()});  // damage, and said so
  }
  auto& memberships = state_.memberships;
  while (!memberships.empty() && memberships.back().index >= from) memberships.pop_back();
}

// What the scan of one segment cannot see: that a record fits the segments before.
bool LogWalk::check_record(const WalkedSegment& segment, const Record& record) {
  if (record.kind == RecordKind::kTruncate) {
    const LogIndex from = record.truncate_from;
    if (from > state_.base().index && from <= next_index()) return true;
    damage(segment.number, record.file_offset, from,
           fmt::format("a truncation from {} of a log that starts after {} and ends at {}",
                       from.value(), state_.base().index.value(), state_.last().index.value()));
    return false;
  }
  if (record.kind == RecordKind::kHardState) return true;
  const EntryHeader& entry = record.entry;
  if (entry.index == next_index() && entry.term >= state_.last().term) return true;
  damage(segment.number, record.file_offset, entry.index,
         fmt::format("entry {} of term {} follows entry {} of term {}", entry.index.value(),
                     entry.term.value(), state_.last().index.value(), state_.last().term.value()));
  return false;
}

void LogWalk::take_entry(WalkedSegment& segment, const Record& record) {
  const LogIndex index = record.entry.index;
  state_.terms.append(record.entry.term);
  segment.first_index =
      segment.first_index == LogIndex() ? index : std::min(segment.first_index, index);
  segment.last_index = std::max(segment.last_index, index);
  if (record.entry.kind != EntryKind::kMembership) return;
  const auto entry = EntryReader::open(Bytes::copy_of(record.content), true);
  if (entry) return take_membership(segment, record.file_offset, index, entry->body());
  membership_known_ = false;
  damage(segment.number, record.file_offset, index, entry.error().message);
}

void LogWalk::take_membership(const WalkedSegment& segment, std::uint64_t offset, LogIndex index,
                              ByteView bytes) {
  auto membership = decode_membership(bytes);
  if (membership) {
    state_.memberships.push_back(
        {index, *std::move(membership), std::vector<std::uint8_t>(bytes.begin(), bytes.end())});
    return;
  }
  membership_known_ = false;
  damage(segment.number, offset, index,
         fmt::format("an invalid membership: {}", membership.error().message));
}

// ---- its end

void LogWalk::take_end(WalkedSegment& segment, const SegmentScan& scan, ByteView bytes) {
  sealed_ = scan.end == SegmentEnd::kSealed;
  state_known_ = true;
  if (was_cut_short(bytes, scan)) {
    segment.end = SegmentEnd::kDamaged;
    damage(segment.number, bytes.size(), next_index(),
           "the file was cut short: a segment always has room after its last block");
    return;
  }
  if (sealed_) return;
  segment.debris_end = end_of_content(bytes, scan.end_offset);
  if (segment.debris_end == scan.end_offset) return;
  segment.end = SegmentEnd::kTorn;
  find({LogFlaw::kTorn, segment.number, scan.end_offset, next_index(),
        fmt::format("the last write, block {}, did not complete: {} bytes that were never durable "
                    "and never acknowledged; the node clears them at its next start",
                    scan.next_sequence, segment.debris_end - scan.end_offset)});
}

void LogWalk::take_damaged_end(WalkedSegment& segment, const SegmentScan& scan, ByteView bytes,
                               bool is_last) {
  state_known_ = false;
  const BlocksAfter after = find_blocks_after(bytes, scan);
  std::string what = scan.problem;
  if (after.blocks > 0) {
    what += fmt::format("; readable again at offset {} ({} blocks to offset {})", after.resumes_at,
                        after.blocks, after.end_offset);
  }
  damage(segment.number, scan.problem_offset, scan.problem_index, std::move(what));
  for (const BlockGap& gap : after.gaps) {
    damage(segment.number, gap.begin, gap.index,
           fmt::format("block {} is missing too; readable again at offset {}", gap.missing_sequence,
                       gap.end));
  }
  if (!is_last && !after.sealed && after.blocks > 0) {
    damage(segment.number, after.end_offset, after.last_index + 1,
           "the segment is not the last one and does not end with a sealing block");
  }
  sealed_ = is_last && after.sealed;
}

}  // namespace bib::wire
