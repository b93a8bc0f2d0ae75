#include "projections/rules/session_sweep.h"

#include <algorithm>
#include <utility>

#include "projections/state/keys.h"
#include "wire/base/mutant.h"

namespace bib::projections {

using wire::LogIndex;
using wire::RequestSequence;

namespace {

constexpr std::size_t kPlacesMax = 4096;

}  // namespace

void SessionSweep::note_kept(LogIndex index) {
  if (kept_++ % stride_ != 0) return;
  places_.push_back(index);
  if (places_.size() < kPlacesMax) return;
  for (std::size_t i = 0; i < kPlacesMax / 2; ++i) places_[i] = places_[2 * i];
  places_.resize(kPlacesMax / 2);
  stride_ *= 2;
}

void SessionSweep::end_pass(const SessionLimits& limits) {
  excess_to_ = LogIndex();
  if (rows_ > limits.rows_max && !places_.empty()) {
    // As large a part of the records as of the rows.
    const std::size_t excess = kept_ * (rows_ - limits.rows_max) / rows_;
    std::sort(places_.begin(), places_.end());
    const LogIndex oldest_kept = places_[std::min(excess / stride_, places_.size() - 1)];
    // Not less than one entry's, which may hold many.
    excess_to_ = std::max(LogIndex(oldest_kept.value() - 1), places_.front());
  }
  after_.clear();
  rows_ = 0;
  kept_ = 0;
  stride_ = 1;
  places_.clear();
}

wire::Result<ExpiredSessions> SessionSweep::look(const StateView& view,
                                                 const SessionLimits& limits) {
  const LogIndex expire_to = std::max(limits.old_to, std::min(excess_to_, limits.spare_to));
  ExpiredSessions expired;
  expired.as_of = view.mark().applied_index;
  std::optional<wire::ClientId> client;  // whose rows are being read
  bool all_expired = false;              // of that client's, all of which were seen
  // The client in whose rows the last look ended was not seen from its first row on.
  std::optional<wire::ClientId> partly_seen;
  if (const auto last = keys::parse_session(after_)) partly_seen = last->client;
  const auto finish = [&] {
    if (client && all_expired && client != partly_seen) expired.finished.push_back(*client);
  };
  std::size_t looked_at = 0;
  wire::Status damage;
  const auto visit = [&](std::string_view key, wire::ByteView value) {
    const auto parts = keys::parse_session(key);
    if (!parts) {
      damage = wire::fail(wire::ErrorCode::kCorrupt, "a session's key of {} bytes", key.size());
      return false;
    }
    if (client != parts->client) {
      finish();
      client = parts->client;
      all_expired = true;
    }
    if (looked_at++ >= limits.look_max ||
        expired.records.size() + expired.finished.size() >= limits.found_max) {
      expired.more = true;
      return false;
    }
    after_.assign(key);
    if (parts->sequence == RequestSequence()) {
      ++rows_;
      return true;
    }
    const auto record = SessionRecord::decode(value);
    if (!record || record->position.index <= expire_to || BIB_MUTANT(kExpiresLiveSessions)) {
      expired.records.push_back({parts->client, parts->sequence});
    } else {
      all_expired = false;
      ++rows_;
      note_kept(record->position.index);
    }
    return true;
  };
  const std::string after = after_;
  ScanRange range;
  if (!after.empty()) range.after = after;
  BIB_TRY_VOID(scan(view, Family::kSessions, range, visit));
  BIB_TRY_VOID(std::move(damage));
  if (!expired.more) {
    finish();
    end_pass(limits);
  }
  expired.too_many = excess_to_ != LogIndex();
  return expired;
}

}  // namespace bib::projections
