#include "engine/storage/log_recovery.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "wire/base/little_endian.h"
#include "wire/log/commit_note.h"
#include "wire/log/data_directory.h"
#include "wire/log/log_start.h"

namespace bib::engine {

using wire::ByteView;
using wire::ErrorCode;
using wire::LogFinding;
using wire::LogFlaw;
using wire::Result;
using wire::Status;

namespace {

// How much of the first segment is read to find its header; grown when the header is larger.
constexpr std::size_t kHeaderRead = 64U << 10;

// Why the node must not start, and what to do. A newer version's file is no damage.
tl::unexpected<wire::Error> refusal(const std::string& directory, const LogFinding& finding) {
  const bool is_note = finding.segment == 0;
  const std::string path = join_path(
      directory, is_note ? wire::kLogStartFileName : wire::segment_file_name(finding.segment));
  if (finding.flaw == LogFlaw::kUnsupported) {
    return wire::fail(ErrorCode::kUnsupported,
                      "{} cannot be read: {}. If a newer bibd wrote it, start that version; if "
                      "not, the file is damaged: see 'raft-inspect verify {}'",
                      path, finding.what, directory);
  }
  const std::string what =
      is_note ? finding.what
              : fmt::format(
                    "segment {}, offset {}: {}; entries from {} on are affected. They were "
                    "durable here",
                    finding.segment, finding.offset, finding.what, finding.index.value());
  return wire::fail(
      ErrorCode::kCorrupt,
      "the log is damaged: {}: {}, so this node must not start. See 'raft-inspect verify {}' for "
      "details. To restore the node from the others, {}",
      path, what, directory, wire::kHowToReplace);
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
    if (has_suffix(name, wire::kTemporarySuffix)) listing.temporary.push_back(name);
    if (const auto number = wire::parse_segment_file_name(name)) {
      listing.segments.push_back(*number);
    }
  }
  std::sort(listing.segments.begin(), listing.segments.end());
  return listing;
}

struct OpenSegment {
  std::unique_ptr<File> file;
  std::uint64_t size = 0;
  std::string path;

  // As much of `out` as lies within the file; what is beyond becomes zero.
  Status read(std::uint64_t offset, std::span<std::uint8_t> out) const {
    const std::size_t wanted = std::min<std::uint64_t>(out.size(), size - offset);
    BIB_TRY(const std::size_t count, file->read(offset, out));
    if (count < wanted) {
      return wire::fail(ErrorCode::kIo, "{} ended at {} while it was read, not at {}", path,
                        offset + count, offset + wanted);
    }
    if (wanted < out.size()) std::memset(&out[wanted], 0, out.size() - wanted);
    return {};
  }
};

// Reads segments, one after another, into the same memory: fresh memory costs more than the disk,
// so what is zero to the end of the newest one is not brought there. Older ones are full, and
// looking for zeros in them would be another wait for the disk. Direct, where it can be: the page
// cache may hold what a failed write never brought to the disk.
class SegmentReader {
 public:
  SegmentReader(FileSystem& files, const std::string& directory, std::uint64_t newest)
      : files_(files), directory_(directory), newest_(newest) {}

  // A segment, or its first `bytes_max` bytes; until the next call. kCorrupt: too large to be one.
  Result<ByteView> read(std::uint64_t segment, std::size_t bytes_max);
  // What was read last has zeros only from there on.
  std::size_t zeros_from() const { return used_; }

 private:
  static constexpr std::size_t kPiece = 4U << 20;

  Result<std::size_t> find_zeros(const OpenSegment& segment, std::size_t size);

