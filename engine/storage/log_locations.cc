#include "engine/storage/log_locations.h"

#include <algorithm>

#include "wire/base/check.h"

namespace bib::engine {

using wire::LogIndex;
using wire::LogPosition;
using wire::Term;

namespace {

constexpr std::uint64_t kWord = 8;

// The last run that begins at or before `index`.
template <typename Run>
const Run& run_of(const std::vector<Run>& runs, LogIndex index) {
  const auto after = std::upper_bound(runs.begin(), runs.end(), index,
                                      [](LogIndex i, const Run& run) { return i < run.first; });
  BIB_CHECK(after != runs.begin());
  return *(after - 1);
}

template <typename Run>
void truncate_runs(std::vector<Run>& runs, LogIndex from) {
  while (!runs.empty() && runs.back().first >= from) runs.pop_back();
}

// Only what holds entries from `first` on is kept; the first run begins there.
template <typename Run>
void drop_runs(std::vector<Run>& runs, LogIndex first, bool all) {
  if (all) return runs.clear();
  while (runs.size() > 1 && runs[1].first <= first) runs.erase(runs.begin());
  runs.front().first = first;
}

}  // namespace

LogLocations::LogLocations(LogPosition base) : base_(base) {}

LogPosition LogLocations::base() const {
  const std::lock_guard lock(mutex_);
  return base_;
}

LogPosition LogLocations::last() const {
  const std::lock_guard lock(mutex_);
  return last_locked();
}

LogPosition LogLocations::last_locked() const {
  return {base_.index + places_.size(), terms_.empty() ? base_.term : terms_.back().term};
}

std::optional<Term> LogLocations::term_at(LogIndex index) const {
  const std::lock_guard lock(mutex_);
  if (index == base_.index) return base_.term;
  if (index < base_.index || index > last_locked().index) return std::nullopt;
  return run_of(terms_, index).term;
}

EntryLocation LogLocations::location_locked(LogIndex index) const {
  const Place& place = places_[index - base_.index - 1];
  return {.index = index,
          .term = run_of(terms_, index).term,
          .segment = run_of(segments_, index).segment,
          .offset = place.offset_in_words * kWord,
          .size = place.size};
}

std::optional<EntryLocation> LogLocations::find(LogIndex index) const {
  const std::lock_guard lock(mutex_);
  if (index <= base_.index || index > last_locked().index) return std::nullopt;
  return location_locked(index);
}

std::vector<EntryLocation> LogLocations::find_run(LogIndex first, LogIndex last,
                                                  std::uint64_t bytes_max) const {
  const std::lock_guard lock(mutex_);
  std::vector<EntryLocation> run;
  last = std::min(last, last_locked().index);
  if (first <= base_.index) return run;
  std::uint64_t bytes = 0;
  for (LogIndex index = first; index <= last; ++index) {
    const EntryLocation location = location_locked(index);
    bytes += location.size;
    if (!run.empty() && (bytes > bytes_max || location.segment != run.back().segment)) break;
    run.push_back(location);
  }
  return run;
}

std::optional<std::uint64_t> LogLocations::first_segment() const {
  const std::lock_guard lock(mutex_);
  if (segments_.empty()) return std::nullopt;
  return segments_.front().segment;
}

Term LogLocations::term_locked(LogIndex index) const {
  return index == base_.index ? base_.term : run_of(terms_, index).term;
}

consensus::LogView LogLocations::log_view() const {
  const std::lock_guard lock(mutex_);
  consensus::LogView view(base_);
  std::size_t run = 0;
  LogIndex index = base_.index;
  for (const Place& place : places_) {
    ++index;
    while (run + 1 < terms_.size() && terms_[run + 1].first <= index) ++run;
    view.append(terms_[run].term, place.size);
  }
  return view;
}

void LogLocations::append(const EntryLocation& location) {
  const std::lock_guard lock(mutex_);
  append_locked(location);
}

void LogLocations::append(const std::vector<EntryLocation>& locations) {
  const std::lock_guard lock(mutex_);
  for (const EntryLocation& location : locations) append_locked(location);
}

void LogLocations::append_locked(const EntryLocation& location) {
  const LogPosition last = last_locked();
  BIB_CHECK(location.index == last.index + 1, "entry {} after {}", location.index.value(),
            last.index.value());
  BIB_CHECK(location.term >= last.term);
  BIB_CHECK(location.offset % kWord == 0 && location.offset / kWord <= UINT32_MAX);
  places_.push_back({static_cast<std::uint32_t>(location.offset / kWord), location.size});
  if (terms_.empty() || terms_.back().term != location.term) {
    terms_.push_back({location.index, location.term});
  }
  if (segments_.empty() || segments_.back().segment != location.segment) {
    segments_.push_back({location.index, location.segment});
  }
}

void LogLocations::truncate_from(LogIndex from) {
  const std::lock_guard lock(mutex_);
  BIB_CHECK(from > base_.index);
  if (from > last_locked().index) return;
  places_.resize(from - base_.index - 1);
  truncate_runs(terms_, from);
  truncate_runs(segments_, from);
}

void LogLocations::compact_to(LogIndex base) {
  const std::lock_guard lock(mutex_);
  BIB_CHECK(base >= base_.index && base <= last_locked().index, "compaction to {} of {} to {}",
            base.value(), base_.index.value(), last_locked().index.value());
  if (base == base_.index) return;
  const LogPosition position{base, term_locked(base)};
  places_.erase(places_.begin(), places_.begin() + static_cast<std::ptrdiff_t>(base - base_.index));
  base_ = position;
  drop_runs(terms_, base + 1, places_.empty());
  drop_runs(segments_, base + 1, places_.empty());
}

void LogLocations::reset(LogPosition base) {
  const std::lock_guard lock(mutex_);
  base_ = base;
  places_.clear();
  terms_.clear();
  segments_.clear();
}

}  // namespace bib::engine
