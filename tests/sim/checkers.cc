#include "checkers.h"

#include <utility>

#include "sim_node.h"
#include "violation.h"

namespace bib::sim {

using consensus::Raft;
using wire::LogIndex;
using wire::NodeId;
using wire::Term;

namespace {

// A leader finds out that it was deposed an election timeout after a majority's last answers reach
// it. How long they take is not bounded where partitions hold them back; elsewhere by this.
constexpr unsigned kLatencyTicksMax = 100;

std::size_t deposed_ticks(const Plan& plan) {
  if (plan.network.delivers_late || plan.network.lie_ppm != 0) return 0;
  return plan.raft.election_ticks_min + kLatencyTicksMax;
}

}  // namespace

// Clocks that run at different speeds differ by a factor of two at most (SimCluster::found).
Oracle::Oracle(const Plan& plan, Trace& trace)
    : plan_(plan),
      trace_(trace),
      levels_({.nodes = plan.voters + plan.spares,
               .clock_factor = plan.faults.clock_rates ? 2U : 1U,
               .deposed_ticks = deposed_ticks(plan)}) {}

void Oracle::add_node(SimNode& node) {
  nodes_.push_back(&node);
  facts_.emplace_back();
  for (Facts& facts : facts_) facts.ticks_since_heard.resize(nodes_.size());
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
  check_verdict(node);
  known.pre_votes_in_turn = 0;
}

void Oracle::on_death_in_turn(SimNode& node) {
  const Raft* raft = node.raft();
  if (raft != nullptr && raft->commit() != facts(node).commit) {
    check_commit(node, *raft, facts(node));
  }
}

}  // namespace bib::sim
