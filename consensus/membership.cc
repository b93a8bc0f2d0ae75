// Membership (Raft dissertation §4): the latest one in the log is in effect, committed or not.
//
// Happy path: the leader proposes the next membership as an entry; it counts from then on, also
// for its own commit; a joint one that may leave by itself is followed by its second half as soon
// as it is committed. Nodes that were removed are sent the entry, and its commit, before the
// leader forgets them.
//
// Failure modes:
//   - the entry is truncated: the one before is in effect again;
//   - the leader is removed: it does not count itself, commits, hands over and steps down;
//   - two changes at once, or one before this leader's first commit: refused.

#include <algorithm>
#include <iterator>
#include <utility>

#include "consensus/raft.h"
#include "consensus/rules.h"
#include "wire/base/check.h"

namespace bib::consensus {

using wire::ErrorCode;
using wire::LogIndex;
using wire::Membership;
using wire::NodeId;

namespace {

const Membership kNobody;

}  // namespace

const Membership& Raft::membership() const {
  return memberships_.empty() ? kNobody : memberships_.back().membership;
}

LogIndex Raft::membership_index() const {
  return memberships_.empty() ? LogIndex() : memberships_.back().index;
}

const Membership& Raft::membership_before_last() const {
  return memberships_.size() < 2 ? kNobody : memberships_[memberships_.size() - 2].membership;
}

const MembershipAt* Raft::membership_at(LogIndex index) const {
  if (index < log_.base().index) return nullptr;
  for (auto at = memberships_.rbegin(); at != memberships_.rend(); ++at) {
    if (at->index <= index) return &*at;
  }
  return nullptr;
}

// ---- proposing ----

std::optional<ProposeRefusal> Raft::membership_refusal() const {
  if (role_ != Role::kLeader) return ProposeRefusal::kNotLeader;
  if (is_transferring()) return ProposeRefusal::kTransferring;
  const bool may_propose = rules::may_propose_change(
      {.commit = commit_, .latest_change = membership_index(), .term_start = term_start_});
  if (!may_propose) return ProposeRefusal::kPending;
  return std::nullopt;
}

wire::Result<Membership> Raft::prepare_membership_change(std::span<const MembershipChange> changes,
                                                         JointLeave leave) const {
  if (const auto refusal = membership_refusal()) {
    switch (*refusal) {
      case ProposeRefusal::kNotLeader:
        return wire::fail(ErrorCode::kNotLeader, "this node does not lead; ask the leader");
      case ProposeRefusal::kTransferring:
        return wire::fail(ErrorCode::kRefused,
                          "leadership is being handed over; ask the next leader");
      default:
        return wire::fail(ErrorCode::kRefused,
                          "an earlier membership change, or the leader's first entry, is not "
                          "committed yet; try again in a moment");
    }
  }
  if (changes.empty()) return leave_joint(membership());
  return change_membership(membership(), changes, leave);
}

tl::expected<ProposedAt, ProposeRefusal> Raft::propose_membership(const Membership& next,
                                                                  std::uint32_t size) {
  if (const auto refusal = membership_refusal()) return tl::unexpected(*refusal);
  if (!is_safe_transition(membership(), next)) return tl::unexpected(ProposeRefusal::kUnsafe);
  const ProposedAt place = append_own(size);
  use_membership(place.index, next);
  return place;
}

bool Raft::learner_is_caught_up(NodeId learner) const {
  const Progress* peer = find_peer(learner);
  if (role_ != Role::kLeader || peer == nullptr) return false;
  return rules::may_be_promoted(
      {.is_learner = membership().is_learner(learner),
       .is_replicating = peer->state == ProgressState::kReplicate,
       .is_in_reach = !peer->unreachable && rules::is_active(*peer, config_.election_ticks_min),
       .has_nearly_all =
           peer->match >= log_.base().index &&
           log_.bytes_in(peer->match, log_.last_index()) <= config_.append_bytes_max});
}

// Leaving a joint membership is the leader's to propose, also a later leader's.
void Raft::ask_to_leave_joint() {
  if (leave_joint_was_asked_ || membership_refusal() || !membership().is_joint() ||
      !membership().auto_leave) {
    return;
  }
  auto next = leave_joint(membership());
  BIB_CHECK(next.has_value());
  effects_.wants_membership_entry = *std::move(next);
  leave_joint_was_asked_ = true;
}

// ---- taking effect ----

void Raft::use_membership(LogIndex index, const Membership& membership) {
  BIB_CHECK(memberships_.empty() || index > memberships_.back().index);
  memberships_.push_back({index, membership});
  membership_changed();
}

void Raft::membership_changed() {
  effects_.membership = MembershipAt{membership_index(), membership()};
  if (role_ != Role::kLeader) return;
  leave_joint_was_asked_ = false;
  effects_.wants_membership_entry.reset();
  rebuild_peers();
  flush_is_wanted_ = true;
}

// One Progress for each other member. Those that are no longer members stay as departing, until the
// change is committed.
void Raft::rebuild_peers() {
  const std::vector<NodeId> ids = all_ids(membership());
  for (Progress& peer : peers_) {
    peer.departing = !std::binary_search(ids.begin(), ids.end(), peer.id);
  }
  for (NodeId id : ids) {
    if (id == config_.self || find_peer(id) != nullptr) continue;
    Progress fresh;
    fresh.id = id;
    fresh.next = log_.last_index() + 1;
    auto place = std::find_if(peers_.begin(), peers_.end(),
                              [&](const Progress& peer) { return id < peer.id; });
    peers_.insert(place, std::move(fresh));
  }
  if (is_transferring() && !membership().is_voter(transfer_.target)) {
    end_transfer(TransferOutcome::kTargetGone);
  }
}

// ---- committed ----

void Raft::membership_committed(LogIndex before) {
  std::size_t committed = memberships_.size();
  while (committed > 0 && memberships_[committed - 1].index > commit_) --committed;
  if (committed == 0 || memberships_[committed - 1].index <= before) return;
  const MembershipAt& latest = memberships_[committed - 1];
  effects_.committed_membership = latest;
  // Who was named by the last committed one, or since, and is named no more.
  std::vector<NodeId> gone;
  for (std::size_t i = committed - 1; i-- > 0;) {
    const std::vector<NodeId> ids = all_ids(memberships_[i].membership);
    gone.insert(gone.end(), ids.begin(), ids.end());
    if (memberships_[i].index <= before) break;
  }
  std::sort(gone.begin(), gone.end());
  gone.erase(std::unique(gone.begin(), gone.end()), gone.end());
  std::erase_if(gone, [&](NodeId id) {
    if (id == config_.self) return true;
    for (std::size_t i = committed - 1; i < memberships_.size(); ++i) {
      const std::vector<NodeId> ids = all_ids(memberships_[i].membership);
      if (std::binary_search(ids.begin(), ids.end(), id)) return true;
    }
    return false;
  });
  effects_.drop_peers.insert(effects_.drop_peers.end(), gone.begin(), gone.end());
}

// The removed learn that they are, if they are in reach: otherwise they would go on asking for
// votes that no node grants.
void Raft::release_departed() {
  for (Progress& peer : peers_) {
    const bool can_be_told =
        peer.state != ProgressState::kSnapshot && peer.next > log_.base().index;
    if (peer.departing && can_be_told) send_append(peer);
  }
  std::erase_if(peers_, [](const Progress& peer) { return peer.departing; });
}

void Raft::resign_after_removal() {
  for (Progress& peer : peers_) {
    const bool can_be_told =
        peer.state != ProgressState::kSnapshot && peer.next > log_.base().index;
    if (can_be_told) send_append(peer);
  }
  if (Progress* successor = best_successor(); successor != nullptr) send_timeout_now(*successor);
  stop_leading_or_asking();
}

}  // namespace bib::consensus
