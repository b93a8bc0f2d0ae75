// Who votes, campaigns, leads and hands over, and when.
#include <algorithm>

#include "checkers.h"
#include "checkers_rules.h"
#include "sim_node.h"
#include "violation.h"

namespace bib::sim {

using consensus::Raft;
using consensus::Role;
using wire::LogIndex;
using wire::NodeId;
using wire::PeerMessage;

namespace {

// Not by the vote of the disk that it had before.
bool has_vote(const wire::Membership& membership, const SimNode& node) {
  return node.is_member_of(membership) && membership.is_voter(node.id());
}

}  // namespace

bool may_campaign(const SimNode& node) {
  const Raft& raft = *node.raft();
  if (raft.membership().is_voter(raft.self())) return has_vote(raft.membership(), node);
  if (raft.membership_index() <= raft.commit()) return false;
  const consensus::MembershipAt* before = raft.membership_at(raft.membership_index() - 1);
  return before != nullptr && has_vote(before->membership, node);
}

void Oracle::check_role(SimNode& node, const Raft& raft, Facts& known) {
  if (raft.term() < known.term) {
    violated("election", "{} falls from term {} to {}", node.name(), known.term.value(),
             raft.term().value());
  }
  // Also of a campaign that came and went in one step.
  if (raft.role() == Role::kCandidate || (raft.vote() == node.id() && raft.term() > known.term)) {
    campaigned_.insert(raft.term());
    campaigners_.insert({raft.term(), node.id()});
  }
  check_vote_given(node, raft, known);
  check_campaign(node, raft, known);
  if (raft.term() != known.term && !campaigned_.contains(raft.term())) {
    violated("election", "{} enters term {}, in which nobody campaigns", node.name(),
             raft.term().value());
  }
  if (raft.role() == Role::kLeader && known.role != Role::kLeader) {
    const auto [leader, is_new] = leaders_.try_emplace(raft.term(), node.id());
    if (!is_new && leader->second != node.id()) {
      violated("election", "two leaders in term {}: n{} and {}", raft.term().value(),
               leader->second.value(), node.name());
    }
    check_leader_completeness(node, raft);
    std::fill(known.ticks_since_heard.begin(), known.ticks_since_heard.end(), 0U);
    known.ticks_transferring = 0;
  }
  known.ticks_since_timer = 0;
  known.suspects = false;
  known.term = raft.term();
  known.role = raft.role();
  known.vote = raft.vote();
}

void Oracle::check_vote_given(const SimNode& node, const Raft& raft, const Facts& known) const {
  const bool is_new = raft.term() != known.term || raft.vote() != known.vote;
  if (raft.term() == known.term && known.vote != NodeId() && is_new) {
    violated("election", "{} has voted for n{} in term {}, and now for n{}", node.name(),
             known.vote.value(), raft.term().value(), raft.vote().value());
  }
  if (!is_new || raft.vote() == NodeId()) return;
  if (campaigners_.contains({raft.term(), raft.vote()})) return;
  violated("election", "{} votes for n{} in term {}, in which that one does not campaign",
           node.name(), raft.vote().value(), raft.term().value());
}

void Oracle::check_campaign(const SimNode& node, const Raft& raft, const Facts& known) const {
  const bool asks = raft.role() == Role::kPreCandidate || raft.role() == Role::kCandidate;
  if (!asks || known.role == Role::kPreCandidate || known.role == Role::kCandidate) return;
  if (raft.membership_index() == known.membership_index && !may_campaign(node)) {
    violated("election", "{} campaigns and is not a voter with its log {:016x}", node.name(),
             node.log_id());
  }
  // Whoever was told to by the leader does so at once.
  if (raft.role() == Role::kPreCandidate && node.disk_is_stalled()) {
    violated("election", "{} campaigns while its disk stalls", node.name());
  }
}

void Oracle::check_leader(const SimNode& node, const Raft& raft, Facts& known) const {
  if (raft.role() != Role::kLeader) {
    known.transfer_end = LogIndex();
    return;
  }
  if (raft.membership_index() <= raft.commit() && !raft.membership().is_voter(node.id())) {
    violated("election", "{} leads term {} and is not a voter, as of entry {}, which is committed",
             node.name(), raft.term().value(), raft.membership_index().value());
  }
  if (!raft.is_transferring()) {
    known.transfer_end = LogIndex();
  } else if (known.transfer_end == LogIndex()) {
    known.transfer_end = raft.last_index();
  } else if (raft.last_index() != known.transfer_end && known.ticks_since_asked < 160) {
    known.transfer_end =
        raft.last_index();  // one attempt ended, and another began in the same step
  } else if (raft.last_index() != known.transfer_end) {
    violated("timing", "{} hands over and takes entry {} meanwhile", node.name(),
             raft.last_index().value());
  }
}

void Oracle::check_vote(const SimNode& node, const PeerMessage& message) {
  const wire::HardState durable = node.durable_hard_state();
  // A later term's write may have been synced together with the vote's.
  if (durable.term < message.term || (durable.term == message.term && durable.vote != message.to)) {
    violated("election", "{} votes for {} in term {}, durable are term {} and vote {}", node.name(),
             message.to.value(), message.term.value(), durable.term.value(), durable.vote.value());
  }
  const auto [vote, is_new] =
      votes_.try_emplace({message.term, node.id(), node.log_id()}, message.to);
  if (!is_new && vote->second != message.to) {
    violated("election", "{} votes for {} and for {} in term {}", node.name(), vote->second.value(),
             message.to.value(), message.term.value());
  }
}

void Oracle::on_tick(SimNode& node) {
  Facts& known = facts(node);
  const Raft& raft = *node.raft();
  const unsigned limit = plan_.raft.election_ticks_min;
  levels_.tick(node.index());
  ++known.ticks_since_timer;
  ++known.ticks_since_asked;
  // It may not campaign.
  if (node.disk_is_stalled() || node.rows_differ()) known.ticks_since_timer = 0;
  if (raft.role() != Role::kLeader) {
    known.ticks_transferring = 0;
    known.ticks_stalled = 0;
    // Drawn below twice the minimum; suspicion makes it shorter, never longer.
    if (known.ticks_since_timer > 2 * limit + 1 && may_campaign(node)) {
      violated("timing", "{} has heard no leader for {} ticks and does not campaign", node.name(),
               known.ticks_since_timer);
    }
    return;
  }
  known.ticks_since_timer = 0;
  for (unsigned& ticks : known.ticks_since_heard) ++ticks;
  check_stalled(node, raft, known);
  if (raft.membership_index() != known.membership_index) return;  // new peers have some time
  const bool heard = is_quorum(raft.membership(), [&](NodeId id) {
    return id == node.id() || known.ticks_since_heard[index_of(id)] <= limit + 1;
  });
  if (!heard) {
    violated("timing", "{} still leads term {} without a quorum", node.name(), raft.term().value());
  }
  // A stalled leader may begin the next attempt in the tick that ends one.
  const bool is_one_attempt = raft.is_transferring() && !node.disk_is_stalled() &&
                              !node.rows_differ() && known.ticks_since_asked >= 160;
  known.ticks_transferring = is_one_attempt ? known.ticks_transferring + 1 : 0;
  if (known.ticks_transferring > limit + 1) {
    violated("timing", "{} has been handing over for {} ticks", node.name(),
             known.ticks_transferring);
  }
}

// A voter has on its disk what this leader has not, and answers: then the leader tries to hand
// over, at the latest one election timeout after an attempt that failed.
void Oracle::check_stalled(const SimNode& node, const Raft& raft, Facts& known) const {
  bool could_hand_over = false;
  if (node.disk_is_stalled() && !raft.is_transferring()) {
    const std::vector<NodeId>& voters = raft.membership().voters;
    for (const consensus::PeerStatus& peer : raft.peers()) {
      const bool is_voter = has_id(voters, peer.id);
      const bool has_more = peer.recently_active && peer.match > raft.durable_index();
      could_hand_over = could_hand_over || (is_voter && has_more);
    }
  }
  known.ticks_stalled = could_hand_over ? known.ticks_stalled + 1 : 0;
  if (known.ticks_stalled > 2 * plan_.raft.election_ticks_min + 2) {
    violated("timing", "{} leads with a stalled disk and does not hand over", node.name());
  }
}

}  // namespace bib::sim
