// The log: what is written to it, what is committed, and the memberships that it states.
#include <algorithm>
#include <utility>

#include "checkers.h"
#include "checkers_rules.h"
#include "sim_node.h"
#include "violation.h"

namespace bib::sim {

using consensus::Raft;
using consensus::Role;
using wire::LogIndex;
using wire::NodeId;
using wire::Term;

const consensus::MembershipAt* membership_before(const Raft& raft, LogIndex index) {
  return raft.membership_at(std::max(index, raft.log().base().index));
}

bool has_id(const std::vector<NodeId>& ids, NodeId id) {
  return std::binary_search(ids.begin(), ids.end(), id);
}

void Oracle::on_written(SimNode& node, const consensus::LogWrite& write,
                        const std::vector<wire::Bytes>& entries) {
  if (entries.empty()) return;
  const Raft& raft = *node.raft();
  const auto before = raft.log().term_at(write.first - 1);
  Term previous = before.value_or(Term());
  for (const wire::Bytes& bytes : entries) {
    const auto header = wire::read_entry_header(bytes.view());
    if (!header) violated("log", "{} writes what is not an entry", node.name());
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

// The log begins after an entry that is committed.
void Oracle::check_base(const SimNode& node, const Raft& raft) const {
  const wire::LogPosition base = raft.log().base();
  if (base.index == LogIndex()) return;
  if (base.index > committed() || committed_[base.index.value() - 1].term != base.term) {
    violated("snapshot", "{}'s log begins after entry {} of term {}, which is not committed",
             node.name(), base.index.value(), base.term.value());
  }
}

// Raft §5.4.2; and a quorum of the membership in effect has it on disk. (A change that was proposed
// in the same step, after the commit, was not in effect yet.)
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

}  // namespace bib::sim
