// Log source: reads a log's files for the walk that judges them (wire/log/log_walk.h), and says of
// each finding where it is and what to do.
//
// Reads one segment at a time. Continues after damage, so that one walk finds all that is wrong.
// A running node may append meanwhile: what looks damaged at the log's end is read again until it
// stays the same, and segments that have come in since are walked too. Any one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "inspect/finding.h"
#include "inspect/source.h"
#include "wire/base/result.h"
#include "wire/log/commit_note.h"
#include "wire/log/log_walk.h"

namespace bib::inspect {

// Walks the whole log; returns the state after it. `reads_again` is called when the last segment's
// end looks damaged and is about to be read once more. kNotFound: there is no segment and no note
// that there was one. kIo: the directory or the note of the log's start cannot be read (a segment
// that cannot be read is a finding), or a running node has compacted the log meanwhile.
wire::Result<wire::LogState> walk_log(
    const std::string& log_directory, wire::LogVisitor& visitor,
    const std::function<void()>& reads_again = [] {});

// Adds the file's path and advice.
Finding finding_of(const std::string& log_directory, const wire::LogFinding& finding);

// The number of the log's first segment, as the note of its start has it: 1 without a note, nothing
// where it cannot be read.
std::optional<std::uint64_t> first_segment(const std::string& log_directory);

std::string segment_path(const std::string& log_directory, std::uint64_t number);

// Gives the records that the walk found in one segment once more, and no newer ones. `file` is
// used to read it and holds the records' bytes afterwards. An error from `visit` ends it.
wire::Status read_again(const std::string& log_directory, const wire::WalkedSegment& segment,
                        FileBytes& file,
                        const std::function<wire::Status(const wire::WalkedRecord&)>& visit);

// How far the node that wrote the log knew it to be committed.
struct CommittedSource {
  std::optional<wire::LogIndex> committed;
  std::optional<Finding> finding;  // the log lacks some of that, or the note says nothing
};
// To be read before walk_log() and judged after it: a running node carries both on, and the log
// must not seem to lack what is committed. Nothing where there is no note.
wire::Result<std::optional<wire::CommitNote>> read_commit_note(const std::string& log_directory);
CommittedSource judge_committed(const std::string& log_directory,
                                const wire::Result<std::optional<wire::CommitNote>>& note,
                                const wire::LogState& log);

}  // namespace bib::inspect
