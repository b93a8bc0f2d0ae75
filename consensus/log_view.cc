#include "consensus/log_view.h"

#include <algorithm>

#include "wire/base/check.h"

namespace bib::consensus {

using wire::LogIndex;
using wire::Term;

LogView::LogView(wire::LogPosition base) : terms_(base) {}

std::uint64_t LogView::total_at(LogIndex index) const {
  BIB_CHECK(index >= base().index && index <= last_index());
  return index == base().index ? total_before_ : totals_[index - base().index - 1];
}

std::uint32_t LogView::size_of(LogIndex index) const {
  BIB_CHECK(contains(index));
  return static_cast<std::uint32_t>(total_at(index) - total_at(index - 1));
}

std::uint64_t LogView::bytes_in(LogIndex after, LogIndex through) const {
  if (through <= after) return 0;
  return total_at(through) - total_at(after);
}

LogIndex LogView::last_bytes_after(std::uint64_t bytes) const {
  const std::uint64_t end = total_at(last_index());
  if (end - total_before_ <= bytes) return base().index;
  const auto found = std::lower_bound(totals_.begin(), totals_.end(), end - bytes);
  return base().index + 1 + static_cast<std::uint64_t>(found - totals_.begin());
}

void LogView::append(Term term, std::uint32_t size) {
  totals_.push_back(total_at(last_index()) + size);
  terms_.append(term);
}

void LogView::truncate_from(LogIndex from) {
  terms_.truncate_from(from);
  totals_.resize(last_index() - base().index);
}

void LogView::compact_to(LogIndex index) {
  if (index <= base().index) return;
  BIB_CHECK(contains(index));
  total_before_ = total_at(index);
  totals_.erase(totals_.begin(),
                totals_.begin() + static_cast<std::ptrdiff_t>(index - base().index));
  terms_.compact_to(index);
}

void LogView::reset(wire::LogPosition base) {
  terms_.reset(base);
  totals_.clear();
  total_before_ = 0;
}

}  // namespace bib::consensus
