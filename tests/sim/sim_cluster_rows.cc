// One node's rows are changed while it is down. It must find out within a few heartbeats, answer no
// reads of rows and not lead; once its rows are rebuilt from the log it is a node like any other.
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "sim_cluster.h"

namespace bib::sim {

using consensus::Role;
using wire::ErrorCode;

namespace {

constexpr unsigned kFewHeartbeats = 6;
constexpr Time kLookEvery = kTickTime;

}  // namespace

// A voter whose rows come from its log alone, of a cluster whose voters are all there.
SimNode* SimCluster::node_to_change() const {
  std::vector<SimNode*> voters;
  const wire::Membership* membership = nullptr;
  for (const auto& node : nodes_) {
    if (node->is_running() && node->raft()->role() == Role::kLeader) {
      membership = &node->raft()->membership();
    }
  }
  if (membership == nullptr || membership->is_joint() || membership->voters.size() < 3) {
    return nullptr;
  }
  for (const auto& node : nodes_) {
    if (!membership->is_voter(node->id())) continue;
    if (!node->is_running() || node->is_lost() || !node->is_member_of(*membership)) return nullptr;
    voters.push_back(node.get());
  }
  return voters[queue_.now() % voters.size()];
}

// A leader is there, all voters are, and this one has applied what the leader has.
bool SimCluster::can_compare(const SimNode& node) const {
  const SimNode* leader = nullptr;
  for (const auto& one : nodes_) {
    if (!one->is_running() || one->raft()->role() != Role::kLeader) continue;
    if (leader == nullptr || one->raft()->term() > leader->raft()->term()) leader = one.get();
  }
  if (leader == nullptr || !node.is_running()) return false;
  if (node.raft()->leader() != leader->id()) return false;
  const wire::Membership& membership = leader->raft()->membership();
  return std::all_of(membership.voters.begin(), membership.voters.end(), [&](wire::NodeId id) {
    const SimNode& voter = *nodes_[index_of(id)];
    return voter.is_running() && voter.raft()->leader() == leader->id() &&
           voter.mark()->applied_index == leader->mark()->applied_index;
  });
}

void SimCluster::write_key(const std::string& key) {
  SimNode* leader = some_leader();
  if (leader == nullptr) return;
  const std::string value = fmt::format("written {} times", ++key_writes_);
  wire::Command command;
  command.client.bytes.fill(0xc1);
  command.sequence = wire::RequestSequence(key_writes_);
  command.acknowledged_below = command.sequence;
  command.body = wire::SetConfig{key, value};
  const wire::ByteView bytes = encoder_.encode(command);
  command.digest = wire::decode_command(bytes)->digest;
  command.body = {};
  oracle_.on_command(command);
  send(*leader, wire::FrameKind::kCommand, bytes);
}

// False: what was changed is written over already, with its digest.
bool SimCluster::await_difference(SimNode& node, bool digest_too) {
  const Time few = kFewHeartbeats * plan_.raft.heartbeat_ticks * kTickTime + kSecond;
  const Time end = queue_.now() + few + 2 * plan_.heal_bound();
  Time answers_wrongly = 0;
  for (unsigned looks = 0; !node.rows_differ(); ++looks) {
    const bool differs = oracle_.has_other_rows(node);
    if (!differs && digest_too && can_compare(node)) return false;
    // Without a change of its digest, the row must be written first.
    if (!differs && !digest_too && looks % 50 == 0) write_key(node.changed_key());
    if (differs && can_compare(node)) answers_wrongly += kLookEvery;
    if (answers_wrongly > few) {
      violated("rows", "{} has other rows than the others, and answers reads for {} ms",
               node.name(), answers_wrongly / kMillisecond);
    }
    if (queue_.now() > end) violated("rows", "the rows of {} are never compared", node.name());
    queue_.after(kLookEvery, *this, kFaultKinds);
    run_until(queue_.now() + kLookEvery);
  }
  trace_.line(node.name(), "has found that its rows differ, after {} ms",
              answers_wrongly / kMillisecond);
  return true;
}

void SimCluster::check_refusals(SimNode& node) {
  for (const auto consistency :
       {wire::Consistency::kStale, wire::Consistency::kLeader, wire::Consistency::kLinearizable}) {
    for (const bool is_page : {false, true}) {
      wire::Query query;
      query.table = wire::QueryTable::kConfig;
      query.consistency = consistency;
      if (!is_page) query.key = node.changed_key();
      workload_.watch(requests_ + 1);
      send(node, wire::FrameKind::kQuery, encoder_.encode(query));
      const Time end = queue_.now() + kSecond;
      while (!workload_.watched_answer() && queue_.now() < end) {
        queue_.after(kTickTime, *this, kFaultKinds);
        run_until(queue_.now() + kTickTime);
      }
      const auto answer = workload_.watched_answer();
      if (answer == ErrorCode::kNotLeader || answer == ErrorCode::kNoQuorum) continue;
      violated("rows", "{} knows that its rows differ, and answers a read", node.name());
    }
  }
  const Time end = queue_.now() + 2 * kSecond;
  while (node.raft()->role() == Role::kLeader) {
    if (queue_.now() > end) violated("rows", "{} goes on leading", node.name());
    queue_.after(kTickTime, *this, kFaultKinds);
    run_until(queue_.now() + kTickTime);
  }
}

void SimCluster::change_rows() {
  SimNode* node = node_to_change();
  if (node == nullptr) return;
  trace_.line(node->name(), "one of its rows is changed");
  oracle_.on_rows_changed(*node);
  node->die(Death::kKilled, std::nullopt);
  const bool digest_too = random_.below(2) == 0;
  node->change_row_at_start(digest_too);
  node->start();
  const bool is_changed = !node->changed_key().empty();
  if (is_changed && await_difference(*node, digest_too)) check_refusals(*node);
  node->die(Death::kKilled, std::nullopt);
  node->lose_rows_at_start();
  oracle_.on_rows_rebuilt();
  node->start();
  converge(true, "the cluster with the rows that were rebuilt");
  if (node->rows_differ()) violated("rows", "{} has the log's rows again", node->name());
  check_rows();
}

}  // namespace bib::sim
