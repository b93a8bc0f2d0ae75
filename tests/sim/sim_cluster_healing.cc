// Healing: the faults end, and the cluster has a bounded time to become one again.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "sim_cluster.h"

namespace bib::sim {

using consensus::Raft;
using consensus::Role;

void SimCluster::heal() {
  trace_.line("", "the faults end");
  healing_ = true;
  world_.faults_are_on = false;
  network_.heal();
  copies_.heal();
  for (const auto& node : nodes_) {
    node->heal();
    node->start();
  }
  workload_.heal();
  if (plan_.leaves_minority_dead) {
    // The same must work with a bare majority.
    std::vector<NodeIndex> dead;
    std::vector<NodeIndex> order;
    for (NodeIndex i = 0; i < nodes_.size(); ++i) order.push_back(i);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random_.below(i)]);
    for (const NodeIndex candidate : order) {
      dead.push_back(candidate);
      if (!may_be_without(dead)) dead.pop_back();
    }
    for (const NodeIndex node : dead) nodes_[node]->die(Death::kKilled, std::nullopt);
    converge(false, "a bare majority");
    for (const NodeIndex node : dead) nodes_[node]->start();
  }
  converge(true, "the whole cluster");
  check_rows();
  if (plan_.changes_rows) change_rows();
}

// As long as nodes get on with catching up, they may take their time, up to a point.
void SimCluster::converge(bool all, const char* what) {
  const Time last = queue_.now() + 10 * plan_.heal_bound();
  Time end = queue_.now() + plan_.heal_bound();
  std::uint64_t progress = 0;
  workload_.probe();
  while (!has_converged(all)) {
    const Time step = queue_.now() + 10 * kTickTime;
    if (const std::uint64_t now = progress_of_all(); now > progress) {
      progress = now;
      end = std::min(last, queue_.now() + plan_.heal_bound());
    }
    if (step > end) {
      violated("healing", "{} does not converge within {} s: {}", what,
               plan_.heal_bound() / kSecond, why_not_converged(all));
    }
    queue_.after(10 * kTickTime, *this, kFaultKinds);  // so that time passes in any case
    run_until(step);
  }
  trace_.line("", "{} has converged", what);
}

std::uint64_t SimCluster::progress_of_all() const {
  std::uint64_t sum = 0;
  for (const auto& node : nodes_) {
    if (!node->is_running()) continue;
    sum += node->mark()->applied_index.value() + node->raft()->durable_index().value();
  }
  return sum;
}

bool SimCluster::has_converged(bool all) const {
  return why_not_converged(all).empty();
}

std::string SimCluster::why_not_converged(bool all) const {
  if (!workload_.is_quiet()) return "a client waits for an answer";
  const SimNode* leader = nullptr;
  for (const auto& node : nodes_) {
    if (!node->is_running() || node->raft()->role() != Role::kLeader) continue;
    if (leader == nullptr || node->raft()->term() > leader->raft()->term()) leader = node.get();
  }
  if (leader == nullptr) return "nobody leads";
  const Raft& raft = *leader->raft();
  if (raft.commit() != raft.last_index()) return "the leader has entries that are not committed";
  if (raft.membership().is_joint() && raft.membership().auto_leave) return "joint membership";
  for (const auto& node : nodes_) {
    if (!node->is_member_of(raft.membership()) || node->is_lost()) continue;
    if (!node->is_running()) {
      // One that was taken in, and was not told, asks until its token is too old.
      if (all && !node->waits_to_join()) return fmt::format("{} does not run", node->name());
      continue;
    }
    if (*node->mark() == *leader->mark()) continue;
    std::string text = fmt::format("{} has applied {}, {} leads and has applied {}", node->name(),
                                   node->mark()->applied_index.value(), leader->name(),
                                   leader->mark()->applied_index.value());
    for (const consensus::PeerStatus& peer : raft.peers()) {
      if (peer.id != node->id()) continue;
      static constexpr const char* kStates[] = {"probe", "replicate", "snapshot"};
      text += fmt::format(" (there: {}, match {}, next {}, {} in flight)",
                          kStates[static_cast<int>(peer.state)], peer.match.value(),
                          peer.next.value(), peer.messages_in_flight);
    }
    return text;
  }
  return {};
}

// The digests are those of the rows.
void SimCluster::check_rows() const {
  for (const auto& node : nodes_) {
    if (!node->is_running()) continue;
    if (const auto status = node->check_rows(); !status) {
      violated("digest", "{}: {}", node->name(), status.error().message);
    }
  }
}

}  // namespace bib::sim
