#include "consensus/log_view.h"

#include <algorithm>

#include "wire/base/check.h"

namespace bib::consensus {

using wire::LogIndex;
using wire::Term;

LogView::LogView(wire::LogPosition base) : base_(base) {}

std::vector<TermRun>::const_iterator LogView::run_of(LogIndex index) const {
  // Nearly every question is about the newest term.
  if (index >= runs_.back().first) return runs_.end() - 1;
  auto after =
      std::upper_bound(runs_.begin(), runs_.end(), index,
                       [](LogIndex wanted, const TermRun& run) { return wanted < run.first; });
  return after - 1;
}

std::uint64_t LogView::total_at(LogIndex index) const {
  BIB_CHECK(index >= base_.index && index <= last_index());
  return index == base_.index ? total_before_ : totals_[index - base_.index - 1];
}

std::optional<Term> LogView::term_at(LogIndex index) const {
  if (index == base_.index) return base_.term;
  if (!contains(index)) return std::nullopt;
  return run_of(index)->term;
}

std::uint32_t LogView::size_of(LogIndex index) const {
  BIB_CHECK(contains(index));
  return static_cast<std::uint32_t>(total_at(index) - total_at(index - 1));
}

std::uint64_t LogView::bytes_in(LogIndex after, LogIndex through) const {
  if (through <= after) return 0;
  return total_at(through) - total_at(after);
}

std::optional<wire::LogPosition> LogView::last_at_or_below(LogIndex limit, Term term) const {
  LogIndex end = std::min(limit, last_index());
  if (end < base_.index) return std::nullopt;
  for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
    if (run->first > end) continue;
    if (run->term <= term) return wire::LogPosition{end, run->term};
    end = run->first - 1;
  }
  if (base_.term <= term) return base_;
  return std::nullopt;
}

void LogView::append(Term term, std::uint32_t size) {
  BIB_CHECK(term >= last_term(), "term {} after {}", term.value(), last_term().value());
  if (runs_.empty() || term != runs_.back().term) runs_.push_back({last_index() + 1, term});
  totals_.push_back(total_at(last_index()) + size);
}

void LogView::truncate_from(LogIndex from) {
  BIB_CHECK(from > base_.index);
  if (from > last_index()) return;
  totals_.resize(from - base_.index - 1);
  while (!runs_.empty() && runs_.back().first >= from) runs_.pop_back();
}

void LogView::compact_to(LogIndex index) {
  if (index <= base_.index) return;
  BIB_CHECK(contains(index));
  const wire::LogPosition base{index, run_of(index)->term};
  const std::uint64_t total = total_at(index);
  totals_.erase(totals_.begin(),
                totals_.begin() + static_cast<std::ptrdiff_t>(index - base_.index));
  base_ = base;
  total_before_ = total;
  // Drops the runs that end at or below the new base; the run that it cuts starts after it.
  auto kept = runs_.begin();
  while (kept + 1 != runs_.end() && (kept + 1)->first <= index + 1) ++kept;
  runs_.erase(runs_.begin(), kept);
  if (totals_.empty()) {
    runs_.clear();
  } else {
    runs_.front().first = std::max(runs_.front().first, index + 1);
  }
}

void LogView::reset(wire::LogPosition base) {
  base_ = base;
  runs_.clear();
  totals_.clear();
  total_before_ = 0;
}

}  // namespace bib::consensus
