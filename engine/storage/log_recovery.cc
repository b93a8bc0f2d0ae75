#include "engine/storage/log_recovery.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <utility>

#include "engine/storage/log_segment.h"
#include "wire/base/mutant.h"
#include "wire/log/entry.h"
#include "wire/log/log_start.h"

namespace bib::engine {

using wire::ByteView;
using wire::ErrorCode;
using wire::LogIndex;
using wire::Result;
using wire::Status;

namespace {

// How much of the first segment is read to find its header; grown when the header is larger.
constexpr std::size_t kHeaderRead = 64U << 10;

// `what` names the place in the segment and the first index that is affected.
tl::unexpected<wire::Error> damaged_as(const std::string& directory, std::uint64_t segment,
                                       const std::string& what) {
  return wire::fail(
      ErrorCode::kCorrupt,
      "the log is damaged: {}: {}. They were durable here, so this node must not start. See "
      "'raft-inspect verify {}' for details. To restore the node from the others, move its data "
      "directory away and join the cluster again",
      join_path(directory, wire::segment_file_name(segment)), what, directory);
}

tl::unexpected<wire::Error> damaged(const std::string& directory, std::uint64_t segment,
                                    std::uint64_t offset, LogIndex index, const std::string& what) {
  return damaged_as(directory, segment,
                    fmt::format("segment {}, offset {}: {}; entries from {} on are affected",
                                segment, offset, what, index.value()));
}

tl::unexpected<wire::Error> missing(const std::string& directory, std::uint64_t segment,
                                    LogIndex index) {
  return damaged(directory, segment, 0, index, "the file is missing");
}

// A header that cannot be read: a newer version's is no damage.
tl::unexpected<wire::Error> unreadable(const std::string& directory, std::uint64_t segment,
                                       LogIndex index, const wire::Error& error) {
  if (error.code != ErrorCode::kUnsupported) {
    return damaged(directory, segment, 0, index, error.message);
  }
  return wire::fail(ErrorCode::kUnsupported,
                    "{} cannot be read: {}. If a newer bibd wrote it, start that version; if not, "
                    "the file is damaged: see 'raft-inspect verify {}'",
                    join_path(directory, wire::segment_file_name(segment)), error.message,
                    directory);
}

bool has_suffix(const std::string& name, std::string_view suffix) {
  return name.size() >= suffix.size() &&
         std::string_view(name).substr(name.size() - suffix.size()) == suffix;
}

struct Listing {
  std::vector<std::uint64_t> segments;  // ascending
  std::vector<std::string> temporary;
};

Result<Listing> list_log(FileSystem& files, const std::string& directory) {
  BIB_TRY(const auto names, files.list(directory));
  Listing listing;
  for (const std::string& name : names) {
    if (has_suffix(name, kTemporarySuffix)) listing.temporary.push_back(name);
    if (const auto number = wire::parse_segment_file_name(name)) {
      listing.segments.push_back(*number);
    }
  }
  std::sort(listing.segments.begin(), listing.segments.end());
  return listing;
}

// Reads a segment, or its first `bytes_max` bytes, into the buffer. Direct, where it can be: the
// page cache may hold what a failed write never brought to the disk.
Result<ByteView> read_segment(FileSystem& files, const std::string& directory,
                              std::uint64_t segment, std::size_t bytes_max, AlignedBuffer& buffer) {
  const std::string path = join_path(directory, wire::segment_file_name(segment));
  BIB_TRY(auto file, files.open(path, {.mode = OpenMode::kRead, .direct = true}));
  BIB_TRY(const std::uint64_t size, file->size());
  if (size > wire::kSegmentSizeMax) {
    return damaged(directory, segment, 0, LogIndex(0), "the file is larger than a segment can be");
  }
  const std::size_t wanted = std::min<std::size_t>(size, bytes_max);
  constexpr std::size_t kUnit = AlignedBuffer::kAlignment;
  const std::size_t rounded = (wanted + kUnit - 1) / kUnit * kUnit;
  if (buffer.size() < rounded) buffer = AlignedBuffer(rounded);
  BIB_TRY(const std::size_t count, file->read(0, std::span(buffer.data(), rounded)));
  if (count < wanted) {
    return wire::fail(ErrorCode::kIo, "{} ended at {} while it was read, not at {}", path, count,
                      wanted);
  }
  return buffer.view().first(std::min<std::size_t>(count, size));
}

// Behind the last byte that is not zero; `from` when there is none.
std::size_t end_of_content(ByteView bytes, std::size_t from) {
  constexpr std::size_t kChunk = 4096;
  static constexpr std::array<std::uint8_t, kChunk> kZeros{};
  std::size_t end = bytes.size();
  while (end >= from + kChunk && std::memcmp(&bytes[end - kChunk], kZeros.data(), kChunk) == 0) {
    end -= kChunk;
  }
  while (end > from && bytes[end - 1] == 0) --end;
  return std::max(end, from);
}

std::uint64_t load(ByteView bytes, std::size_t offset, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | bytes[offset + i];
  return value;
}

// A segment never changes its size and keeps a block's room at its end, so a last write can be torn
// but not cut off by the end of the file.
bool was_cut_short(ByteView bytes, const wire::SegmentScan& scan) {
  if (scan.end == wire::SegmentEnd::kSealed) return false;
  if (bytes.size() % kSegmentBytesUnit != 0) return true;
  if (scan.end_offset + scan.header.alignment > bytes.size()) return true;
  const ByteView rest = bytes.subspan(scan.end_offset);
  return std::memcmp(rest.data(), "BBLK", 4) == 0 && load(rest, 16, 8) == scan.next_sequence &&
         load(rest, 24, 8) == scan.header.log_id && load(rest, 32, 8) == scan.header.number &&
         load(rest, 12, 4) > rest.size();
}

// Nothing where the log has never been compacted.
Result<std::optional<wire::LogStart>> read_log_start(FileSystem& files,
                                                     const std::string& directory) {
  BIB_TRY(const bool is_there, has_name(files, directory, wire::kLogStartFileName));
  if (!is_there) return std::nullopt;
  const std::string path = join_path(directory, wire::kLogStartFileName);
  BIB_TRY(auto file, files.open(path, {.mode = OpenMode::kRead, .direct = false}));
  std::array<std::uint8_t, wire::kLogStartSize + 1> bytes{};  // one more shows a longer file
  BIB_TRY(const std::size_t count, file->read(0, bytes));
  auto start = wire::decode_log_start(ByteView(bytes).first(count));
  if (start) return *start;
  return wire::fail(start.error().code,
                    "{} cannot be read: {}. Where the log begins is not known, so this node must "
                    "not start. See 'raft-inspect verify {}'. To restore the node from the others, "
                    "move its data directory away and join the cluster again",
                    path, start.error().message, directory);
}

class Recovery {
 public:
  Recovery(FileSystem& files, const std::string& directory, Listing listing)
      : files_(files), directory_(directory), listing_(std::move(listing)) {}

