// Which members and disks the faults may take, and the changes of membership that are asked for.
#include <algorithm>
#include <utility>
#include <vector>

#include "consensus/rules.h"
#include "sim_cluster.h"

namespace bib::sim {

using consensus::ChangeKind;
using consensus::MembershipChange;
using consensus::Raft;
using wire::NodeId;
namespace rules = consensus::rules;

// ---- what may not come back

bool SimCluster::keeps_majority(const wire::Membership& membership,
                                const std::vector<NodeIndex>& without) const {
  for (const std::vector<NodeId>* half : {&membership.voters, &membership.voters_outgoing}) {
    if (half->empty()) continue;
    const auto left = std::count_if(half->begin(), half->end(), [&](NodeId id) {
      const NodeIndex index = index_of(id);
      return !nodes_[index]->is_lost() && nodes_[index]->is_member_of(membership) &&
             std::find(without.begin(), without.end(), index) == without.end();
    });
    if (static_cast<std::size_t>(left) <= half->size() / 2) return false;
  }
  return true;
}

// Only when all others run: the membership of a node that is down is not known. And not without a
// learner that gets its vote by itself: the quorum would grow by one that is gone. The membership
// in effect may be lost with those that have its entry, and then the one before it counts again.
bool SimCluster::may_be_without(const std::vector<NodeIndex>& without) const {
  for (const NodeIndex node : without) {
    if (may_be_promoted(id_of(node))) return false;
  }
  return can_elect_without(without) &&
         std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
           if (node->is_lost() || node->is_wiped() || node->waits_to_join()) return true;
           if (!node->is_running()) return false;
           const Raft& raft = *node->raft();
           const consensus::MembershipAt* committed = raft.committed_membership();
           return keeps_majority(raft.membership(), without) &&
                  (committed == nullptr || keeps_majority(committed->membership, without));
         });
}

// Somebody who runs, may campaign and has a majority for its log. Of a change that is not committed
// it takes more than a majority: a node whose log is the newest may be no voter by it, and refuses
// its vote to those by whose logs it is one (dissertation §4.2.2 has the like for removed servers).
bool SimCluster::can_elect_without(const std::vector<NodeIndex>& without) const {
  const auto is_there = [&](NodeId id, const wire::Membership& membership) {
    const SimNode& node = *nodes_[index_of(id)];
    return node.is_running() && !node.is_lost() && node.is_member_of(membership) &&
           std::find(without.begin(), without.end(), node.index()) == without.end();
  };
  return std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
    if (!node->is_running()) return false;
    const wire::Membership& membership = node->raft()->membership();
    if (!membership.is_voter(node->id()) || !is_there(node->id(), membership)) return false;
    const wire::LogPosition last = node->raft()->log().last();
    for (const std::vector<NodeId>* half : {&membership.voters, &membership.voters_outgoing}) {
      const auto votes = std::count_if(half->begin(), half->end(), [&](NodeId id) {
        return is_there(id, membership) &&
               rules::is_up_to_date(wire::MessageKind::kVote, last,
                                    nodes_[index_of(id)]->raft()->log().last());
      });
      if (!half->empty() && static_cast<std::size_t>(votes) <= half->size() / 2) return false;
    }
    return true;
  });
}

bool SimCluster::may_be_promoted(NodeId id) const {
  return std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
    if (!node->is_running()) return false;
    const wire::Membership& membership = node->raft()->membership();
    const wire::Member* member = membership.find(id);
    return member != nullptr && member->wants_vote && !membership.is_voter(id);
  });
}

void SimCluster::note_loss() {
  last_loss_ = queue_.now();
  for (const auto& node : nodes_) {
    if (node->is_running()) term_of_loss_ = std::max(term_of_loss_, node->raft()->term());
  }
}

void SimCluster::rot_some_disk() {
  SimNode* node = some_running();
  if (!may_lose_a_disk() || !may_be_without({node->index()})) return;
  note_loss();
  stop_node(*node, random_.below(2) == 0 ? Death::kKilled : Death::kPower);
  (void)node->rot();
}

void SimCluster::damage_some_snapshot() {
  if (SimNode* leader = some_leader()) leader->damage_snapshot();
}

// It goes on until it finds out.
void SimCluster::damage_some_rows() {
  SimNode* node = some_running();
  if (!may_lose_a_disk() || !may_be_without({node->index()})) return;
  if (node->damage_rows()) note_loss();
}

void SimCluster::wipe_some_disk() {
  SimNode* node = some_running();
  if (node->is_wiped() || !may_lose_a_disk() || !may_be_without({node->index()})) return;
  note_loss();
  node->die(Death::kPower, std::nullopt);
  node->wipe();
  node->start_later(random_.between(5 * kMillisecond, 2 * kSecond));
}

// ---- membership

// A node that has lost its disk is removed, and joins again, more often than chance has it.
NodeIndex SimCluster::node_to_change(const wire::Membership& membership) {
  const auto any = static_cast<NodeIndex>(random_.below(nodes_.size()));
  if (plan_.faults.wipe == 0 || random_.below(2) == 0) return any;
  for (const auto& node : nodes_) {
    const bool is_named = membership.find(node->id()) != nullptr;
    if (node->is_wiped() || (is_named && !node->is_member_of(membership))) return node->index();
  }
  return any;
}