  FileSystem& files_;
  const std::string& directory_;
  const std::uint64_t newest_;
  std::optional<std::size_t> newest_zeros_;  // where they begin, once it was read as a whole
  AlignedBuffer buffer_, piece_;
  std::size_t used_ = 0;  // the rest of the buffer is zero
};

Result<ByteView> SegmentReader::read(std::uint64_t number, std::size_t bytes_max) {
  OpenSegment segment;
  segment.path = join_path(directory_, wire::segment_file_name(number));
  BIB_TRY(segment.file, files_.open(segment.path, {.mode = OpenMode::kRead, .direct = true}));
  BIB_TRY(segment.size, segment.file->size());
  if (segment.size > wire::kSegmentSizeMax) {
    return wire::fail(ErrorCode::kCorrupt, "the file is larger than a segment can be");
  }
  const std::size_t rounded =
      wire::round_up(std::min<std::size_t>(segment.size, bytes_max), AlignedBuffer::kAlignment);
  if (buffer_.size() < rounded) {
    // What is not larger than a piece is touched as a whole.
    buffer_ = rounded > kPiece ? AlignedBuffer::untouched(rounded) : AlignedBuffer(rounded);
    used_ = 0;
  }
  std::size_t zeros = rounded;
  if (number == newest_ && bytes_max >= segment.size) {
    if (!newest_zeros_) {
      BIB_TRY(newest_zeros_, find_zeros(segment, rounded));
    }
    zeros = std::min(*newest_zeros_, rounded);
  }
  const std::size_t before = std::exchange(used_, std::max(used_, zeros));
  BIB_TRY_VOID(segment.read(0, std::span(buffer_.data(), zeros)));
  if (before > zeros) std::memset(buffer_.data() + zeros, 0, before - zeros);
  used_ = zeros;
  return buffer_.view().first(std::min<std::size_t>(rounded, segment.size));
}

// From where on there are none but zeros up to `size`, in whole pieces.
Result<std::size_t> SegmentReader::find_zeros(const OpenSegment& segment, std::size_t size) {
  while (size > kPiece) {
    const std::size_t begin = (size - 1) / kPiece * kPiece;
    if (piece_.size() == 0) piece_ = AlignedBuffer(kPiece);
    const std::span<std::uint8_t> piece(piece_.data(), size - begin);
    BIB_TRY_VOID(segment.read(begin, piece));
    if (!wire::is_zero(piece)) break;
    size = begin;
  }
  return size;
}

// What `decode` makes of the note `name`; nothing where there is none. kIo, or what `decode` says.
template <typename Note>
Result<std::optional<Note>> read_note(FileSystem& files, const std::string& directory,
                                      const char* name, Result<Note> (*decode)(ByteView)) {
  BIB_TRY(const bool is_there, has_name(files, directory, name));
  if (!is_there) return std::nullopt;
  const std::string path = join_path(directory, name);
  BIB_TRY(auto file, files.open(path, {.mode = OpenMode::kRead, .direct = false}));
  std::array<std::uint8_t, wire::kNoteSize + 1> bytes{};  // one more shows a longer file
  BIB_TRY(const std::size_t count, file->read(0, bytes));
  BIB_TRY(const Note note, decode(ByteView(bytes).first(count)));
  return note;
}

// What an earlier run knew to be committed. A note that is not valid is what a power failure may
// leave of one.
Status look_at_commit_note(FileSystem& files, const std::string& directory, LogContents& contents) {
  const auto note =
      read_note(files, directory, wire::kCommitNoteFileName, &wire::decode_commit_note);
  if (!note && note.error().code == ErrorCode::kIo) return tl::unexpected(note.error());
  const std::string path = join_path(directory, wire::kCommitNoteFileName);
  if (!note) contents.note_problem = fmt::format("{}: {}", path, note.error().message);
  if (!note || !*note) return {};
  const LogLocations& log = *contents.locations;
  const auto standing =
      wire::judge_commit_note(**note, {.log_id = contents.identity.log_id,
                                       .base = log.base(),
                                       .last = log.last(),
                                       .term_there = log.term_at((*note)->committed.index)});
  if (standing.is_damage()) {
    return wire::fail(ErrorCode::kCorrupt,
                      "{}: {}. The log was damaged at its end, or put back to an earlier state, so "
                      "this node must not start. See 'raft-inspect verify {}' for details. To "
                      "restore the node from the others, {}",
                      path, standing.what, directory, wire::kHowToReplace);
  }
  if (standing.state == wire::CommitNoteState::kFits) {
    contents.committed = (*note)->committed.index;
  }
  if (!standing.what.empty()) contents.note_problem = fmt::format("{}: {}", path, standing.what);
  return {};
}

// Takes down what the walk finds.
class Recovery final : public wire::LogVisitor {
 public:
  Recovery() { contents.locations = std::make_unique<LogLocations>(); }

  void begin(const wire::WalkedSegment& segment, const wire::LogState& state) override {
    contents.starts.push_back(
        {segment.number, {segment.header.previous_index, segment.header.previous_term}});
    if (segment.begins_log) contents.locations->reset(state.base());
  }

