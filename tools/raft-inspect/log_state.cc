// LogState: entries' terms by index, as the walk goes.
#include <algorithm>

#include "inspect/log_source.h"

namespace bib::inspect {

using wire::LogIndex;
using wire::Term;

std::optional<Term> LogState::term_at(LogIndex index) const {
  if (index < base.index || index > last_index_) return std::nullopt;
  const auto after =
      std::upper_bound(terms_.begin(), terms_.end(), index,
                       [](LogIndex wanted, const TermRun& run) { return wanted < run.first; });
  if (after == terms_.begin()) return std::nullopt;
  return std::prev(after)->term;
}

void LogState::begin_at(const LogPlace& place) {
  base = place;
  last_index_ = place.index;
  terms_ = {{place.index, place.term}};
}

void LogState::append(LogIndex index, Term term) {
  if (terms_.empty() || terms_.back().term != term) terms_.push_back({index, term});
  last_index_ = index;
}

void LogState::truncate_from(LogIndex index) {
  last_index_ = index - 1;
  while (terms_.size() > 1 && terms_.back().first > last_index_) terms_.pop_back();
  while (!memberships.empty() && memberships.back().index >= index) memberships.pop_back();
}

}  // namespace bib::inspect
