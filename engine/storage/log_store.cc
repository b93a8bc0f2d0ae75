#include "engine/storage/log_store.h"

#include <algorithm>
#include <utility>

#include "wire/base/check.h"
#include "wire/base/little_endian.h"
#include "wire/base/mutant.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::LogIndex;
using wire::LogPosition;
using wire::Result;
using wire::round_up;
using wire::Status;

namespace {

constexpr char kPreparedName[] = "prepared.tmp";
constexpr char kOnTheSpotName[] = "segment.tmp";
constexpr std::uint64_t kHardStateSize = 16;
constexpr std::uint64_t kTruncateSize = 8;
constexpr std::uint16_t kBlockRecordsMax = 60000;

std::uint64_t record_size(std::uint64_t content) {
  return wire::kRecordHeaderSize + round_up(content, 8);
}

Status check_options(const LogStoreOptions& options) {
  if (options.segment_bytes < wire::kSegmentSizeMin ||
      options.segment_bytes > wire::kSegmentSizeMax) {
    return wire::fail(ErrorCode::kConfig, "a log segment of {} bytes: allowed are {} to {}",
                      options.segment_bytes, wire::kSegmentSizeMin, wire::kSegmentSizeMax);
  }
  return {};
}

}  // namespace

// What a write does to the log's index once it is durable.
struct LogStore::Change {
  enum class Kind : std::uint8_t { kEntry, kTruncate, kReset };
  Kind kind = Kind::kEntry;
  EntryLocation entry;     // kEntry; until its block is finished the offset is the block's own
  LogIndex truncate_from;  // kTruncate
  LogPosition reset_to;    // kReset
};

LogStore::LogStore(FileSystem& files, std::string directory, LogStoreOptions options)
    : files_(files), directory_(std::move(directory)), options_(std::move(options)) {}

LogStore::~LogStore() {
  if (prepared_) static_cast<void>(files_.remove(prepared_->path));  // recovery would do it
}

Result<LogStore::Recovered> LogStore::open(FileSystem& files, std::string directory,
                                           LogStoreOptions options) {
  BIB_TRY_VOID(check_options(options));
  options.segment_bytes = round_up(options.segment_bytes, wire::kSegmentBytesUnit);
  BIB_TRY_VOID(files.make_directories(directory));
  if (options.alignment == 0) {
    BIB_TRY(options.alignment, files.write_unit(directory));
  }
  BIB_TRY(LogContents contents, recover_log(files, directory));
  for (const std::string& name : contents.leftovers) {
    BIB_TRY_VOID(files.remove(join_path(directory, name)));
  }
  if (!contents.leftovers.empty()) BIB_TRY_VOID(files.sync_directory(directory));

  Recovered recovered;
  recovered.store.reset(new LogStore(files, std::move(directory), std::move(options)));
  LogStore& store = *recovered.store;
  if (contents.is_empty) {
    BIB_TRY_VOID(store.begin_log());
  } else {
    BIB_TRY_VOID(store.continue_log(contents));
  }
  recovered.hard_state = store.hard_state_;
  recovered.log = store.locations_->log_view();
  recovered.memberships = store.memberships_;
  recovered.is_new = contents.is_empty;
  recovered.closed_cleanly = contents.closed_cleanly;
  recovered.torn = std::move(contents.torn);
  recovered.committed = contents.committed;
  recovered.note_problem = std::move(contents.note_problem);
  return recovered;
}

Status LogStore::begin_log() {
  identity_ = {options_.cluster, options_.node, options_.random() | 1};  // never 0
  locations_ = std::make_shared<LogLocations>();
  wire::SegmentHeader header = next_header();
  header.number = 1;
  header.first_sequence = 1;
  const std::uint64_t bytes = segment_bytes_for(header, 0);
  BIB_TRY(PreparedSegment file, prepare_segment({&files_, directory_, kOnTheSpotName, bytes}));
  BIB_TRY(segment_, LogSegment::create(files_, directory_, std::move(file), header));
  builder_ = std::make_unique<wire::BlockBuilder>(segment_->alignment());
  starts_.push_back({1, {}});
  next_sequence_ = 1;
  ++counters_.segments_made;
  return {};
}