std::vector<MembershipChange> SimCluster::random_changes(const wire::Membership& membership) {
  std::vector<MembershipChange> changes;
  if (membership.is_joint()) return changes;  // leave
  const std::uint64_t count = 1 + random_.below(random_.below(3) == 0 ? 3 : 1);
  for (std::uint64_t i = 0; i < count; ++i) {
    const NodeIndex index = node_to_change(membership);
    if (nodes_[index]->waits_to_join()) continue;
    MembershipChange change;
    change.member = member(index);
    change.member.wants_vote = random_.below(4) != 0;
    const wire::Member* line = membership.find(id_of(index));
    const bool is_member = line != nullptr;
    // The one who asks for a change of a member does not know its log and may not replace it.
    if (is_member) change.member.log_id = line->log_id;
    if (nodes_[index]->is_lost() || (is_member && !nodes_[index]->is_member_of(membership))) {
      change.kind = ChangeKind::kRemove;
    } else if (!is_member) {
      change.kind = random_.below(3) == 0 ? ChangeKind::kAddVoter : ChangeKind::kAddLearner;
    } else {
      switch (random_.below(5)) {
        case 0:
          change.kind = ChangeKind::kAddLearner;
          break;
        case 1:
          change.kind = ChangeKind::kAddVoter;
          break;
        case 2:
          change.kind = ChangeKind::kUpdate;
          break;
        default:
          change.kind = ChangeKind::kRemove;
          break;
      }
    }
    changes.push_back(std::move(change));
  }
  return changes;
}

// A change that was asked for may be made a second later: meanwhile no disk is taken, since whoever
// counts on it may not have noticed yet.
bool SimCluster::may_lose_a_disk() const {
  return last_change_ == 0 || queue_.now() > last_change_ + 3 * kSecond;
}

void SimCluster::send(SimNode& node, wire::FrameKind kind, wire::ByteView body) {
  constexpr std::uint64_t kPersonsSession = 4000;  // no client's, feed's or sequence's
  const engine::Asker asker{static_cast<engine::SessionId>(kPersonsSession), ++requests_};
  node.on_request(asker, kind, {body.begin(), body.end()});
}

// As `bib cluster member` does.
void SimCluster::ask_for_change() {
  SimNode* leader = some_leader();
  // A leader takes a voter for healthy until it has missed its answers for up to two timeouts; one
  // that was elected since the loss knows better.
  const Time blind = 3 * kSecond + 2 * kTickTime * plan_.raft.election_ticks_min;
  const bool is_recent = last_loss_ != 0 && queue_.now() < last_loss_ + blind;
  if (leader == nullptr || (is_recent && leader->raft()->term() <= term_of_loss_)) return;
  const wire::Membership& membership = leader->raft()->membership();
  if (membership.members.empty()) return;
  wire::ChangeMembership request;
  request.explicit_leave = random_.below(4) == 0;
  const std::uint64_t count = 1 + random_.below(random_.below(3) == 0 ? 2 : 1);
  for (std::uint64_t i = 0; i < count && !membership.is_joint(); ++i) {
    const wire::Member& member = membership.members[random_.below(membership.members.size())];
    wire::MemberChange change;
    change.kind = static_cast<wire::MemberChangeKind>(random_.between(1, 4));
    change.id = member.id;
    if (change.kind == wire::MemberChangeKind::kAddVoter) oracle_.on_promotion_asked(member.id);
    request.changes.push_back(change);
  }
  const bool removes_all =
      std::all_of(membership.voters.begin(), membership.voters.end(), [&](NodeId id) {
        return std::any_of(request.changes.begin(), request.changes.end(), [&](const auto& one) {
          return one.id == id && one.kind != wire::MemberChangeKind::kAddVoter;
        });
      });
  if (removes_all && !request.changes.empty()) return;
  last_change_ = queue_.now();
  trace_.line("", "{} is asked for a change of {} members", leader->name(), request.changes.size());
  oracle_.on_change_requested(requests_ + 1);
  send(*leader, wire::FrameKind::kChangeMembership, encoder_.encode(request));
}

void SimCluster::change_membership() {
  SimNode* leader = some_leader();
  if (leader == nullptr) return;
  const Raft& raft = *leader->raft();
  const auto changes = random_changes(raft.membership());
  const auto next = leader->raft()->prepare_membership_change(changes);
  if (!next || !keeps_majority(*next, {})) return;
  const wire::Status status = leader->change_membership(changes);
  for (const MembershipChange& change : changes) {
    SimNode& node = *nodes_[index_of(change.member.id)];
    if (!status || !node.is_wiped() || !node.is_member_of(*next)) continue;
    trace_.line(node.name(), "joins again under its old id");
    node.rejoin();
  }
  trace_.line("", "a change of membership is asked for: {}",
              status ? "taken" : status.error().message);
}

}  // namespace bib::sim
