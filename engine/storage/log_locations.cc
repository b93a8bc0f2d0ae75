#include "engine/storage/log_locations.h"

#include <algorithm>

#include "wire/base/check.h"

namespace bib::engine {

using wire::LogIndex;
using wire::LogPosition;
using wire::Term;

namespace {

constexpr std::uint64_t kWord = 8;

}  // namespace

LogLocations::LogLocations(LogPosition base) : terms_(base) {}

LogPosition LogLocations::base() const {
  const std::lock_guard lock(mutex_);
  return terms_.base();
}

LogPosition LogLocations::last() const {
  const std::lock_guard lock(mutex_);
  return terms_.last();
}

std::optional<Term> LogLocations::term_at(LogIndex index) const {
  const std::lock_guard lock(mutex_);
  return terms_.term_at(index);
}

EntryLocation LogLocations::location_locked(LogIndex index) const {
  const Place& place = places_[index - terms_.base().index - 1];
  return {.index = index,
          .term = *terms_.term_at(index),
          .segment = segments_.at(index),
          .offset = place.offset_in_words * kWord,
          .size = place.size};
}

std::optional<EntryLocation> LogLocations::find(LogIndex index) const {
  const std::lock_guard lock(mutex_);
  if (!terms_.contains(index)) return std::nullopt;
  return location_locked(index);
}

std::vector<EntryLocation> LogLocations::find_run(LogIndex first, LogIndex last,
                                                  std::uint64_t bytes_max) const {
  const std::lock_guard lock(mutex_);
  std::vector<EntryLocation> run;
  last = std::min(last, terms_.last().index);
  if (first <= terms_.base().index) return run;
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
  return segments_.first();
}

consensus::LogView LogLocations::log_view() const {
  const std::lock_guard lock(mutex_);
  consensus::LogView view(terms_.base());
  LogIndex index = terms_.base().index;
  for (const Place& place : places_) view.append(*terms_.term_at(++index), place.size);
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
  const LogIndex last = terms_.last().index;
  BIB_CHECK(location.index == last + 1, "entry {} after {}", location.index.value(), last.value());
  BIB_CHECK(location.offset % kWord == 0 && location.offset / kWord <= UINT32_MAX);
  places_.push_back({static_cast<std::uint32_t>(location.offset / kWord), location.size});
  terms_.append(location.term);
  segments_.append(location.index, location.segment);
}

void LogLocations::truncate_from(LogIndex from) {
  const std::lock_guard lock(mutex_);
  terms_.truncate_from(from);
  places_.resize(terms_.last().index - terms_.base().index);
  segments_.truncate_from(from);
}

void LogLocations::compact_to(LogIndex base) {
  const std::lock_guard lock(mutex_);
  const LogIndex before = terms_.base().index;
  if (base == before) return;
  terms_.compact_to(base);
  places_.erase(places_.begin(), places_.begin() + static_cast<std::ptrdiff_t>(base - before));
  if (places_.empty()) return segments_.clear();
  segments_.drop_below(base + 1);
}

void LogLocations::reset(LogPosition base) {
  const std::lock_guard lock(mutex_);
  terms_.reset(base);
  places_.clear();
  segments_.clear();
}

}  // namespace bib::engine
