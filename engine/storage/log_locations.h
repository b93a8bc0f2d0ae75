// LogLocations: where each durable entry is in the log's files, and its term.
//
// Shared between the log thread, which alone changes it (after the sync, so that whatever is found
// here can be read), and any number of readers; a mutex inside. Eight bytes an entry, and runs for
// terms and segments.
//
// The files are append-only: a place that a reader has looked up stays valid although the entry is
// truncated a moment later. The reader then gets the old entry, whole. Compaction takes whole files
// away: a reader that finds none looks here again (first_segment()).
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "consensus/log_view.h"
#include "wire/base/ids.h"
#include "wire/log/log_terms.h"

namespace bib::engine {

struct EntryLocation {
  wire::LogIndex index;
  wire::Term term;
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;  // of the entry in the segment's file; a multiple of 8
  std::uint32_t size = 0;
};

class LogLocations {
 public:
  explicit LogLocations(wire::LogPosition base = {});
  LogLocations(const LogLocations&) = delete;
  LogLocations& operator=(const LogLocations&) = delete;

  // The entry before the first one.
  wire::LogPosition base() const;
  wire::LogPosition last() const;
  // Nothing below the base or above the end; the base's own term is known.
  std::optional<wire::Term> term_at(wire::LogIndex index) const;
  std::optional<EntryLocation> find(wire::LogIndex index) const;
  // Neighbouring entries from `first`, all in one segment, up to `last` and up to `bytes_max` (but
  // at least one); empty when `first` is not there.
  std::vector<EntryLocation> find_run(wire::LogIndex first, wire::LogIndex last,
                                      std::uint64_t bytes_max) const;
  // No file of a lower number is needed for any entry that is here; nothing in an empty log.
  std::optional<std::uint64_t> first_segment() const;
  // What consensus wants to know: terms and sizes.
  consensus::LogView log_view() const;

  // The owner's side. `location` must be the entry after last(), with a term no lower.
  void append(const EntryLocation& location);
  // Several at once, under one lock.
  void append(const std::vector<EntryLocation>& locations);
  // Forgets `from` and all after it; `from` must be above the base.
  void truncate_from(wire::LogIndex from);
  // An empty log after `base`.
  void reset(wire::LogPosition base);
  // Forgets all up to and with `base`, which becomes the base; from the base to the end.
  void compact_to(wire::LogIndex base);

 private:
  struct Place {
    std::uint32_t offset_in_words = 0;  // of 8 bytes
    std::uint32_t size = 0;
  };

  EntryLocation location_locked(wire::LogIndex index) const;
  void append_locked(const EntryLocation& location);

  mutable std::mutex mutex_;
  wire::LogTerms terms_;
  std::deque<Place> places_;  // of entry base + 1 + i
  wire::IndexRuns<std::uint64_t> segments_;
};

}  // namespace bib::engine
