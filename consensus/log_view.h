// LogView: what consensus knows of the log: each entry's term and size by index, never a payload.
//
// Owned by Raft, on the node loop. Terms are kept as runs (wire/log/log_terms.h), sizes as running
// totals, so that a range's size is one subtraction. append, last_*, size_of and bytes_in are O(1);
// the term of an index is O(log runs), O(1) in the last run.
//
// The base is the entry before the first one: its term is known, its bytes are not. Entries up to
// the base are in a snapshot.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "wire/base/ids.h"
#include "wire/log/log_terms.h"

namespace bib::consensus {

class LogView {
 public:
  explicit LogView(wire::LogPosition base = {});

  wire::LogPosition base() const { return terms_.base(); }
  wire::LogIndex first_index() const { return base().index + 1; }  // even when the log is empty
  wire::LogIndex last_index() const { return last().index; }
  wire::Term last_term() const { return last().term; }
  wire::LogPosition last() const { return terms_.last(); }
  bool contains(wire::LogIndex index) const { return terms_.contains(index); }

  // Nothing below the base or above the end; the base's own term is known.
  std::optional<wire::Term> term_at(wire::LogIndex index) const { return terms_.term_at(index); }
  bool matches(wire::LogPosition position) const {
    return term_at(position.index) == position.term;
  }
  const std::vector<wire::TermRun>& term_runs() const { return terms_.runs(); }
  // `index` must be contained.
  std::uint32_t size_of(wire::LogIndex index) const;
  // Bytes of the entries after `after` up to `through`; both from the base to the end.
  std::uint64_t bytes_in(wire::LogIndex after, wire::LogIndex through) const;
  // The lowest index after which no more than `bytes` follow up to the end; from the base.
  wire::LogIndex last_bytes_after(std::uint64_t bytes) const;
  // The greatest index up to `limit` whose term is at most `term`; nothing when the search would
  // go below the base. For skipping a whole conflicting term at once.
  std::optional<wire::LogPosition> last_at_or_below(wire::LogIndex limit, wire::Term term) const {
    return terms_.last_at_or_below(limit, term);
  }

  // Terms never fall.
  void append(wire::Term term, std::uint32_t size);
  // Forgets `from` and all after it; `from` must be above the base.
  void truncate_from(wire::LogIndex from);
  // Moves the base up to a contained index (or the base itself: nothing).
  void compact_to(wire::LogIndex index);
  // An empty log after `base`.
  void reset(wire::LogPosition base);

 private:
  std::uint64_t total_at(wire::LogIndex index) const;

  wire::LogTerms terms_;
  std::uint64_t total_before_ = 0;    // bytes ever appended up to and with the base
  std::deque<std::uint64_t> totals_;  // the same up to and with entry base + 1 + i
};

}  // namespace bib::consensus
