// What nodes tell each other: answers that count, and what leaves a node.
#include <utility>

#include "checkers.h"
#include "checkers_rules.h"
#include "sim_node.h"
#include "violation.h"

namespace bib::sim {

using consensus::Raft;
using consensus::Role;
using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;

namespace {

LogIndex match_of(const Raft& raft, NodeId peer) {
  for (const consensus::PeerStatus& status : raft.peers()) {
    if (status.id == peer) return status.match;
  }
  return {};
}

bool is_answer_to_leader(MessageKind kind) {
  return kind == MessageKind::kAppendReply || kind == MessageKind::kHeartbeatReply ||
         kind == MessageKind::kSnapshotReply;
}

bool is_from_leader(MessageKind kind) {
  return kind == MessageKind::kAppend || kind == MessageKind::kHeartbeat ||
         kind == MessageKind::kSnapshot;
}

}  // namespace

// Votes and acknowledgements of a member come from the disk with which it joined.
void Oracle::check_counted(const SimNode& node, const PeerMessage& message) const {
  switch (message.kind) {
    case MessageKind::kVoteReply:
    case MessageKind::kAppendReply:
    case MessageKind::kHeartbeatReply:
    case MessageKind::kSnapshotReply:
      break;
    default:
      return;
  }
  const SimNode& sender = *nodes_[index_of(message.from)];
  if (!plan_.network.greets || message.rejected) return;
  const wire::Member* member = node.raft()->membership().find(message.from);
  if (member == nullptr || member->log_id == sender.log_id()) return;
  violated("guard", "{} counts {}, which is a member with the log {:016x} and has {:016x}",
           node.name(), sender.name(), member->log_id, sender.log_id());
}

void Oracle::before_message(SimNode& node, const PeerMessage& message) {
  Facts& known = facts(node);
  const Raft& raft = *node.raft();
  if (is_answer_to_leader(message.kind) && raft.role() == Role::kLeader &&
      message.term == raft.term()) {
    known.match = match_of(raft, message.from);
  }
  if (message.kind != MessageKind::kPreVote) return;
  // Whoever has seen its leader's connection close helps to replace it.
  const wire::LogPosition last = raft.log().last();
  const bool as_new = message.log_term > last.term ||
                      (message.log_term == last.term && message.log_index >= last.index);
  const bool as_told =
      raft.term() == known.term && raft.role() == known.role && raft.vote() == known.vote;
  // Of several questions in one turn it is not known which answer is whose.
  const bool only_one = ++known.pre_votes_in_turn == 1;
  known.asker = message.from;
  known.must_grant = only_one && known.suspects && as_told && as_new && message.term > raft.term();
}

void Oracle::after_message(SimNode& node, const PeerMessage& message) {
  Facts& known = facts(node);
  const Raft& raft = *node.raft();
  if (is_from_leader(message.kind) && message.term == raft.term() &&
      raft.leader() == message.from) {
    known.ticks_since_timer = 0;
    known.suspects = false;
  }
  if (raft.role() == Role::kLeader && message.term == raft.term() &&
      index_of(message.from) < known.ticks_since_heard.size()) {
    known.ticks_since_heard[index_of(message.from)] = 0;
  }
  const LogIndex before = std::exchange(known.match, LogIndex());
  if (before == LogIndex() || raft.role() != Role::kLeader || message.term != raft.term()) return;
  const LogIndex match = match_of(raft, message.from);
  if (match == LogIndex() || match >= before) return;
  violated("durability", "{} takes back that n{} has acknowledged entry {}: now it is {}",
           node.name(), message.from.value(), before.value(), match.value());
}

void Oracle::before_suspicion(SimNode& node, NodeId peer) {
  const Raft& raft = *node.raft();
  if (raft.role() == Role::kFollower && raft.leader() == peer) facts(node).suspects = true;
}

void Oracle::on_sent(SimNode& node, const PeerMessage& message) {
  Facts& known = facts(node);
  switch (message.kind) {
    case MessageKind::kTimeoutNow: {
      const Raft& raft = *node.raft();
      const consensus::MembershipAt* before = membership_before(raft, known.membership_index);
      if (!has_id(raft.membership().voters, message.to) &&
          (before == nullptr || !has_id(before->membership.voters, message.to))) {
        violated("election", "{} hands over to n{}, which is not a voter", node.name(),
                 message.to.value());
      }
      break;
    }
    case MessageKind::kVote:
      // A campaign may come and go within one turn.
      campaigned_.insert(message.term);
      campaigners_.insert({message.term, node.id()});
      [[fallthrough]];
    case MessageKind::kPreVote:
      known.ticks_since_timer = 0;
      known.suspects = false;
      break;
    case MessageKind::kPreVoteReply:
      if (known.must_grant && message.rejected && message.to == known.asker) {
        violated("timing", "{} suspects its leader and yet refuses a pre-vote to {}", node.name(),
                 message.to.value());
      }
      known.must_grant = false;
      break;
    case MessageKind::kVoteReply:
      if (!message.rejected) check_vote(node, message);
      break;
    case MessageKind::kAppendReply:
    case MessageKind::kHeartbeatReply:
    case MessageKind::kSnapshotReply:
      if (!message.rejected) check_acknowledgement(node, message);
      break;
    default:
      break;
  }
}

// An acknowledgement is durable here, and stands in the leader's log.
void Oracle::check_acknowledgement(const SimNode& node, const PeerMessage& message) const {
  if (node.durable_hard_state().term < message.term) {
    violated("durability", "{} answers in term {}, durable is term {}", node.name(),
             message.term.value(), node.durable_hard_state().term.value());
  }
  if (message.match == LogIndex()) return;
  const auto term = node.raft()->log().term_at(message.match);
  // Also of one whose disk was emptied: what it acknowledges now, it has now.
  if (term && !has_in(node.durable_log(), node, message.match, *term)) {
    violated("durability", "{} acknowledges entry {} of term {}, which is not durable", node.name(),
             message.match.value(), term->value());
  }
  const SimNode& leader = *nodes_[index_of(message.to)];
  const Raft* raft = leader.raft();
  if (!term || raft == nullptr || raft->role() != Role::kLeader || raft->term() != message.term) {
    return;
  }
  const auto theirs = raft->log().term_at(message.match);
  if (message.match > raft->log().base().index && theirs != term) {
    violated("durability", "{} acknowledges entry {} of term {} to {}, which has another",
             node.name(), message.match.value(), term->value(), leader.name());
  }
}

}  // namespace bib::sim