  void record(const wire::WalkedRecord& place, const wire::LogState&) override {
    const wire::Record& record = place.record;
    if (record.kind == wire::RecordKind::kTruncate) {
      contents.locations->truncate_from(record.truncate_from);
    } else if (record.kind == wire::RecordKind::kEntry) {
      contents.locations->append({.index = record.entry.index,
                                  .term = record.entry.term,
                                  .segment = place.segment.number,
                                  .offset = record.file_offset,
                                  .size = record.entry.size});
    }
  }

  void end(const wire::WalkedSegment& segment) override {
    if (segment.is_blank) return;
    contents.last_header = segment.header;
    contents.last_segment_bytes = segment.bytes;
    contents.end_offset = segment.end_offset;
    contents.closed_cleanly = segment.end == wire::SegmentEnd::kClosed;
    contents.debris_end = segment.debris_end;
    contents.torn.clear();
    if (segment.debris_end == segment.end_offset) return;
    contents.torn = fmt::format(
        "{}: {} bytes at offset {} are the rest of a write that did not complete; nothing that "
        "was durable is missing, the log continues at entry {}",
        wire::segment_file_name(segment.number), segment.debris_end - segment.end_offset,
        segment.end_offset, contents.locations->last().index.value() + 1);
  }

  void found(const LogFinding& finding) override {
    if (wire::is_damage(finding.flaw)) {
      damage = finding;
    } else if (finding.flaw != LogFlaw::kTorn) {
      contents.leftovers.push_back(wire::segment_file_name(finding.segment));
    }
  }

  LogContents contents;
  std::optional<LogFinding> damage;
};

}  // namespace

Result<std::optional<wire::LogIdentity>> read_identity(FileSystem& files,
                                                       const std::string& directory) {
  BIB_TRY(const Listing listing, list_log(files, directory));
  if (listing.segments.empty()) return std::nullopt;
  const std::uint64_t number = listing.segments.front();
  SegmentReader reader(files, directory, listing.segments.back());
  Result<wire::SegmentHeader> header = wire::fail(ErrorCode::kCorrupt, "not read");
  for (const std::size_t bytes_max : {kHeaderRead, std::size_t{wire::kSegmentHeaderSizeMax}}) {
    const auto bytes = reader.read(number, bytes_max);
    if (!bytes && bytes.error().code == ErrorCode::kIo) return tl::unexpected(bytes.error());
    header = bytes ? wire::read_segment_header(*bytes) : tl::unexpected(bytes.error());
    if (header) return wire::identity_of(*header);
  }
  const bool newer = header.error().code == ErrorCode::kUnsupported;
  return refusal(directory, {.flaw = newer ? LogFlaw::kUnsupported : LogFlaw::kDamaged,
                             .segment = number,
                             .index = wire::LogIndex(1),
                             .what = header.error().message});
}

Result<LogContents> recover_log(FileSystem& files, const std::string& directory) {
  BIB_TRY(Listing listing, list_log(files, directory));
  const auto start = read_note(files, directory, wire::kLogStartFileName, &wire::decode_log_start);
  if (!start && start.error().code == ErrorCode::kIo) return tl::unexpected(start.error());
  Recovery recovery;
  LogContents& contents = recovery.contents;
  contents.leftovers = std::move(listing.temporary);
  if (listing.segments.empty() && start && !*start) return std::move(contents);

  wire::LogWalk walk(wire::LogWalk::Policy::kStopAtDamage, recovery);
  const std::uint64_t newest = listing.segments.empty() ? 0 : listing.segments.back();
  SegmentReader reader(files, directory, newest);
  walk.begin(start, listing.segments);
  while (const auto number = walk.next()) {
    const auto bytes = reader.read(*number, wire::kSegmentSizeMax);
    if (!bytes && bytes.error().code == ErrorCode::kIo) return tl::unexpected(bytes.error());
    walk.take(bytes, reader.zeros_from());
  }
  walk.end();
  if (recovery.damage) return refusal(directory, *recovery.damage);
  contents.is_empty = false;
  contents.identity = *walk.state().identity;
  contents.hard_state = walk.state().hard_state;
  contents.memberships = walk.state().memberships;
  contents.next_sequence = walk.state().next_sequence;
  BIB_TRY_VOID(look_at_commit_note(files, directory, contents));
  return std::move(contents);
}

}  // namespace bib::engine
