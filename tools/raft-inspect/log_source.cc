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

// What `decode` makes of the note `name`; nothing where there is none.
template <typename Note>
Result<std::optional<Note>> read_note(const std::string& directory, std::string_view name,
                                      Result<Note> (*decode)(ByteView)) {
  BIB_TRY(const auto names, list_names(directory));
  if (!std::binary_search(names.begin(), names.end(), name)) return std::nullopt;
  FileBytes file;
  BIB_TRY_VOID(file.read(join_path(directory, std::string(name)), wire::kNoteSize));
  BIB_TRY(const Note note, decode(file.view()));
  return note;
}

Result<std::optional<wire::LogStart>> read_start(const std::string& directory) {
  return read_note(directory, wire::kLogStartFileName, &wire::decode_log_start);
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

Result<std::optional<wire::CommitNote>> read_commit_note(const std::string& log_directory) {
  return read_note(log_directory, wire::kCommitNoteFileName, &wire::decode_commit_note);
}

CommittedSource judge_committed(const std::string& log_directory,
                                const Result<std::optional<wire::CommitNote>>& note,
                                const wire::LogState& log) {
  CommittedSource source;
  const std::string path = join_path(log_directory, wire::kCommitNoteFileName);
  const auto found = [&](FindingKind kind, wire::LogIndex index, std::string what) {
    source.finding =
        Finding{kind,
                path,
                0,
                index,
                std::move(what),
                kind == FindingKind::kDamage ? advice(log_directory, LogFlaw::kDamaged) : ""};
    return source;
  };
  if (!note) {
    // The node opens regular files only.
    const auto kind = kind_of(path);
    const bool is_read = note.error().code != ErrorCode::kIo && kind &&
                         (*kind == wire::FileKind::kRegular || *kind == wire::FileKind::kAbsent);
    if (!is_read) return found(FindingKind::kUndone, {}, note.error().message);
  }
  if (!note) return found(FindingKind::kNote, {}, note.error().message + "; it says nothing");
  if (!*note || !log.identity) return source;
  const wire::LogPosition place = (*note)->committed;
  const auto standing =
      wire::judge_commit_note(**note, {.log_id = log.identity->log_id,
                                       .base = log.base(),
                                       .last = log.last(),
                                       .term_there = log.terms.term_at(place.index)});
  if (standing.is_damage()) return found(FindingKind::kDamage, place.index, standing.what);
  if (!standing.what.empty()) return found(FindingKind::kNote, {}, standing.what);
  if (standing.state == wire::CommitNoteState::kFits) source.committed = place.index;
  return source;
}

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
