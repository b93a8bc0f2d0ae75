#include "consensus/progress.h"

#include <algorithm>

#include "consensus/rules.h"

namespace bib::consensus {

using wire::LogIndex;

void InFlight::add(LogIndex last, std::uint64_t bytes) {
  messages_.push_back({last, bytes});
  bytes_ += bytes;
}

void InFlight::acknowledge(LogIndex match) {
  while (!messages_.empty() && messages_.front().last <= match) {
    bytes_ -= messages_.front().bytes;
    messages_.pop_front();
  }
}

void InFlight::take_back(LogIndex from) {
  while (!messages_.empty() && messages_.back().last >= from) {
    bytes_ -= messages_.back().bytes;
    messages_.pop_back();
  }
}

void InFlight::clear() {
  messages_.clear();
  bytes_ = 0;
}

bool Progress::may_send(const FlightLimits& limits) const {
  switch (state) {
    case ProgressState::kProbe:
      return !paused;
    case ProgressState::kReplicate:
      return !in_flight.is_full(limits);
    case ProgressState::kSnapshot:
      return false;
  }
  return false;
}

void Progress::become_probe() {
  next = std::max(match, snapshot_index) + 1;
  state = ProgressState::kProbe;
  paused = false;
  received = match;
  snapshot_index = LogIndex();
  in_flight.clear();
  ticks_without_match = 0;
}

void Progress::become_replicate() {
  state = ProgressState::kReplicate;
  next = match + 1;
  paused = false;
  snapshot_index = LogIndex();
  in_flight.clear();
  ticks_without_match = 0;
}

void Progress::become_snapshot() {
  state = ProgressState::kSnapshot;
  paused = false;
  snapshot_index = LogIndex();
  in_flight.clear();
  ticks_without_match = 0;
}

void Progress::hear() {
  ticks_since_heard = 0;
  unreachable = false;
  heard = true;
}

void Progress::take_back(LogIndex from) {
  if (state == ProgressState::kProbe && from == next && !unreachable) paused = false;
  from = std::max(from, match + 1);  // the peer has what is before
  if (state != ProgressState::kReplicate || from >= next) return;
  in_flight.take_back(from);
  next = from;
}

bool Progress::acknowledge(LogIndex index) {
  in_flight.acknowledge(index);
  if (index <= match) return false;
  match = index;
  next = std::max(next, index + 1);
  received = std::max(received, index);
  ticks_without_match = 0;
  return true;
}

bool Progress::reject(LogIndex rejected, LogIndex retry) {
  match = rules::match_after({.refused = rejected, .retry = retry}, match);
  if (rejected <= match || rejected >= next) return false;
  if (state == ProgressState::kSnapshot) return false;
  // A probe has one question open; an answer to another question is an old one.
  if (state == ProgressState::kProbe && rejected + 1 != next) return false;
  become_probe();
  next = std::max(match + 1, std::min(retry, rejected));
  return true;
}

}  // namespace bib::consensus