Status LogStore::continue_log(LogContents& contents) {
  identity_ = contents.identity;
  if (identity_.cluster != options_.cluster || identity_.node != options_.node) {
    return wire::fail(
        ErrorCode::kConfig,
        "{} holds the log of node {} of cluster {}, but this is node {} of cluster {}: check "
        "data_dir and node_id in the configuration, or move the directory away",
        directory_, to_string(identity_.node), to_string(identity_.cluster),
        to_string(options_.node), to_string(options_.cluster));
  }
  locations_ = std::move(contents.locations);
  last_ = locations_->last();
  hard_state_ = contents.hard_state;
  memberships_ = std::move(contents.memberships);
  starts_ = std::move(contents.starts);
  next_sequence_ = contents.next_sequence;
  BIB_TRY(segment_, LogSegment::reopen(files_, directory_, contents.last_header,
                                       contents.end_offset, contents.last_segment_bytes));
  builder_ = std::make_unique<wire::BlockBuilder>(segment_->alignment());
  // A block after the end that did reach the disk would be taken for the successor of the next
  // one, if that happened to end where it begins.
  if (contents.debris_end > contents.end_offset && !BIB_MUTANT(kDebrisStays)) {
    BIB_TRY_VOID(segment_->clear_to(contents.debris_end));
  }
  // What was found, names too, may have been in a volatile cache only, if just the process had
  // ended.
  BIB_TRY_VOID(files_.sync_directory(directory_));
  BIB_TRY_VOID(sync_previous_segment());
  return sync();
}

// The block that seals it may have been written and not synced; every earlier segment's was synced
// before the one after it was begun.
Status LogStore::sync_previous_segment() {
  if (starts_.size() < 2) return {};
  const std::uint64_t number = starts_[starts_.size() - 2].number;
  const std::string path = join_path(directory_, wire::segment_file_name(number));
  BIB_TRY(const auto file, files_.open(path, {.mode = OpenMode::kReadWrite, .direct = true}));
  return file->sync();
}

Status LogStore::append(std::span<const LogStoreWrite> writes) {
  if (failure_) return tl::unexpected(*failure_);
  for (const LogStoreWrite& write : writes) {
    const Status status = append_one(write);
    if (!status && BIB_MUTANT(kFullDiskIsIgnored)) break;
    BIB_TRY_VOID(fail_with(status));
  }
  if (builder_->record_count() > 0) BIB_TRY_VOID(fail_with(finish_block(0, Sync::kNow)));
  BIB_CHECK(!unsynced_);
  publish();
  return {};
}

Status LogStore::fail_with(Status status) {
  if (status) return status;
  failure_ = status.error();
  failure_->message =
      fmt::format("the log can no longer be written, the node has to stop: {}", failure_->message);
  return tl::unexpected(*failure_);
}

Status LogStore::append_one(const LogStoreWrite& write) {
  if (write.hard_state && *write.hard_state != hard_state_) {
    BIB_TRY_VOID(make_room(record_size(kHardStateSize)));
    builder_->add_hard_state(*write.hard_state);
    hard_state_ = *write.hard_state;
  }
  if (write.reset) BIB_TRY_VOID(do_reset(*write.reset));
  if (write.truncate_from) BIB_TRY_VOID(truncate(*write.truncate_from));
  for (const wire::Bytes& entry : write.entries) BIB_TRY_VOID(append_entry(entry));
  return {};
}

Status LogStore::truncate(LogIndex from) {
  if (from == last_.index + 1) return {};
  const auto term = term_written(from - 1);
  BIB_CHECK(from <= last_.index && term, "truncation from {} of a log that ends at {}",
            from.value(), last_.index.value());
  BIB_TRY_VOID(make_room(record_size(kTruncateSize)));
  builder_->add_truncate(from);
  last_ = {from - 1, *term};
  while (!memberships_.empty() && memberships_.back().index >= from) memberships_.pop_back();
  changes_.push_back(
      {.kind = Change::Kind::kTruncate, .entry = {}, .truncate_from = from, .reset_to = {}});
  return {};
}

std::optional<wire::Term> LogStore::term_written(LogIndex index) const {
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    if (change->kind == Change::Kind::kEntry && change->entry.index == index) {
      return change->entry.term;
    }
    if (change->kind == Change::Kind::kReset) {
      if (change->reset_to.index == index) return change->reset_to.term;
      return std::nullopt;
    }
  }
  return locations_->term_at(index);
}

Status LogStore::append_entry(const wire::Bytes& entry) {
  const auto header = wire::read_entry_header(entry.view());
  BIB_CHECK(header.has_value() && header->size == entry.size(), "an entry that was not verified");
  BIB_CHECK(header->index == last_.index + 1 && header->term >= last_.term,
            "entry {} of term {} after {} of term {}", header->index.value(), header->term.value(),
            last_.index.value(), last_.term.value());
  BIB_CHECK(header->cluster == identity_.cluster, "an entry of another cluster");
  BIB_TRY_VOID(make_room(record_size(entry.size())));
  const std::uint32_t offset = builder_->add_entry(entry.view());
  last_ = {header->index, header->term};
  changes_.push_back({.kind = Change::Kind::kEntry,
                      .entry = {.index = header->index,
                                .term = header->term,
                                .segment = segment_->number(),
                                .offset = offset,
                                .size = header->size},
                      .truncate_from = {},
                      .reset_to = {}});
  ++counters_.entries;
  if (header->kind == wire::EntryKind::kMembership) remember_membership(entry);
  return {};
}

