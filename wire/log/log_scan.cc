// scan_segment. The happy path: the header, then block after block, each checked whole, its records
// checked for continuity, and only then given to the visitor. It ends at a sealed block or at the
// first place that holds no block of ours. What such a place means:
//   - nothing was ever written there, or the file was recycled and older bytes still stand there;
//   - the last write did not complete (torn);
//   - a durable block is not there any more (damage): some later block says so.
#include <algorithm>
#include <utility>

#include "wire/base/little_endian.h"
#include "wire/base/mutant.h"
#include "wire/log/log_format.h"
#include "wire/log/log_terms.h"

namespace bib::wire {
namespace {

// The log as it is after the blocks read so far.
struct StateAfter {
  HardState hard_state;
  LogTerms terms;

  template <typename TermOf>
  void truncate(LogIndex from, const TermOf& term_of) {
    if (from > terms.base().index) return terms.truncate_from(from);
    terms.reset({from - 1, term_of(from - 1)});
  }
};

class Scanner {
 public:
  Scanner(ByteView file, const ScanOptions& options,
          const std::function<Status(const Record&)>& visit)
      : file_(file), options_(options), visit_(visit) {}

  Result<SegmentScan> run();

 private:
  enum class Step { kNextBlock, kEnd };

  Result<Step> read_block();
  bool is_ours(const std::uint8_t* block) const;
  Status check_records(const BlockHeader& block, StateAfter& state);
  Status check_record(Record& record, StateAfter& state);
  Status check_entry(Record& record, StateAfter& state);
  Term term_before_segment(LogIndex index) const;
  void damaged(std::uint64_t offset, std::string why);
  void end_without_block(const std::string& why);
  bool damaged_by_later_claim(const std::string& why);
  bool is_torn() const;

