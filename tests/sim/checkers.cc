#include "checkers.h"

#include <algorithm>
#include <utility>

#include "sim_node.h"
#include "violation.h"

namespace bib::sim {

using consensus::Raft;
using consensus::Role;
using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

namespace {

// Whether a majority of each half has the property.
template <typename Has>
bool is_quorum(const wire::Membership& membership, Has&& has) {
  for (const std::vector<NodeId>* half : {&membership.voters, &membership.voters_outgoing}) {
    if (half->empty()) continue;
    const auto count = std::count_if(half->begin(), half->end(), has);
    if (static_cast<std::size_t>(count) <= half->size() / 2) return false;
  }
  return true;
}

// Not by the vote of the disk that it had before.
bool has_vote(const wire::Membership& membership, const SimNode& node) {
  return node.is_member_of(membership) && membership.is_voter(node.id());
}

// As Raft's own rule (dissertation §4.2.2): a voter of the membership in effect or, while that one
// is uncommitted, of the one before.
bool may_campaign(const SimNode& node) {
  const Raft& raft = *node.raft();
  if (raft.membership().is_voter(raft.self())) return has_vote(raft.membership(), node);
  if (raft.membership_index() <= raft.commit()) return false;
  const consensus::MembershipAt* before = raft.membership_at(raft.membership_index() - 1);
  return before != nullptr && has_vote(before->membership, node);
}

// The one that was in effect when this node was last looked at. Its entry may have been cut off
// since.
const consensus::MembershipAt* membership_before(const Raft& raft, LogIndex index) {
  return raft.membership_at(std::max(index, raft.log().base().index));
}

bool has_id(const std::vector<NodeId>& ids, NodeId id) {
  return std::binary_search(ids.begin(), ids.end(), id);
}

LogIndex match_of(const Raft& raft, NodeId peer) {
  for (const consensus::PeerStatus& status : raft.peers()) {
    if (status.id == peer) return status.match;
  }
  return {};
}

std::uint64_t digest_of(const projections::StateMark& mark) {
  std::uint64_t digest = mark.applied_term.value();
  for (const projections::Digest& one : mark.digests) {
    digest = (digest ^ one.low) * 0x9e3779b97f4a7c15ULL;
    digest = (digest ^ one.high ^ one.rows << 17) * 0xd1342543de82ef95ULL;
    digest ^= digest >> 31;
  }
  return digest;
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

void Oracle::add_node(SimNode& node) {
  nodes_.push_back(&node);
  facts_.emplace_back();
  for (Facts& facts : facts_) facts.ticks_since_heard.resize(nodes_.size());
  acknowledged_.resize(nodes_.size());
  shown_.resize(nodes_.size());
}

Oracle::Facts& Oracle::facts(const SimNode& node) {
  return facts_[node.index()];
}

// ---- a node's life

void Oracle::on_founded(const wire::Bytes& entry, const wire::Membership& membership) {
  const auto header = wire::read_entry_header(entry.view());
  // A founder that dies before its first entry is durable founds again.
  if (committed() >= header->index) return;
  known_.insert_or_assign(place(header->index, header->term),
                          Known{Term(), header->checksum, membership});
}

void Oracle::on_welcomed(const SimNode& node) const {
  const auto names = [&](const wire::Membership& membership) {
    return node.is_member_of(membership);
  };
  for (const consensus::MembershipAt& at : memberships_) {
    if (names(at.membership)) return;
  }
  for (LogIndex index = applied() + 1; index <= committed(); ++index) {
    const auto known = known_.find(place(index, committed_[index.value() - 1].term));
    if (known != known_.end() && known->second.membership && names(*known->second.membership))
      return;
  }
  violated("join", "{} is told that it is a member, and no committed entry says so", node.name());
}

void Oracle::on_boot(SimNode& node, wire::HardState hard_state) {
  Facts fresh;
  fresh.term = hard_state.term;
  fresh.vote = hard_state.vote;
  fresh.commit = node.raft()->commit();
  fresh.membership_index = node.raft()->membership_index();
  fresh.ticks_since_heard.resize(nodes_.size());
  facts(node) = std::move(fresh);
  campaigned_.insert(hard_state.term);
}

void Oracle::on_called_lost(const SimNode& node, NodeId peer, const wire::Error& error) const {
  const SimNode& sender = *nodes_[index_of(peer)];
  const wire::Member* member = node.raft()->membership().find(peer);
  if (member == nullptr ? sender.has_lost_a_disk() : member->log_id != sender.log_id()) return;
  violated("guard", "{} refuses n{}, which has lost nothing: {}", node.name(), peer.value(),
           error.message);
}

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

void Oracle::on_tick(SimNode& node) {
  Facts& known = facts(node);
  const Raft& raft = *node.raft();
  const unsigned limit = plan_.raft.election_ticks_min;
  ++known.ticks_since_timer;
  ++known.ticks_since_asked;
  if (node.disk_is_stalled()) known.ticks_since_timer = 0;  // it may not campaign
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
  const bool is_one_attempt =
      raft.is_transferring() && !node.disk_is_stalled() && known.ticks_since_asked >= 160;
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

// ---- what leaves a node

void Oracle::on_sent(SimNode& node, const PeerMessage& message) {
  Facts& known = facts(node);
  switch (message.kind) {
    case MessageKind::kTimeoutNow: {
      const Raft& raft = *node.raft();
      const consensus::MembershipAt* before = membership_before(raft, known.membership_index);
      if (!has_id(raft.membership().voters, message.to) &&
          (before == nullptr || !has_id(before->membership.voters, message.to))) {
        violated("election", "{} hands over to n{}, which is no voter", node.name(),
                 message.to.value());
      }
      break;
    }
    case MessageKind::kPreVote:
    case MessageKind::kVote:
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

// What was counted before a disk was emptied was true.
bool Oracle::quorum_has_durably(const wire::Membership& membership, LogIndex index,
                                Term term) const {
  return is_quorum(membership, [&](NodeId id) {
    const SimNode& node = *nodes_[index_of(id)];
    return has_in(node.durable_log_of(membership.find(id)->log_id), node, index, term);
  });
}

bool Oracle::has_in(const engine::LogLocations* log, const SimNode& node, LogIndex index,
                    Term term) const {
  if (log == nullptr) return false;
  if (log == node.durable_log() && index <= node.durable_snapshot()) return true;
  return index < log->base().index || log->term_at(index) == term;
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

void Oracle::on_written(SimNode& node, const consensus::LogWrite& write,
                        const std::vector<wire::Bytes>& entries) {
  if (entries.empty()) return;
  const Raft& raft = *node.raft();
  const auto before = raft.log().term_at(write.first - 1);
  Term previous = before.value_or(Term());
  for (const wire::Bytes& bytes : entries) {
    const auto header = wire::read_entry_header(bytes.view());
    if (!header) violated("log", "{} writes what is no entry", node.name());
    auto [known, is_new] = known_.try_emplace(place(header->index, header->term));
    Known& entry = known->second;
    if (is_new) {
      entry.previous_term = previous;
      entry.checksum = header->checksum;
      if (header->kind == wire::EntryKind::kMembership) {
        const auto reader = wire::EntryReader::open(bytes, true);
        auto membership = wire::decode_membership(reader->body());
        if (!membership) violated("log", "{} writes an invalid membership", node.name());
        entry.membership = *std::move(membership);
        check_promotion(node, raft, header->index, *entry.membership);
        const LogIndex latest = facts(node).membership_index;
        const bool leads = raft.role() == Role::kLeader && raft.term() == header->term;
        if (leads && latest != header->index && latest > raft.commit()) {
          violated("log", "{} proposes a membership at {}, while that at {} is not committed",
                   node.name(), header->index.value(), latest.value());
        }
        if (leads && !raft.has_committed_own_term()) {
          violated("log", "{} proposes a membership at {} before it has committed in term {}",
                   node.name(), header->index.value(), header->term.value());
        }
      }
    } else if (entry.previous_term != previous || entry.checksum != header->checksum) {
      violated("log", "{} has another entry {} of term {} than another node", node.name(),
               header->index.value(), header->term.value());
    }
    previous = header->term;
  }
}

// A vote that nobody asked for goes to a learner that the log alone brings up to date.
void Oracle::check_promotion(const SimNode& node, const Raft& raft, LogIndex index,
                             const wire::Membership& membership) const {
  const Facts& known = facts_[node.index()];
  if (raft.role() != Role::kLeader || index <= known.change_asked) return;
  const consensus::MembershipAt* before = raft.membership_at(index - 1);
  if (before == nullptr) return;
  for (const consensus::PeerStatus& peer : raft.peers()) {
    const bool is_promoted =
        has_id(membership.voters, peer.id) && has_id(before->membership.learners, peer.id);
    if (is_promoted && !promotions_asked_.contains(peer.id) &&
        peer.state == consensus::ProgressState::kSnapshot) {
      violated("snapshot", "{} gives n{} its vote while a snapshot is on its way there",
               node.name(), peer.id.value());
    }
  }
}

// ---- after each step

void Oracle::after_step(SimNode& node) {
  const Raft* raft = node.raft();
  if (raft == nullptr) return;
  Facts& known = facts(node);
  if (raft->term() != known.term || raft->role() != known.role || raft->vote() != known.vote) {
    check_role(node, *raft, known);
  }
  if (raft->commit() != known.commit) check_commit(node, *raft, known);
  check_membership(node, *raft, known);
  check_leader(node, *raft, known);
  known.pre_votes_in_turn = 0;
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
    violated("election", "{} campaigns and is no voter with its log {:016x}", node.name(),
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
    violated("election", "{} leads term {} and is no voter, as of entry {}, which is committed",
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

// Raft §5.4.3: of all that was committed in earlier terms. (Belated votes may make a leader of a
// term that has passed.)
void Oracle::check_leader_completeness(const SimNode& node, const Raft& raft) const {
  std::size_t count = committed_.size();
  while (count > 0 && committed_[count - 1].committed_in >= raft.term()) --count;
  const LogIndex last(count);
  if (last <= raft.log().base().index) return;
  const Term term = committed_[count - 1].term;
  if (raft.log().term_at(last) == term) return;
  violated("leader", "{} leads term {} without entry {} of term {}, which is committed",
           node.name(), raft.term().value(), last.value(), term.value());
}

void Oracle::check_commit(SimNode& node, const Raft& raft, Facts& known) {
  if (raft.commit() < known.commit) {
    violated("commit", "{} falls from commit index {} to {}", node.name(), known.commit.value(),
             raft.commit().value());
  }
  check_base(node, raft);
  const LogIndex first = std::max(known.commit + 1, raft.log().base().index + 1);
  for (LogIndex index = first; index <= raft.commit(); ++index) {
    const Term term = *raft.log().term_at(index);
    if (index <= committed()) {
      if (committed_[index.value() - 1].term == term) continue;
      violated("commit", "{} commits entry {} of term {}, committed is that of term {}",
               node.name(), index.value(), term.value(),
               committed_[index.value() - 1].term.value());
    }
    if (index != committed() + 1) {
      violated("commit", "{} commits entry {}, known is up to {}", node.name(), index.value(),
               committed().value());
    }
    committed_.push_back({term, raft.term()});
  }
  known.commit = raft.commit();
  if (raft.role() == Role::kLeader) check_own_commit(node, raft, known);
}

// The log begins behind an entry that is committed.
void Oracle::check_base(const SimNode& node, const Raft& raft) const {
  const wire::LogPosition base = raft.log().base();
  if (base.index == LogIndex()) return;
  if (base.index > committed() || committed_[base.index.value() - 1].term != base.term) {
    violated("snapshot", "{}'s log begins behind entry {} of term {}, which is not committed",
             node.name(), base.index.value(), base.term.value());
  }
}

// Raft §5.4.2; and a quorum of the membership in effect has it on disk. (A change that was proposed
// in the same step, behind the commit, was not in effect yet.)
void Oracle::check_own_commit(const SimNode& node, const Raft& raft, const Facts& known) const {
  const LogIndex index = raft.commit();
  const Term term = *raft.log().term_at(index);
  if (term != raft.term()) {
    violated("commit", "{} leads term {} and commits entry {} of term {} by counting", node.name(),
             raft.term().value(), index.value(), term.value());
  }
  const consensus::MembershipAt* before = membership_before(raft, known.membership_index);
  if (!quorum_has_durably(raft.membership(), index, term) &&
      (before == nullptr || !quorum_has_durably(before->membership, index, term))) {
    violated("commit", "{} commits entry {} of term {}, which no quorum has durably", node.name(),
             index.value(), term.value());
  }
}

void Oracle::check_membership(const SimNode& node, const Raft& raft, Facts& known) const {
  const LogIndex index = raft.membership_index();
  if (index == known.membership_index && index <= raft.last_index()) return;
  if (index > raft.last_index()) {
    violated("log", "{} follows the membership of entry {}, but its log ends at {}", node.name(),
             index.value(), raft.last_index().value());
  }
  if (index > raft.log().base().index &&
      !known_.contains(place(index, *raft.log().term_at(index)))) {
    return;  // written at the end of the turn
  }
  known.membership_index = index;
  known.ticks_since_timer = 0;  // it may vote only since now: a snapshot came after silence
  std::fill(known.ticks_since_heard.begin(), known.ticks_since_heard.end(), 0U);
  if (index <= raft.log().base().index) {
    const auto at = std::find_if(memberships_.begin(), memberships_.end(),
                                 [&](const auto& one) { return one.index == index; });
    if (at == memberships_.end() || at->membership != raft.membership()) {
      violated("snapshot", "{} follows a membership of entry {} that is not committed there",
               node.name(), index.value());
    }
    return;
  }
  const auto entry = known_.find(place(index, *raft.log().term_at(index)));
  if (entry->second.membership != raft.membership()) {
    violated("log", "{} follows another membership than entry {} states", node.name(),
             index.value());
  }
}

// ---- snapshots

void Oracle::check_rows_at(const SimNode& node, const projections::StateMark& mark) const {
  if (mark.applied_index == LogIndex()) return;
  if (mark.applied_index > applied() ||
      digests_[mark.applied_index.value() - 1] != digest_of(mark)) {
    violated("snapshot", "{} has rows at entry {} that are not those of the committed log",
             node.name(), mark.applied_index.value());
  }
}

void Oracle::check_snapshot(const SimNode& node, const wire::SnapshotManifest& snapshot) const {
  projections::StateMark mark;
  mark.applied_index = snapshot.index;
  mark.applied_term = snapshot.term;
  for (const wire::SnapshotProjection& projection : snapshot.projections) {
    for (const projections::Family family : projections::kFamilies) {
      if (projections::family_name(family) != projection.name) continue;
      mark.digests[projections::family_index(family)] = {
          .low = projection.digest_low, .high = projection.digest_high, .rows = projection.rows};
    }
  }
  check_rows_at(node, mark);
  auto at = memberships_.rbegin();
  while (at != memberships_.rend() && at->index > snapshot.index) ++at;
  if (at == memberships_.rend() || at->index != snapshot.membership_index ||
      at->membership != snapshot.membership) {
    violated("snapshot", "{} has a snapshot at {} with another membership than the log has there",
             node.name(), snapshot.index.value());
  }
}

void Oracle::on_installed(const SimNode& node, const projections::StateMark& before,
                          const projections::StateMark& after) {
  trace_.note(node.index(), before.applied_index.value(), after.applied_index.value());
  check_rows_at(node, after);
  if (after.applied_index < before.applied_index) {
    violated("snapshot", "{} goes back from entry {} to a snapshot at {}", node.name(),
             before.applied_index.value(), after.applied_index.value());
  }
  ++installations_;
}

void Oracle::on_log_reset(const SimNode& node, wire::LogPosition position) const {
  const engine::LogLocations* log = node.durable_log();
  if (log == nullptr || log->term_at(position.index) != position.term) return;
  violated("snapshot", "{} forgets its log to {} for a snapshot at {}, which the log has",
           node.name(), log->last().index.value(), position.index.value());
}

// ---- the committed log

void Oracle::on_applied(SimNode& node, const wire::Bytes& entry,
                        const projections::StateMark& mark) {
  const LogIndex index = mark.applied_index;
  const std::uint64_t digest = digest_of(mark);
  trace_.note(node.index(), index.value(), digest);
  if (index <= applied()) {
    if (digests_[index.value() - 1] == digest) return;
    violated("digest", "{} differs from the others after entry {}", node.name(), index.value());
  }
  if (index != applied() + 1) {
    violated("digest", "{} applies entry {}, known is up to {}", node.name(), index.value(),
             applied().value());
  }
  digests_.push_back(digest);
  take_committed_entry(entry);
}

void Oracle::on_stored(const SimNode& node, const projections::StateMark& mark) const {
  const LogIndex index = mark.applied_index;
  if (index == LogIndex() || index > applied()) return;
  if (digests_[index.value() - 1] == digest_of(mark)) return;
  violated("durability", "{} brings rows to its store that do not stand behind entry {}",
           node.name(), index.value());
}

void Oracle::take_committed_entry(const wire::Bytes& entry) {
  const auto reader = wire::EntryReader::open(entry, true);
  if (!reader) violated("digest", "a committed entry cannot be read: {}", reader.error().message);
  const auto known = known_.find(place(reader->header().index, reader->header().term));
  if (known == known_.end() || known->second.checksum != reader->header().checksum) {
    violated("commit", "entry {} is applied and was never written", reader->header().index.value());
  }
  if (known->second.membership) {
    memberships_.push_back({reader->header().index, *known->second.membership});
  }
  if (reader->header().kind != wire::EntryKind::kEvents) return;
  for (std::size_t i = 0; i < reader->event_count(); ++i) {
    const auto event = wire::read_event(reader->event(i));
    if (!event) violated("digest", "a committed event is invalid: {}", event.error().message);
    ++events_;
    positions_.push_back({reader->header().index, static_cast<std::uint32_t>(i)});
    take_event(*event, {reader->header().index, static_cast<std::uint32_t>(i)});
  }
}

void Oracle::take_event(const wire::Event& event, wire::Position position) {
  if (event.origin) {
    const Request request{event.origin->client, event.origin->sequence};
    if (refused_.contains(request)) {
      violated("once",
               "request {} of one client was refused, and is carried out at {} all the same",
               request.sequence.value(), to_string(position));
    }
    const auto [at, is_new] = requests_.try_emplace(request, position, event.revision);
    if (!is_new) {
      violated("once", "request {} of one client is in the log at {} and at {}",
               request.sequence.value(), to_string(at->second.first), to_string(position));
    }
  }
  if (const auto* set = std::get_if<wire::ConfigSet>(&event.body)) {
    versions_[std::string(set->key)].push_back(
        {position.index, std::string(set->value), event.revision});
  } else if (const auto* unset = std::get_if<wire::ConfigUnset>(&event.body)) {
    versions_[std::string(unset->key)].push_back({position.index, std::nullopt, event.revision});
  }
}

}  // namespace bib::sim
