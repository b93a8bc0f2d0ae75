// LogTerms: the term of each entry of a log. Nearly all neighbours share theirs, so terms are kept
// as runs.
//
// A plain value, guarded by its owner. Appending and the last entry's term are O(1), the term of an
// index is O(log runs), and O(1) in the last run. The log begins after a base, the entry before its
// first one: the base's term is known, terms below it are not.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "wire/base/check.h"
#include "wire/base/ids.h"

namespace bib::wire {

// Entries from `first` on have `value`, up to the next run or the end.
template <typename Value>
struct IndexRun {
  LogIndex first;
  Value value{};

  bool operator==(const IndexRun&) const = default;
};

// Values by index, each kept once for all neighbours that share it. Where the indexes end is the
// owner's to know.
template <typename Value>
class IndexRuns {
 public:
  using Run = IndexRun<Value>;

  bool empty() const { return runs_.empty(); }
  const Value& first() const { return runs_.front().value; }
  const Value& last() const { return runs_.back().value; }
  // Ascending; neighbours differ.
  const std::vector<Run>& runs() const { return runs_; }

  // The term of an index at or above the first one.
  const Value& at(LogIndex index) const {
    BIB_CHECK(!runs_.empty() && index >= runs_.front().first);
    // Nearly every question is about the newest run.
    if (index >= runs_.back().first) return runs_.back().value;
    return (first_after(index) - 1)->value;
  }

  // `index` is above all that is here.
  void append(LogIndex index, const Value& value) {
    if (runs_.empty() || runs_.back().value != value) runs_.push_back({index, value});
  }
  // Forgets `from` and all after it.
  void truncate_from(LogIndex from) {
    while (!runs_.empty() && runs_.back().first >= from) runs_.pop_back();
  }
  // Forgets all below `first`, which is here.
  void drop_below(LogIndex first) {
    runs_.erase(runs_.begin(), first_after(first) - 1);
    runs_.front().first = std::max(runs_.front().first, first);
  }
  void clear() { runs_.clear(); }

 private:
  typename std::vector<Run>::const_iterator first_after(LogIndex index) const {
    return std::upper_bound(runs_.begin(), runs_.end(), index,
                            [](LogIndex wanted, const Run& run) { return wanted < run.first; });
  }

  std::vector<Run> runs_;
};

using TermRun = IndexRun<Term>;

class LogTerms {
 public:
  explicit LogTerms(LogPosition base = {}) : base_(base), last_(base) {}

  LogPosition base() const { return base_; }
  LogPosition last() const { return last_; }
  bool contains(LogIndex index) const { return index > base_.index && index <= last_.index; }
  // The entries' terms, without the base's.
  const std::vector<TermRun>& runs() const { return runs_.runs(); }

  // Nothing below the base or above the end; the base's own term is known.
  std::optional<Term> term_at(LogIndex index) const {
    if (index == base_.index) return base_.term;
    if (!contains(index)) return std::nullopt;
    return runs_.at(index);
  }

  // The greatest position up to `limit` whose term is at most `term`; nothing when the search would
  // go below the base.
  std::optional<LogPosition> last_at_or_below(LogIndex limit, Term term) const {
    LogIndex end = std::min(limit, last_.index);
    if (end < base_.index) return std::nullopt;
    for (auto run = runs().rbegin(); run != runs().rend(); ++run) {
      if (run->first > end) continue;
      if (run->value <= term) return LogPosition{end, run->value};
      end = run->first - 1;
    }
    if (base_.term <= term) return base_;
    return std::nullopt;
  }

  // The entry after the last one. Terms never fall.
  void append(Term term) { skip_to({last_.index + 1, term}); }
  // For a log with a gap before `position`, which is above the end: what is missing counts as of
  // this term.
  void skip_to(LogPosition position) {
    BIB_CHECK(position.index > last_.index && position.term >= last_.term, "term {} after {}",
              position.term.value(), last_.term.value());
    runs_.append(last_.index + 1, position.term);
    last_ = position;
  }
  // Forgets `from` and all after it; `from` must be above the base.
  void truncate_from(LogIndex from) {
    BIB_CHECK(from > base_.index);
    if (from > last_.index) return;
    runs_.truncate_from(from);
    last_ = {from - 1, runs_.empty() ? base_.term : runs_.last()};
  }
  // Moves the base up to a contained index (or the base itself: nothing).
  void compact_to(LogIndex index) {
    if (index == base_.index) return;
    BIB_CHECK(contains(index), "compaction to {} of {} to {}", index.value(), base_.index.value(),
              last_.index.value());
    base_ = {index, runs_.at(index)};
    if (index == last_.index) return runs_.clear();
    runs_.drop_below(index + 1);
  }
  // An empty log after `base`.
  void reset(LogPosition base) {
    base_ = base;
    last_ = base;
    runs_.clear();
  }

 private:
  LogPosition base_;
  LogPosition last_;
  IndexRuns<Term> runs_;  // the first one starts at base_.index + 1
};

}  // namespace bib::wire
