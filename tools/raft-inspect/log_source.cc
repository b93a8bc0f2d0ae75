#include "inspect/log_source.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "wire/log/data_directory.h"
#include "wire/log/log_start.h"

namespace bib::inspect {

using wire::ByteView;
using wire::ErrorCode;
using wire::LogFlaw;
using wire::LogWalk;
using wire::Result;
using wire::Status;

namespace {

// How often the log's end is read again while it keeps changing.
constexpr int kReadsMax = 8;

// Nothing where there is no note.
Result<std::optional<wire::LogStart>> read_start(const std::string& directory) {
  BIB_TRY(const auto names, list_names(directory));
  if (!std::binary_search(names.begin(), names.end(), wire::kLogStartFileName)) {
    return std::nullopt;
  }
  FileBytes file;
  BIB_TRY_VOID(file.read(join_path(directory, wire::kLogStartFileName), wire::kLogStartSize));
  BIB_TRY(const wire::LogStart start, wire::decode_log_start(file.view()));
  return start;
}

// The bytes of the segment that the walk asks for. A running node writes while we read, so that a
// later block can be there without an earlier one. Damage stays the same, however often it is read.
Result<ByteView> read_settled(const LogWalk& walk, const std::string& path, FileBytes& file,
                              const std::function<void()>& reads_again) {
  std::optional<std::uint64_t> before;
  BIB_TRY_VOID(file.read(path, wire::kSegmentSizeMax));
  for (int reads = 1; reads < kReadsMax; ++reads) {
    const auto damage = walk.damage_in_last(file.view());
    if (!damage || damage == before) break;
    before = damage;
    reads_again();
    BIB_TRY_VOID(file.read(path, wire::kSegmentSizeMax));
  }
  return file.view();
}

// A running node may have let go of the segment since the directory was listed.
bool was_let_go(const std::string& directory, std::uint64_t number) {
  const auto first = first_segment(directory);
  return first && *first > number;
}

std::string advice(const std::string& directory, LogFlaw flaw) {
  const std::string restore = fmt::format(
      "stop this node and keep a copy of {}. If the cluster is healthy without it (`bib cluster "
      "status`), {}: the other members hold these entries",
      directory, wire::kHowToReplace);
  switch (flaw) {
    case LogFlaw::kMissing:
      return "if the file was moved, put it back; if not, " + restore;
    case LogFlaw::kForeign:
      return "if the file was copied or renamed by hand, put the right one back; if not, " +
             restore;
    case LogFlaw::kUnsupported:
      return "if a newer bibd wrote it, use that version's raft-inspect; if not, the file is "
             "damaged: " +
             restore;
    default:
      return restore;
  }
}

}  // namespace

std::optional<std::uint64_t> first_segment(const std::string& log_directory) {
  const auto start = read_start(log_directory);
  if (!start) return std::nullopt;
  return *start ? (*start)->first_segment : 1;
}

std::string segment_path(const std::string& log_directory, std::uint64_t number) {
  return join_path(log_directory, wire::segment_file_name(number));
}

Finding finding_of(const std::string& log_directory, const wire::LogFinding& finding) {
  const FindingKind kind = finding.flaw == LogFlaw::kUnreadable ? FindingKind::kUndone
                           : wire::is_damage(finding.flaw)      ? FindingKind::kDamage
                                                                : FindingKind::kNote;
  return {kind,
          finding.segment == 0 ? join_path(log_directory, wire::kLogStartFileName)
                               : segment_path(log_directory, finding.segment),
          finding.offset,
          finding.index,
          finding.what,
          kind == FindingKind::kDamage ? advice(log_directory, finding.flaw) : std::string()};
}

Result<wire::LogState> walk_log(const std::string& log_directory, wire::LogVisitor& visitor,
                                const std::function<void()>& reads_again) {
  BIB_TRY(auto segments, list_segments(log_directory));
  const auto start = read_start(log_directory);
  if (!start && start.error().code == ErrorCode::kIo) return tl::unexpected(start.error());
  if (segments.empty() && start && !*start) {
    return wire::fail(ErrorCode::kNotFound, "there is no segment in {}", log_directory);
  }
  LogWalk walk(LogWalk::Policy::kGoOn, visitor);
  FileBytes file;
  walk.begin(start, segments);
  while (const auto number = walk.next()) {
    const auto bytes = read_settled(walk, segment_path(log_directory, *number), file, reads_again);
    if (!bytes && was_let_go(log_directory, *number)) {
      return wire::fail(ErrorCode::kIo, "the log in {} was compacted while it was read: try again",
                        log_directory);
    }
    walk.take(bytes);
    if (!walk.wants_more()) continue;
    // A running node may have gone on in a new file since the directory was listed.
    BIB_TRY(segments, list_segments(log_directory));
    walk.add(segments);
  }
  walk.end();
  return walk.state();
}

Status read_again(const std::string& log_directory, const wire::WalkedSegment& segment,
                  FileBytes& file, const std::function<Status(const wire::WalkedRecord&)>& visit) {
  if (segment.records == 0) return {};
  const std::string path = segment_path(log_directory, segment.number);
  BIB_TRY_VOID(file.read(path, wire::kSegmentSizeMax));
  BIB_TRY(const wire::SegmentHeader header, wire::read_segment_header(file.view()));
  std::uint64_t given = 0;
  const auto take = [&](const wire::Record& record) {
    if (given == segment.records) return Status();
    return visit({record, header, segment.first_ordinal + given++});
  };
  const auto scan = wire::scan_segment(file.view(), {.term_of = {}}, take);
  if (!scan) return tl::unexpected(scan.error());
  if (given == segment.records) return {};
  return wire::fail(ErrorCode::kIo, "{} changed while it was read: try again", path);
}

}  // namespace bib::inspect