  Result<LogContents> run() {
    contents_.is_empty = false;
    contents_.locations = std::make_unique<LogLocations>();
    for (const std::string& name : listing_.temporary) contents_.leftovers.push_back(name);
    BIB_TRY(start_, read_log_start(files_, directory_));
    set_retired_segments_aside();
    BIB_TRY_VOID(check_numbers());
    BIB_TRY_VOID(set_blank_segment_aside());
    for (std::size_t i = 0; i < listing_.segments.size(); ++i) {
      BIB_TRY_VOID(take_segment(listing_.segments[i], i + 1 == listing_.segments.size()));
    }
    if (blank_) BIB_TRY_VOID(settle_blank_segment());
    if (sealed_) return missing(directory_, contents_.last_header.number + 1, last().index + 1);
    return std::move(contents_);
  }

 private:
  wire::LogPosition last() const { return contents_.locations->last(); }

  std::uint64_t first_number() const { return start_ ? start_->first_segment : 1; }

  // A crash came between the note of the log's start and the end of the removals.
  void set_retired_segments_aside() {
    while (!listing_.segments.empty() && listing_.segments.front() < first_number()) {
      contents_.leftovers.push_back(wire::segment_file_name(listing_.segments.front()));
      listing_.segments.erase(listing_.segments.begin());
    }
  }

  Status check_numbers() {
    std::uint64_t expected = first_number();
    if (listing_.segments.empty()) {
      return missing(directory_, expected, start_->previous_index + 1);
    }
    for (const std::uint64_t number : listing_.segments) {
      if (number != expected) {
        LogIndex index = start_ ? start_->previous_index + 1 : LogIndex(1);
        if (expected > first_number()) {
          // What is missing begins where the segment before it ends.
          static_cast<void>(walk_until(expected - 1));
          index = last().index + 1;
        }
        return missing(directory_, expected, index);
      }
      ++expected;
    }
    return {};
  }

  Status walk_until(std::uint64_t number) {
    for (std::uint64_t i = first_number(); i <= number; ++i) {
      BIB_TRY_VOID(take_segment(i, true));
    }
    return {};
  }

