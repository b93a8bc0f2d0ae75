#include "engine/ports/line_limit.h"

#include <utility>

namespace bib::engine {

LineLimit::Period& LineLimit::period_of(std::string_view subject, std::uint64_t now_ms) {
  const auto found = periods_.find(subject);
  if (found != periods_.end()) return found->second;
  if (periods_.size() >= options_.subjects_max) {
    std::erase_if(periods_, [&](const auto& one) {
      return one.second.ends_ms <= now_ms && one.second.untold + left_out(one.second) == 0;
    });
    if (periods_.size() >= options_.subjects_max) subject = {};
  }
  return periods_[std::string(subject)];
}

bool LineLimit::take(std::string_view subject, std::uint64_t now_ms) {
  Period& period = period_of(subject, now_ms);
  if (period.ends_ms <= now_ms) {
    period.untold += left_out(period);
    period.lines = 0;
    period.ends_ms = now_ms + options_.period_ms;
  }
  return ++period.lines <= options_.lines_max;
}

std::vector<LineLimit::LeftOut> LineLimit::ended(std::uint64_t now_ms) {
  std::vector<LeftOut> told;
  for (auto& [subject, period] : periods_) {
    const std::uint64_t earlier = std::exchange(period.untold, 0);
    const std::uint64_t lines = earlier + (period.ends_ms <= now_ms ? left_out(period) : 0);
    if (lines > 0) told.push_back({subject, lines});
  }
  std::erase_if(periods_, [&](const auto& one) { return one.second.ends_ms <= now_ms; });
  return told;
}

std::vector<LineLimit::LeftOut> LineLimit::all() {
  return ended(UINT64_MAX);
}

std::optional<std::uint64_t> LineLimit::next_end_ms() const {
  std::optional<std::uint64_t> next;
  for (const auto& [subject, period] : periods_) {
    if (period.untold > 0) return 0;
    if (left_out(period) > 0 && (!next || period.ends_ms < *next)) next = period.ends_ms;
  }
  return next;
}

}  // namespace bib::engine
