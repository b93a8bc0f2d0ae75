// LogView: what consensus knows of the log: each entry's term and size by index, never a payload.
//
// Owned by Raft, on the node loop. Terms are kept as runs (a run for each term that has entries),
// sizes as running totals, so that a range's size is one subtraction. append, last_*, size_of and
// bytes_in are O(1); the term of an index is O(log runs), O(1) in the last run.
//
// The base is the entry before the first one: its term is known, its bytes are not. Entries up to
// the base are in a snapshot.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "wire/base/ids.h"

namespace bib::consensus {

// Entries from `first` on have `term`, up to the next run or the log's end.
struct TermRun {
  wire::LogIndex first;
  wire::Term term;

  bool operator==(const TermRun&) const = default;
};

class LogView {
 public:
  explicit LogView(wire::LogPosition base = {});

  wire::LogPosition base() const { return base_; }
  wire::LogIndex first_index() const { return base_.index + 1; }  // even when the log is empty
  wire::LogIndex last_index() const { return base_.index + totals_.size(); }
  wire::Term last_term() const { return runs_.empty() ? base_.term : runs_.back().term; }
  wire::LogPosition last() const { return {last_index(), last_term()}; }
  bool contains(wire::LogIndex index) const { return index > base_.index && index <= last_index(); }

  // Nothing below the base or above the end; the base's own term is known.
  std::optional<wire::Term> term_at(wire::LogIndex index) const;
  bool matches(wire::LogPosition position) const {
    return term_at(position.index) == position.term;
  }
  // `index` must be contained.
  std::uint32_t size_of(wire::LogIndex index) const;
  // Bytes of the entries after `after` up to `through`; both from the base to the end.
  std::uint64_t bytes_in(wire::LogIndex after, wire::LogIndex through) const;
  // The greatest index up to `limit` whose term is at most `term`; nothing when the search would
  // go below the base. For skipping a whole conflicting term at once.
  std::optional<wire::LogPosition> last_at_or_below(wire::LogIndex limit, wire::Term term) const;

  // Terms never fall.
  void append(wire::Term term, std::uint32_t size);
  // Forgets `from` and all after it; `from` must be above the base.
  void truncate_from(wire::LogIndex from);
  // Moves the base up to a contained index (or the base itself: nothing).
  void compact_to(wire::LogIndex index);
  // An empty log after `base`.
  void reset(wire::LogPosition base);

 private:
  // The run that holds a contained index.
  std::vector<TermRun>::const_iterator run_of(wire::LogIndex index) const;
  std::uint64_t total_at(wire::LogIndex index) const;

  wire::LogPosition base_;
  std::vector<TermRun> runs_;         // ascending; the first one starts at first_index()
  std::uint64_t total_before_ = 0;    // bytes ever appended up to and with the base
  std::deque<std::uint64_t> totals_;  // the same up to and with entry base + 1 + i
};

}  // namespace bib::consensus