void LogStore::remember_membership(const wire::Bytes& entry) {
  const auto reader = wire::EntryReader::open(entry, true);
  BIB_CHECK(reader.has_value(), "a membership entry that was not verified");
  const wire::ByteView body = reader->body();
  auto membership = wire::decode_membership(body);
  BIB_CHECK(membership.has_value(), "a membership that was not verified");
  memberships_.push_back(
      {reader->header().index, *std::move(membership), {body.begin(), body.end()}});
}

Status LogStore::do_reset(const LogReset& reset) {
  if (reset.position == last_) return {};
  if (builder_->record_count() > 0) BIB_TRY_VOID(finish_block(0, Sync::kLater));
  auto membership = wire::decode_membership(reset.membership);
  BIB_CHECK(membership.has_value(), "a snapshot's membership that was not verified");
  last_ = reset.position;
  memberships_.assign(1, {reset.membership_index, *std::move(membership), reset.membership});
  changes_.push_back(
      {.kind = Change::Kind::kReset, .entry = {}, .truncate_from = {}, .reset_to = reset.position});
  block_changes_ = changes_.size();
  return roll(0);  // the next segment's header says where the log continues
}

// Makes sure that a record of this size fits into the block that is being built, by beginning
// another block or segment where it does not.
Status LogStore::make_room(std::uint64_t size) {
  const std::uint64_t unit = segment_->alignment();
  if (builder_->record_count() > 0) {
    const std::uint64_t with = round_up(builder_->size() + size, unit);
    const bool full = with > options_.block_bytes_max || with > segment_->room() ||
                      builder_->record_count() >= kBlockRecordsMax;
    if (!full) return {};
    BIB_TRY_VOID(finish_block(0, Sync::kLater));
  }
  const std::uint64_t alone = wire::kBlockHeaderSize + size;
  return round_up(alone, unit) > segment_->room() ? roll(alone) : Status{};
}

Status LogStore::finish_block(std::uint8_t flags, Sync when) {
  // The block before this one is where a watermark with the same sequence was. Were it lost
  // and this one not, the watermark would seem to be this one's predecessor.
  if (replaced_watermark_) BIB_TRY_VOID(sync());
  const std::uint64_t start = segment_->end_offset();
  const wire::ByteView block = builder_->finish({.sequence = next_sequence_,
                                                 .log_id = identity_.log_id,
                                                 .segment = segment_->number(),
                                                 .durable_sequence = durable_sequence_,
                                                 .flags = flags});
  BIB_TRY_VOID(write_block(block, when));
  ++counters_.blocks;
  counters_.bytes += block.size();
  builder_->reset();
  for (; block_changes_ < changes_.size(); ++block_changes_) {
    changes_[block_changes_].entry.offset += start;
  }
  return {};
}

Status LogStore::write_block(wire::ByteView block, Sync when) {
  const bool is_alone = !unsynced_;
  replaced_watermark_ = std::exchange(watermark_current_, false);
  if (when == Sync::kNow && is_alone) {
    BIB_TRY_VOID(segment_->append_durably(block));
    ++next_sequence_;
    all_is_durable();
    return {};
  }
  unsynced_ = true;
  BIB_TRY_VOID(segment_->append(block));
  ++next_sequence_;
  return when == Sync::kNow ? sync() : Status{};
}

Status LogStore::sync() {
  BIB_TRY_VOID(segment_->sync());
  all_is_durable();
  return {};
}

void LogStore::all_is_durable() {
  durable_sequence_ = next_sequence_ - 1;
  unsynced_ = false;
  replaced_watermark_ = false;
  ++counters_.syncs;
}

wire::SegmentHeader LogStore::next_header() const {
  wire::SegmentHeader header;
  header.number = segment_ ? segment_->number() + 1 : 1;
  header.cluster = identity_.cluster;
  header.node = identity_.node;
  header.log_id = identity_.log_id;
  header.first_sequence = next_sequence_ + 1;  // after the block that seals this segment
  header.previous_index = last_.index;
  header.previous_term = last_.term;
  header.hard_state = hard_state_;
  header.created_us = options_.now_us();
  header.alignment = options_.alignment;
  if (!memberships_.empty()) {
    header.membership_index = memberships_.back().index;
    header.membership = memberships_.back().bytes;
  }
  header.schema.assign(options_.schema.begin(), options_.schema.end());
  return header;
}