  // A new segment gets its name before the one before it is sealed; a crash in between leaves it
  // without a block. Whether that is so shows only behind the one before.
  Status set_blank_segment_aside() {
    if (listing_.segments.size() < 2) return {};
    const std::uint64_t number = listing_.segments.back();
    BIB_TRY(const ByteView bytes,
            read_segment(files_, directory_, number, wire::kSegmentSizeMax, buffer_));
    const auto header = wire::read_segment_header(bytes);
    if (!header) return {};  // take_segment() will say so
    if (end_of_content(bytes, header->header_size) > header->header_size) return {};
    blank_ = number;
    listing_.segments.pop_back();
    return {};
  }

  Status settle_blank_segment() {
    if (sealed_) return take_segment(*blank_, true);
    contents_.leftovers.push_back(wire::segment_file_name(*blank_));
    return {};
  }

  Status take_segment(std::uint64_t number, bool is_last) {
    BIB_TRY(const ByteView bytes,
            read_segment(files_, directory_, number, wire::kSegmentSizeMax, buffer_));
    auto header = wire::read_segment_header(bytes);
    if (!header) return unreadable(directory_, number, last().index + 1, header.error());
    BIB_TRY_VOID(take_header(number, *header));
    BIB_TRY(wire::SegmentScan scan,
            wire::scan_segment(
                bytes,
                {.is_last = is_last,
                 .term_of = [&](LogIndex index) { return contents_.locations->term_at(index); }},
                [&](const wire::Record& record) { return take(number, record); }));
    if (scan.end == wire::SegmentEnd::kDamaged) {
      return damaged_as(directory_, number, scan.problem);
    }
    if (was_cut_short(bytes, scan)) {
      return damaged(directory_, number, bytes.size(), last().index + 1, "the file was cut short");
    }
    take_end(bytes, std::move(scan));
    return {};
  }

  Status take_header(std::uint64_t number, const wire::SegmentHeader& header) {
    const auto wrong = [&](const std::string& what) {
      return damaged(directory_, number, 0, last().index + 1, what);
    };
    if (header.number != number && !BIB_MUTANT(kBelievesNames)) {
      return wrong(fmt::format("the file holds segment {}", header.number));
    }
    const LogIdentity identity{header.cluster, header.node, header.log_id};
    const bool is_first = contents_.next_sequence == 0;
    contents_.starts.push_back({number, {header.previous_index, header.previous_term}});
    if (is_first) {
      contents_.identity = identity;
      BIB_TRY_VOID(check_log_start(number, header));
      return begin_at(number, header);
    }
    if (identity != contents_.identity) {
      return wrong(fmt::format("the file belongs to another log (cluster {}, node {}, log {:016x})",
                               to_string(header.cluster), to_string(header.node), header.log_id));
    }
    if (header.first_sequence != contents_.next_sequence && !BIB_MUTANT(kBelievesNames)) {
      return wrong(fmt::format("its first block is {}, but the segment before ends before {}",
                               header.first_sequence, contents_.next_sequence));
    }
    if (header.hard_state != contents_.hard_state && !BIB_MUTANT(kBelievesNames)) {
      return wrong("its term and vote are not those of the segment before");
    }
    if (last() != wire::LogPosition{header.previous_index, header.previous_term}) {
      return begin_at(number, header);
    }
    const auto& memberships = contents_.memberships;
    const LogIndex latest = memberships.empty() ? LogIndex(0) : memberships.back().index;
    if (header.membership_index != latest && !BIB_MUTANT(kBelievesNames)) {
      return wrong("its membership is not the latest one of the segments before");
    }
    return {};
  }

  Status check_log_start(std::uint64_t number, const wire::SegmentHeader& header) const {
    if (!start_) return {};
    const bool fits = start_->log_id == header.log_id &&
                      start_->previous_index == header.previous_index &&
                      start_->previous_term == header.previous_term;
    if (fits) return {};
    return damaged(
        directory_, number, 0, header.previous_index + 1,
        fmt::format("{} says that log {:016x} begins here behind entry {} of term {}, "
                    "but this is log {:016x} behind entry {} of term {}",
                    wire::kLogStartFileName, start_->log_id, start_->previous_index.value(),
                    start_->previous_term.value(), header.log_id, header.previous_index.value(),
                    header.previous_term.value()));
  }

  // The log's first segment, or one behind an installed snapshot.
  Status begin_at(std::uint64_t number, const wire::SegmentHeader& header) {
    contents_.locations->reset({header.previous_index, header.previous_term});
    contents_.memberships.clear();
    if (header.membership.empty()) return {};
    return take_membership(number, 0, header.membership_index, header.membership);
  }

