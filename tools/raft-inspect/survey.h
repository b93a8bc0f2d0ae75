// Survey: one walk over the whole log that tells what is in it and what is wrong with it.
//
// Every command begins with one. Memory grows with segments, terms and overwritten suffixes, not
// with entries. Any one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "inspect/finding.h"
#include "inspect/log_source.h"

namespace bib::inspect {

// Which records are void: entries that a later truncation, or a snapshot that was installed later,
// took out of the log.
class VoidEntries {
 public:
  // Entries from `index` on that were recorded before `ordinal` are void.
  void add(std::uint64_t ordinal, wire::LogIndex index);
  // All truncations are known.
  void complete();
  bool contains(std::uint64_t ordinal, wire::LogIndex index) const;

 private:
  struct Truncation {
    std::uint64_t ordinal;
    wire::LogIndex from;  // after complete(): the lowest of this one and all later ones
  };
  std::vector<Truncation> truncations_;
};

struct Survey {
  std::string directory;  // of the log
  wire::LogState log;
  Findings findings;
  std::vector<wire::WalkedSegment> segments;
  VoidEntries voids;
  std::uint64_t records = 0;
  std::optional<wire::LogIndex> committed;  // at least so far, by the node's note; nothing: no note

  std::uint64_t entries = 0;      // of the log as it is
  std::uint64_t events = 0;       // of these
  bool events_are_exact = true;   // false: more entries were overwritten than are remembered
  std::uint64_t overwritten = 0;  // entries that were written and are void
  wire::LogIndex first_index;     // of the log as it is; 0: it is empty
  std::optional<std::int64_t> first_time_us;
  std::optional<std::int64_t> last_time_us;
  // Sums over all entries that were written.
  std::uint64_t body_bytes = 0;
  std::uint64_t stored_body_bytes = 0;

  std::uint64_t file_bytes() const;
  std::uint64_t durable_sequence() const;
  std::uint64_t last_sequence() const;
  bool closed_cleanly() const;
};

// kNotFound: there is no segment; kIo. All else is in `findings`. Where a running node compacts the
// log meanwhile, the walk begins again. At each beginning `also` names a visitor that is told the
// same in the same walk, findings excepted; null: none.
wire::Result<Survey> survey_log(
    const std::string& log_directory,
    const std::function<wire::LogVisitor*()>& also = [] { return nullptr; });

}  // namespace bib::inspect