  ByteView file_;
  const ScanOptions& options_;
  const std::function<Status(const Record&)>& visit_;
  SegmentScan scan_;
  StateAfter state_;
  std::vector<Record> records_;  // of the block in hand
  bool closed_ = false;
};

Result<SegmentScan> Scanner::run() {
  if (file_.size() > kSegmentSizeMax) {
    return fail(ErrorCode::kCorrupt, "a segment of {} bytes is above the limit of {}", file_.size(),
                kSegmentSizeMax);
  }
  BIB_TRY(scan_.header, read_segment_header(file_));
  state_.hard_state = scan_.header.hard_state;
  state_.terms.reset({scan_.header.previous_index, scan_.header.previous_term});
  scan_.end_offset = scan_.header.header_size;
  scan_.next_sequence = scan_.header.first_sequence;
  for (Step step = Step::kNextBlock; step == Step::kNextBlock;) {
    BIB_TRY(step, read_block());
  }
  scan_.last_index = state_.terms.last().index;
  scan_.last_term = state_.terms.last().term;
  scan_.hard_state = state_.hard_state;
  return std::move(scan_);
}

// Whether the header at `block` names this log and this segment; it may be torn or false.
bool Scanner::is_ours(const std::uint8_t* block) const {
  return load_u32(block) == kBlockMagic && load_u64(block + 24) == scan_.header.log_id &&
         load_u64(block + 32) == scan_.header.number;
}

Result<Scanner::Step> Scanner::read_block() {
  const std::uint64_t offset = scan_.end_offset;
  const ByteView rest = file_.subspan(std::min<std::uint64_t>(offset, file_.size()));
  const auto block = verify_block(rest, scan_.header.alignment);
  if (!block) {
    end_without_block(block.error().message);
    return Step::kEnd;
  }
  if (BIB_MUTANT(kMisplacedIsTail) && block->sequence != scan_.next_sequence) {
    scan_.end = SegmentEnd::kTail;
    return Step::kEnd;
  }
  if (!is_ours(rest.data()) || block->sequence < scan_.next_sequence) {
    end_without_block(fmt::format("an older block is there (log {:016x}, segment {}, block {})",
                                  block->log_id, block->segment, block->sequence));
    return Step::kEnd;
  }
  if (block->sequence > scan_.next_sequence) {
    damaged(offset, fmt::format("block {} is where block {} belongs", block->sequence,
                                scan_.next_sequence));
    return Step::kEnd;
  }
  StateAfter after = state_;
  if (const Status status = check_records(*block, after); !status) {
    damaged(offset, status.error().message);
    return Step::kEnd;
  }
  if (visit_) {
    for (const Record& record : records_) BIB_TRY_VOID(visit_(record));
  }
  state_ = std::move(after);
  scan_.end_offset += block->size;
  scan_.next_sequence += 1;
  scan_.blocks += 1;
  scan_.durable_sequence = std::max(scan_.durable_sequence, block->durable_sequence);
  closed_ = (block->flags & kBlockClosed) != 0;
  if ((block->flags & kBlockSealed) == 0) return Step::kNextBlock;
  scan_.end = SegmentEnd::kSealed;
  return Step::kEnd;
}

Status Scanner::check_records(const BlockHeader& block, StateAfter& state) {
  records_.clear();
  const ByteView payload = file_.subspan(scan_.end_offset + kBlockHeaderSize, block.payload_size);
  std::size_t at = 0;
  while (at < payload.size()) {
    const std::size_t left = payload.size() - at;
    const std::uint32_t size = left < kRecordHeaderSize ? 0 : load_u32(payload.data() + at);
    const std::uint64_t padded = round_up(size, 8);
    if (size < kRecordHeaderSize || padded > left || padded > payload.size()) {
      return fail(ErrorCode::kCorrupt, "record {} claims {} bytes of the {} left", records_.size(),
                  size, left);
    }
    const std::uint32_t kind = load_u32(payload.data() + at + 4);
    Record record;
    record.kind = static_cast<RecordKind>(kind);
    record.file_offset = scan_.end_offset + kBlockHeaderSize + at + kRecordHeaderSize;
    record.content = payload.subspan(at + kRecordHeaderSize, size - kRecordHeaderSize);
    if (kind < 1 || kind > 3) {
      return fail(ErrorCode::kCorrupt, "record {} is of the unknown kind {}", records_.size(),
                  kind);
    }
    BIB_TRY_VOID(check_record(record, state));
    records_.push_back(record);
    at += padded;
  }
  if (records_.size() != block.record_count) {
    return fail(ErrorCode::kCorrupt, "the block holds {} records, its header says {}",
                records_.size(), block.record_count);
  }
  return {};
}

Status Scanner::check_record(Record& record, StateAfter& state) {
  const ByteView content = record.content;
  if (record.kind == RecordKind::kEntry) return check_entry(record, state);
  if (record.kind == RecordKind::kHardState) {
    if (content.size() != 16) {
      return fail(ErrorCode::kCorrupt, "a hard state of {} bytes", content.size());
    }
    record.hard_state = {.term = Term(load_u64(content.data())),
                         .vote = NodeId(load_u64(content.data() + 8))};
    if (record.hard_state.term < state.hard_state.term) {
      return fail(ErrorCode::kCorrupt, "the current term falls from {} to {}",
                  state.hard_state.term.value(), record.hard_state.term.value());
    }
    state.hard_state = record.hard_state;
    return {};
  }
  if (content.size() != 8) {
    return fail(ErrorCode::kCorrupt, "a truncation of {} bytes", content.size());
  }
  record.truncate_from = LogIndex(load_u64(content.data()));
  if (record.truncate_from == LogIndex(0) || record.truncate_from > state.terms.last().index) {
    return fail(ErrorCode::kCorrupt, "a truncation from {} of a log that ends at {}",
                record.truncate_from.value(), state.terms.last().index.value());
  }
  state.truncate(record.truncate_from,
                 [this](LogIndex index) { return term_before_segment(index); });
  return {};
}

Status Scanner::check_entry(Record& record, StateAfter& state) {
  const auto entry =
      options_.verify_entries ? verify_entry(record.content) : read_entry_header(record.content);
  if (!entry) return tl::unexpected(entry.error());
  if (entry->size != record.content.size()) {
    return fail(ErrorCode::kCorrupt, "an entry of {} bytes in a record for {}", entry->size,
                record.content.size());
  }
  if (entry->cluster != scan_.header.cluster) {
    return fail(ErrorCode::kCorrupt, "entry {} is of cluster {}, the segment of {}",
                entry->index.value(), to_string(entry->cluster), to_string(scan_.header.cluster));
  }
  const LogPosition last = state.terms.last();
  if (entry->index != last.index + 1) {
    return fail(ErrorCode::kCorrupt, "entry {} follows entry {}", entry->index.value(),
                last.index.value());
  }
  if (entry->term < last.term) {
    return fail(ErrorCode::kCorrupt, "entry {} of term {} follows an entry of term {}",
                entry->index.value(), entry->term.value(), last.term.value());
  }
  record.entry = *entry;
  state.terms.append(entry->term);
  return {};
}

Term Scanner::term_before_segment(LogIndex index) const {
  if (index == LogIndex(0) || !options_.term_of) return Term(0);
  return options_.term_of(index).value_or(Term(0));
}

void Scanner::damaged(std::uint64_t offset, std::string why) {
  scan_.end = SegmentEnd::kDamaged;
  scan_.problem_offset = offset;
  scan_.problem_index = state_.terms.last().index + 1;
  scan_.problem = std::move(why);
}

// Decides what it means that no block of ours is at end_offset.
void Scanner::end_without_block(const std::string& why) {
  if (!BIB_MUTANT(kDamageIsTornTail) && damaged_by_later_claim(why)) return;
  if (!options_.is_last) {
    damaged(scan_.end_offset,
            fmt::format("block {} is missing in a segment that is not the last one and is not "
                        "sealed ({})",
                        scan_.next_sequence, why));
    return;
  }
  if (!is_torn()) {
    scan_.end = closed_ ? SegmentEnd::kClosed : SegmentEnd::kTail;
    return;
  }
  if (BIB_MUTANT(kTornTailIsDamage)) return damaged(scan_.end_offset, why);
  scan_.end = SegmentEnd::kTorn;
  scan_.problem_offset = scan_.end_offset;
  scan_.problem_index = state_.terms.last().index + 1;
  scan_.problem =
      fmt::format("the last write, block {}, did not complete ({})", scan_.next_sequence, why);
}

bool Scanner::damaged_by_later_claim(const std::string& why) {
  const std::uint32_t step = scan_.header.alignment;
  const std::uint64_t missing = scan_.next_sequence;
  for (std::uint64_t offset = scan_.end_offset + step;
       offset < options_.zeros_from && offset + kBlockHeaderSize <= file_.size(); offset += step) {
    if (!is_ours(file_.data() + offset)) continue;
    const auto block = verify_block(file_.subspan(offset), step);
    if (!block || block->durable_sequence < missing) continue;
    damaged(scan_.end_offset,
            fmt::format("block {} is missing ({}), but block {} at offset {} says that it was "
                        "durable",
                        missing, why, block->sequence, offset));
    scan_.durable_sequence = std::max(scan_.durable_sequence, block->durable_sequence);
    return true;
  }
  return false;
}

// Whether what follows the end is the remains of a write of ours, rather than zeros or what
// a recycled file held before. A write of ours shows in a header with this log, this segment and a
// sequence that is not older. Bytes without one are the inside of an older block when older blocks
// follow them, and else a write whose first sector was lost.
bool Scanner::is_torn() const {
  const std::uint32_t step = scan_.header.alignment;
  bool anything = false;
  bool older_blocks = false;
  const std::uint64_t end = std::min<std::uint64_t>(file_.size(), options_.zeros_from);
  for (std::uint64_t offset = scan_.end_offset; offset < end; offset += step) {
    const ByteView rest = file_.subspan(offset);
    const ByteView sector = rest.first(std::min<std::size_t>(rest.size(), step));
    anything = anything || std::any_of(sector.begin(), sector.end(),
                                       [](std::uint8_t byte) { return byte != 0; });
    if (rest.size() < kBlockHeaderSize || load_u32(rest.data()) != kBlockMagic) continue;
    if (is_ours(rest.data()) && load_u64(rest.data() + 16) >= scan_.next_sequence) return true;
    older_blocks = older_blocks || verify_block(rest, step).has_value();
  }
  return anything && !older_blocks;
}

}  // namespace

Result<SegmentScan> scan_segment(ByteView file, const ScanOptions& options,
                                 const std::function<Status(const Record&)>& visit) {
  return Scanner(file, options, visit).run();
}

}  // namespace bib::wire