  Status take_membership(std::uint64_t number, std::uint64_t offset, LogIndex index,
                         ByteView bytes) {
    auto membership = wire::decode_membership(bytes);
    if (!membership) {
      return damaged(directory_, number, offset, index,
                     fmt::format("a membership that is none: {}", membership.error().message));
    }
    contents_.memberships.push_back(
        {index, *std::move(membership), std::vector<std::uint8_t>(bytes.begin(), bytes.end())});
    return {};
  }

  Status take(std::uint64_t number, const wire::Record& record) {
    if (record.kind == wire::RecordKind::kTruncate) return truncate(number, record);
    if (record.kind == wire::RecordKind::kEntry) return take_entry(number, record);
    return {};
  }

  Status truncate(std::uint64_t number, const wire::Record& record) {
    const LogIndex from = record.truncate_from;
    if (from <= contents_.locations->base().index || from > last().index + 1) {
      return damaged(directory_, number, record.file_offset, from,
                     fmt::format("a truncation from {} of a log that ends at {}", from.value(),
                                 last().index.value()));
    }
    contents_.locations->truncate_from(from);
    while (!contents_.memberships.empty() && contents_.memberships.back().index >= from) {
      contents_.memberships.pop_back();
    }
    return {};
  }

  Status take_entry(std::uint64_t number, const wire::Record& record) {
    const wire::EntryHeader& entry = record.entry;
    if (entry.index != last().index + 1 || entry.term < last().term) {
      return damaged(
          directory_, number, record.file_offset, entry.index,
          fmt::format("entry {} of term {} follows entry {} of term {}", entry.index.value(),
                      entry.term.value(), last().index.value(), last().term.value()));
    }
    contents_.locations->append({.index = entry.index,
                                 .term = entry.term,
                                 .segment = number,
                                 .offset = record.file_offset,
                                 .size = entry.size});
    if (entry.kind != wire::EntryKind::kMembership) return {};
    auto reader = wire::EntryReader::open(wire::Bytes::copy_of(record.content), true);
    if (!reader) {
      return damaged(directory_, number, record.file_offset, entry.index, reader.error().message);
    }
    return take_membership(number, record.file_offset, entry.index, reader->body());
  }

  void take_end(ByteView bytes, wire::SegmentScan&& scan) {
    sealed_ = scan.end == wire::SegmentEnd::kSealed;
    contents_.hard_state = scan.hard_state;
    contents_.end_offset = scan.end_offset;
    contents_.next_sequence = scan.next_sequence;
    contents_.closed_cleanly = scan.end == wire::SegmentEnd::kClosed;
    contents_.last_segment_bytes = bytes.size();
    contents_.debris_end = sealed_ ? scan.end_offset : end_of_content(bytes, scan.end_offset);
    contents_.torn.clear();
    if (contents_.debris_end > scan.end_offset) {
      contents_.torn = fmt::format(
          "{}: {} bytes at offset {} are the rest of a write that did not complete; nothing that "
          "was durable is missing, the log goes on at entry {}",
          wire::segment_file_name(scan.header.number), contents_.debris_end - scan.end_offset,
          scan.end_offset, last().index.value() + 1);
    }
    contents_.last_header = std::move(scan.header);
  }

  FileSystem& files_;
  const std::string& directory_;
  Listing listing_;
  std::optional<wire::LogStart> start_;
  LogContents contents_;
  AlignedBuffer buffer_;  // one segment; kept, because fresh memory costs more than the disk
  std::optional<std::uint64_t> blank_;
  bool sealed_ = false;
};

}  // namespace

Result<std::optional<LogIdentity>> read_identity(FileSystem& files, const std::string& directory) {
  BIB_TRY(const Listing listing, list_log(files, directory));
  if (listing.segments.empty()) return std::nullopt;
  const std::uint64_t number = listing.segments.front();
  AlignedBuffer buffer;
  Result<wire::SegmentHeader> header = wire::fail(ErrorCode::kCorrupt, "not read");
  for (const std::size_t bytes_max : {kHeaderRead, std::size_t{wire::kSegmentHeaderSizeMax}}) {
    BIB_TRY(const ByteView bytes, read_segment(files, directory, number, bytes_max, buffer));
    header = wire::read_segment_header(bytes);
    if (header) return LogIdentity{header->cluster, header->node, header->log_id};
  }
  return unreadable(directory, number, LogIndex(1), header.error());
}

Result<LogContents> recover_log(FileSystem& files, const std::string& directory) {
  BIB_TRY(Listing listing, list_log(files, directory));
  BIB_TRY(const auto start, read_log_start(files, directory));
  if (!listing.segments.empty() || start) {
    return Recovery(files, directory, std::move(listing)).run();
  }
  LogContents nothing;
  nothing.leftovers = std::move(listing.temporary);
  return nothing;
}

}  // namespace bib::engine
