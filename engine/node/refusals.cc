#include "engine/node/refusals.h"

#include <algorithm>

#include "wire/base/mutant.h"

namespace bib::engine {

using wire::NodeId;

Refusals::Verdict Refusals::note(const consensus::Raft& raft, NodeId by,
                                 wire::HelloRefusal refusal) {
  if (!raft.membership().is_voter(by)) return Verdict::kKnown;
  const auto said = said_.find(by);
  const bool is_news = said == said_.end() || said->second != refusal;
  said_[by] = refusal;
  if (by == raft.leader() || is_believed(raft, refusal) || BIB_MUTANT(kBelievesOneRefusal)) {
    return Verdict::kBelieved;
  }
  return is_news ? Verdict::kNews : Verdict::kKnown;
}

bool Refusals::is_believed(const consensus::Raft& raft, wire::HelloRefusal refusal) const {
  const wire::Membership& membership = raft.membership();
  std::size_t voters = 0;
  std::size_t agree = 0;
  for (const wire::Member& member : membership.members) {
    if (member.id == raft.self() || !membership.is_voter(member.id)) continue;
    ++voters;
    const auto said = said_.find(member.id);
    if (said != said_.end() && said->second == refusal) ++agree;
  }
  return agree >= consensus::majority_of(voters);
}

}  // namespace bib::engine