// As configured, or more where the header and one block would not fit.
std::uint64_t LogStore::segment_bytes_for(const wire::SegmentHeader& header,
                                          std::uint64_t block_size) const {
  const std::uint64_t unit = header.alignment;
  const std::uint64_t needed = round_up(wire::encode_segment_header(header).size(), unit) +
                               round_up(block_size, unit) + 2 * unit;  // a watermark, the seal
  return std::max(round_up(needed, wire::kSegmentBytesUnit), options_.segment_bytes);
}

// Continues in a new segment that has room for a block of this size. The new file gets its name
// before the old one is sealed: so a sealed segment without a successor shows that a file has gone.
Status LogStore::roll(std::uint64_t block_size) {
  BIB_CHECK(builder_->record_count() == 0);
  const wire::SegmentHeader header = next_header();
  const std::uint64_t bytes = segment_bytes_for(header, block_size);
  if (!prepared_ || prepared_->bytes < bytes) {
    if (prepared_) BIB_TRY_VOID(remove_if_there(files_, prepared_->path));
    BIB_TRY(prepared_, prepare_segment({&files_, directory_, kOnTheSpotName, bytes}));
    ++counters_.segments_not_ready;
  }
  PreparedSegment file = *std::exchange(prepared_, std::nullopt);
  BIB_TRY(auto next, LogSegment::create(files_, directory_, std::move(file), header));
  BIB_TRY_VOID(finish_block(wire::kBlockSealed, Sync::kNow));
  segment_ = std::move(next);
  starts_.push_back({segment_->number(), last_});
  builder_ = std::make_unique<wire::BlockBuilder>(segment_->alignment());
  ++counters_.segments_made;
  return {};
}

void LogStore::publish() {
  std::vector<EntryLocation> entries;
  const auto flush = [&] {
    if (!entries.empty()) locations_->append(entries);
    entries.clear();
  };
  for (const Change& change : changes_) {
    switch (change.kind) {
      case Change::Kind::kEntry:
        entries.push_back(change.entry);
        break;
      case Change::Kind::kTruncate:
        flush();
        locations_->truncate_from(change.truncate_from);
        break;
      case Change::Kind::kReset:
        flush();
        locations_->reset(change.reset_to);
        break;
    }
  }
  flush();
  changes_.clear();
  block_changes_ = 0;
}

Status LogStore::write_watermark() {
  if (failure_) return tl::unexpected(*failure_);
  if (watermark_current_) return {};
  BIB_CHECK(!unsynced_ && builder_->record_count() == 0);
  if (segment_->room() < segment_->alignment()) {
    BIB_TRY_VOID(fail_with(roll(0)));
  }
  const wire::ByteView block = builder_->finish({.sequence = next_sequence_,
                                                 .log_id = identity_.log_id,
                                                 .segment = segment_->number(),
                                                 .durable_sequence = durable_sequence_,
                                                 .flags = wire::kBlockWatermark});
  BIB_TRY_VOID(fail_with(segment_->write_at_end(block)));
  builder_->reset();
  watermark_current_ = true;
  return {};
}

Status LogStore::close() {
  if (failure_) return tl::unexpected(*failure_);
  if (segment_->room() < segment_->alignment()) {
    BIB_TRY_VOID(fail_with(roll(0)));
  }
  return fail_with(finish_block(wire::kBlockClosed, Sync::kNow));
}

SegmentRequest LogStore::prepared_request() const {
  return {&files_, directory_, kPreparedName, options_.segment_bytes};
}

void LogStore::adopt(PreparedSegment segment) {
  BIB_CHECK(!prepared_);
  prepared_ = std::move(segment);
}

consensus::Restored restored_from(const LogStore::Recovered& log, LogIndex applied) {
  consensus::Restored restored;
  restored.hard_state = {log.hard_state.term, log.hard_state.vote};
  restored.base = log.log.base();
  restored.applied = applied;
  restored.committed = std::max(applied, log.committed);
  restored.terms = log.log.term_runs();
  for (LogIndex index = log.log.first_index(); index <= log.log.last_index(); ++index) {
    restored.sizes.push_back(log.log.size_of(index));
  }
  for (const wire::LoggedMembership& logged : log.memberships) {
    restored.memberships.push_back(consensus::MembershipAt{logged.index, logged.membership});
  }
  return restored;
}

}  // namespace bib::engine
