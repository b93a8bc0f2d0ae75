#include "consensus/rules.h"

namespace bib::consensus::rules {

namespace {

// Not a member with another log: that was this node before its disk was lost. A node that joins
// again under its old id gets the log's beginning, in which its old disk was a voter, perhaps the
// only one; it would elect itself by the vote of a disk that is gone. (The others judge its answers
// themselves, by the line that they know: engine/node/member_guard.h.)
bool is_self(const wire::Membership& membership, const Candidacy& candidacy) {
  const wire::Member* line = membership.find(candidacy.self);
  return line == nullptr || line->can_have_log(candidacy.own_log) ||
         BIB_MUTANT(kCampaignsForOldDisk);
}

}  // namespace

bool grants_vote(const wire::PeerMessage& request, const Voter& own) {
  // A node that is no voter by its own log may be one by a change that it does not have yet, so it
  // answers like any other (dissertation §4.1).
  if (BIB_MUTANT(kOutsiderDoesNotVote) && !own.is_voter) return false;
  if (!is_up_to_date(request.kind, {request.log_index, request.log_term}, own.last)) return false;
  // A pre-vote asks about the next term, in which no vote was given; a vote's term is entered.
  const auto [term, vote] = own.hard_state;
  if (request.term > term) return true;
  return vote == request.from || (vote == NodeId() && own.leader == NodeId());
}

bool may_campaign(const Candidacy& candidacy) {
  const NodeId self = candidacy.self;
  if (candidacy.disk_is_stalled && !BIB_MUTANT(kStalledNodeCampaigns)) return false;
  if (candidacy.stands_back && candidacy.passed < kPassesMax) return false;
  if (candidacy.in_effect.is_voter(self)) return is_self(candidacy.in_effect, candidacy);
  return !candidacy.change_is_committed && candidacy.before.is_voter(self) &&
         is_self(candidacy.before, candidacy) && !BIB_MUTANT(kOutsiderDoesNotCampaign);
}

}  // namespace bib::consensus::rules
