#include "consensus/raft_types.h"

#include <algorithm>

#include "wire/log/data_directory.h"

namespace bib::consensus {

using wire::LogIndex;
using wire::NodeId;
using wire::Term;

namespace {

wire::Status check_terms(const Restored& restored) {
  if (restored.terms.empty() != restored.sizes.empty()) {
    return wire::fail(wire::ErrorCode::kCorrupt,
                      "the log has entries without terms, or terms without entries");
  }
  if (restored.terms.empty()) return {};
  if (restored.terms.front().first != restored.base.index + 1) {
    return wire::fail(wire::ErrorCode::kCorrupt, "the log's first entry is {}, but its base is {}",
                      restored.terms.front().first.value(), restored.base.index.value());
  }
  if (restored.terms.front().value < restored.base.term || restored.terms.front().value == Term()) {
    return wire::fail(wire::ErrorCode::kCorrupt, "the log's terms fall below that of its base");
  }
  const LogIndex last = restored.base.index + restored.sizes.size();
  for (std::size_t i = 1; i < restored.terms.size(); ++i) {
    const wire::TermRun& run = restored.terms[i];
    if (run.first <= restored.terms[i - 1].first || run.first > last ||
        run.value <= restored.terms[i - 1].value) {
      return wire::fail(wire::ErrorCode::kCorrupt, "the log's terms do not rise at entry {}",
                        run.first.value());
    }
  }
  return {};
}

}  // namespace

wire::Status check_restored(const RaftConfig& config, const Restored& restored) {
  if (config.self == NodeId() || config.heartbeat_ticks == 0 ||
      config.election_ticks_min <= config.heartbeat_ticks || config.append_entries_max == 0 ||
      config.flight.messages_max == 0) {
    return wire::fail(wire::ErrorCode::kConfig,
                      "consensus needs a node id, a heartbeat of at least one tick, a longer "
                      "election timeout, and limits above zero");
  }
  BIB_TRY_VOID(check_terms(restored));
  const LogIndex last = restored.base.index + restored.sizes.size();
  const Term latest = std::max({restored.hard_state.term, restored.base.term,
                                restored.terms.empty() ? Term() : restored.terms.back().value});
  if (latest > wire::kTermMax) {
    return wire::fail(wire::ErrorCode::kCorrupt,
                      "the disk names term {}, which no election reaches: it is damaged, or a "
                      "broken build wrote it. Where the other members are well, {}. Otherwise "
                      "restore the data directory from a backup",
                      latest.value(), wire::kHowToReplace);
  }
  if (!restored.terms.empty() && restored.hard_state.term < restored.terms.back().value) {
    return wire::fail(wire::ErrorCode::kCorrupt,
                      "the stored term {} is below the log's last term {}",
                      restored.hard_state.term.value(), restored.terms.back().value.value());
  }
  if (restored.applied < restored.base.index || restored.applied > last) {
    return wire::fail(wire::ErrorCode::kCorrupt,
                      "the applied index {} is outside the log, which holds {} to {}",
                      restored.applied.value(), restored.base.index.value() + 1, last.value());
  }
  if (restored.known_committed() < restored.applied || restored.known_committed() > last) {
    return wire::fail(wire::ErrorCode::kCorrupt,
                      "the committed index {} is outside the log, which ends at {}, or below what "
                      "is applied, {}",
                      restored.known_committed().value(), last.value(), restored.applied.value());
  }
  for (std::size_t i = 0; i < restored.memberships.size(); ++i) {
    const LogIndex index = restored.memberships[i].index;
    const bool in_place =
        i == 0 || (index > restored.base.index && index > restored.memberships[i - 1].index);
    if (!in_place || index > last) {
      return wire::fail(wire::ErrorCode::kCorrupt, "the membership at {} is out of order",
                        index.value());
    }
  }
  return {};
}

}  // namespace bib::consensus
