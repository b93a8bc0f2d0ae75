#include "engine/node/membership_changes.h"

#include <algorithm>
#include <utility>

#include "engine/node/member_plan.h"
#include "wire/base/mutant.h"

namespace bib::engine {

using consensus::MembershipChange;
using consensus::Role;
using wire::Error;
using wire::ErrorCode;
using wire::FrameKind;
using wire::NodeId;

MembershipChanges::MembershipChanges(MembershipChangesOptions options, const Turns& turns,
                                     const PeerPort& peers, RaftDriver& driver, ClientPort& clients,
                                     Commands& commands, Logger& logger)
    : options_(options),
      turns_(turns),
      peers_(peers),
      driver_(driver),
      clients_(clients),
      commands_(commands),
      logger_(logger) {}

std::vector<NodeId> MembershipChanges::healthy() const {
  std::vector<NodeId> ids{driver_.raft().self()};
  for (const consensus::PeerStatus& peer : driver_.raft().peers()) {
    if (peer.recently_active && peers_.is_connected(peer.id)) ids.push_back(peer.id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

bool MembershipChanges::is_healthy(NodeId id) const {
  const std::vector<NodeId> ids = healthy();
  return std::binary_search(ids.begin(), ids.end(), id);
}

bool MembershipChanges::step() {
  acted_ = false;
  std::erase_if(changes_, [this](Change& change) { return settle(change); });
  std::erase_if(transfers_, [this](Transfer& transfer) { return settle(transfer); });
  return std::exchange(acted_, false);
}

void MembershipChanges::on_leadership_lost() {
  // What was committed with this leadership's last act is done; the rest asks the next leader,
  // where it finds what was done. A hand-over waits for the next leader's name.
  for (Change& change : changes_) {
    if (!change.proposed || !settle(change)) commands_.answer_not_leader(change.asker);
  }
  changes_.clear();
}

// ---- members

void MembershipChanges::on_change_membership(Asker asker, const wire::ChangeMembership& request) {
  if (driver_.raft().role() != Role::kLeader) return commands_.answer_not_leader(asker);
  if (changes_.size() >= options_.waiting_max) {
    return clients_.refuse(
        asker,
        {ErrorCode::kOverloaded, "too many membership changes are waiting; try again in a moment"});
  }
  Change change;
  change.asker = asker;
  change.explicit_leave = request.explicit_leave;
  change.force = request.force;
  change.deadline_ms = turns_.now_ms() + options_.answer_ms;
  for (const wire::MemberChange& one : request.changes) {
    change.changes.push_back(
        {one.kind, one.id, std::string(one.raft_address), std::string(one.api_address)});
  }
  if (!settle(change)) changes_.push_back(std::move(change));
}

// True: answered.
bool MembershipChanges::settle(Change& change) {
  const Outcome outcome = evaluate(change);
  if (const auto* error = std::get_if<Error>(&outcome)) {
    clients_.refuse(change.asker, *error);
    return true;
  }
  const auto* waits = std::get_if<WaitsFor>(&outcome);
  if (waits != nullptr && turns_.now_ms() < change.deadline_ms) return false;
  wire::ChangeMembershipReply reply;
  reply.done = waits == nullptr;
  reply.unchanged = waits == nullptr && std::get<Done>(outcome).unchanged;
  reply.index = driver_.raft().membership_index();
  reply.joint = driver_.raft().membership().is_joint();
  if (waits != nullptr) reply.waits_for = waits->what;
  clients_.answer(change.asker, FrameKind::kChangeMembershipReply, encoder_.encode(reply));
  return true;
}

MembershipChanges::Outcome MembershipChanges::evaluate(Change& change) {
  if (change.changes.empty()) return leave_joint(change);
  std::vector<wire::MemberChange> wanted;
  for (const OwnedChange& one : change.changes) {
    wanted.push_back({one.kind, one.id, one.raft_address, one.api_address});
  }
  const auto plan = plan_member_changes(driver_.raft().membership(), wanted);
  if (!plan) return plan.error();
  if (plan->empty()) return finish(change);
  return propose(change, *plan);
}

// Nothing is left to ask for: committed, and out of the joint phase? Where this try has changed
// nothing, a quorum says that this node still leads: another leader may have changed it back.
MembershipChanges::Outcome MembershipChanges::finish(Change& change) {
  const consensus::Raft& raft = driver_.raft();
  if (raft.membership_index() > raft.commit() && !BIB_MUTANT(kChangeAnsweredEarly)) {
    return WaitsFor{waits_for_commit()};
  }
  if (raft.membership().is_joint() && raft.membership().auto_leave) {
    return WaitsFor{"the joint phase to be left"};
  }
  if (change.proposed || change.confirmed) return Done{!change.proposed};
  if (!raft.has_committed_own_term()) return WaitsFor{"the new leader's first entry"};
  if (change.read_token == 0) {
    change.read_token = driver_.request_read(ReadAsker::kMembershipChanges);
    acted_ = true;
  }
  return WaitsFor{"a quorum to confirm that this node leads"};
}

void MembershipChanges::on_read_ready(std::uint64_t token) {
  for (Change& change : changes_) {
    if (change.read_token == token) change.confirmed = true;
  }
}

void MembershipChanges::on_read_refused(std::uint64_t token, consensus::ReadRefusal reason) {
  std::erase_if(changes_, [&](const Change& change) {
    if (change.read_token != token) return false;
    if (reason == consensus::ReadRefusal::kOverloaded) {
      clients_.refuse(change.asker, {ErrorCode::kOverloaded,
                                     "too many reads are waiting; try again in a moment"});
    } else {
      commands_.answer_not_leader(change.asker);
    }
    return true;
  });
}

std::optional<MembershipChanges::Outcome> MembershipChanges::not_now() const {
  const consensus::Raft& raft = driver_.raft();
  if (!raft.has_committed_own_term()) return WaitsFor{"the new leader's first entry"};
  if (raft.is_transferring()) return WaitsFor{"the leadership to be handed over"};
  if (raft.membership_index() > raft.commit()) return WaitsFor{waits_for_commit()};
  return std::nullopt;
}

MembershipChanges::Outcome MembershipChanges::leave_joint(Change& change) {
  if (!driver_.raft().membership().is_joint()) return finish(change);
  if (auto later = not_now()) return *later;
  commands_.propose_open_batch();
  if (const auto status = driver_.change_membership({}); !status) return status.error();
  logger_.info("members", "the joint phase is left as was asked");
  change.proposed = true;
  acted_ = true;
  return WaitsFor{waits_for_commit()};
}

MembershipChanges::Outcome MembershipChanges::propose(Change& change,
                                                      const std::vector<MembershipChange>& plan) {
  const consensus::Raft& raft = driver_.raft();
  if (auto later = not_now()) return *later;
  if (raft.membership().is_joint()) {
    if (raft.membership().auto_leave) return WaitsFor{"another membership change to complete"};
    return Error{ErrorCode::kRefused,
                 "the cluster stays in the joint phase of an earlier change until it is told to "
                 "leave it: `bib cluster member leave-joint`"};
  }
  const auto leave =
      change.explicit_leave ? consensus::JointLeave::kExplicit : consensus::JointLeave::kAutomatic;
  const auto next = raft.prepare_membership_change(plan, leave);
  if (!next) return next.error();
  if (!change.force) {
    if (const auto safe = consensus::check_healthy_quorum(*next, healthy()); !safe) {
      for (const consensus::PeerStatus& peer : raft.peers()) {
        if (peer.unknown && next->is_voter(peer.id)) return WaitsFor{not_heard_yet(peer.id)};
      }
      return safe.error();
    }
    if (auto behind = learner_behind(plan)) return WaitsFor{std::move(*behind)};
  }
  commands_.propose_open_batch();
  if (const auto status = driver_.change_membership(plan, leave); !status) return status.error();
  logger_.info("members", "a change of {} member{} was asked for{}", plan.size(),
               plan.size() == 1 ? "" : "s", change.force ? ", by force" : "");
  change.proposed = true;
  acted_ = true;
  return WaitsFor{waits_for_commit()};
}

// A new leader cannot know yet who is there.
std::string MembershipChanges::not_heard_yet(NodeId id) {
  return fmt::format("{} to be heard by the new leader", to_string(id));
}

// A voter that has to catch up first would keep everybody waiting.
std::optional<std::string> MembershipChanges::learner_behind(
    const std::vector<MembershipChange>& plan) const {
  const consensus::Raft& raft = driver_.raft();
  for (const MembershipChange& change : plan) {
    if (change.kind != consensus::ChangeKind::kAddVoter) continue;
    if (raft.learner_is_caught_up(change.member.id)) continue;
    for (const consensus::PeerStatus& peer : raft.peers()) {
      if (peer.id != change.member.id) continue;
      return fmt::format("{} to catch up: it is {} entries behind", to_string(peer.id),
                         raft.last_index() - peer.match);
    }
    return fmt::format("{} to be heard", to_string(change.member.id));
  }
  return std::nullopt;
}

std::string MembershipChanges::waits_for_commit() const {
  const consensus::Raft& raft = driver_.raft();
  const std::vector<NodeId> ids = healthy();
  std::string text = fmt::format("entry {} to be committed: {}", raft.membership_index().value(),
                                 to_text(consensus::health_of(raft.membership().voters, ids)));
  if (raft.membership().is_joint()) {
    text += fmt::format("; before the change, {}",
                        to_text(consensus::health_of(raft.membership().voters_outgoing, ids)));
  }
  return text;
}

// ---- leadership

void MembershipChanges::on_transfer(Asker asker, const wire::TransferLeadership& request) {
  if (driver_.raft().role() != Role::kLeader) return commands_.answer_not_leader(asker);
  if (transfers_.size() >= options_.waiting_max) {
    return clients_.refuse(
        asker, {ErrorCode::kOverloaded, "too many hand-overs are waiting; try again in a moment"});
  }
  Transfer transfer{asker, request, {}, turns_.now_ms() + options_.answer_ms};
  if (!settle(transfer)) transfers_.push_back(transfer);
}

bool MembershipChanges::settle(Transfer& transfer) {
  const Outcome outcome = evaluate(transfer);
  if (const auto* error = std::get_if<Error>(&outcome)) {
    clients_.refuse(transfer.asker, *error);
    return true;
  }
  const auto* waits = std::get_if<WaitsFor>(&outcome);
  if (waits != nullptr && turns_.now_ms() < transfer.deadline_ms) return false;
  wire::TransferReply reply;
  reply.done = waits == nullptr;
  reply.leader = driver_.raft().leader();
  reply.term = driver_.raft().term();
  reply.target = transfer.target;
  if (waits != nullptr) reply.waits_for = waits->what;
  clients_.answer(transfer.asker, FrameKind::kTransferReply, encoder_.encode(reply));
  return true;
}

MembershipChanges::Outcome MembershipChanges::evaluate(Transfer& transfer) {
  const consensus::Raft& raft = driver_.raft();
  const NodeId wanted = transfer.request.target;
  if (raft.role() != Role::kLeader) {
    if (raft.leader() == NodeId()) return WaitsFor{"the next leader's election"};
    if (wanted == NodeId() || wanted == raft.leader()) return Done{};
    return Error{ErrorCode::kRefused,
                 fmt::format("{} was elected in term {}, before {} could be; ask again",
                             to_string(raft.leader()), raft.term().value(), to_string(wanted))};
  }
  if (wanted == raft.self()) return Done{true};
  const NodeId asked = transfer.request.from;
  if (wanted == NodeId() && asked != NodeId() && asked != raft.self()) return Done{};
  if (raft.is_transferring()) {
    if (wanted == NodeId() || wanted == raft.transferee()) transfer.target = raft.transferee();
    return WaitsFor{fmt::format("{} to take over the leadership", to_string(raft.transferee()))};
  }
  if (transfer.target != NodeId()) {
    return Error{ErrorCode::kRefused,
                 fmt::format("{} did not take over within an election timeout; {} still leads. See "
                             "`bib cluster status` for how far behind it is",
                             to_string(transfer.target), to_string(raft.self()))};
  }
  return start(transfer);
}

MembershipChanges::Outcome MembershipChanges::start(Transfer& transfer) {
  const NodeId wanted = transfer.request.target;
  const wire::Membership& membership = driver_.raft().membership();
  if (wanted != NodeId()) {
    if (membership.find(wanted) == nullptr) {
      return Error{ErrorCode::kNotFound, fmt::format("{} is not a member; see `bib cluster member "
                                                     "list`",
                                                     to_string(wanted))};
    }
    if (!membership.is_voter(wanted)) {
      return Error{ErrorCode::kRefused,
                   fmt::format("{} is a non-voter and cannot lead; first `bib cluster member "
                               "promote {}`",
                               to_string(wanted), to_string(wanted))};
    }
    if (!is_healthy(wanted)) {
      for (const consensus::PeerStatus& peer : driver_.raft().peers()) {
        if (peer.unknown && peer.id == wanted) return WaitsFor{not_heard_yet(wanted)};
      }
      return Error{ErrorCode::kRefused,
                   fmt::format("{} is not healthy and could not take over", to_string(wanted))};
    }
  }
  commands_.propose_open_batch();
  const auto target =
      driver_.transfer_leadership(wanted == NodeId() ? std::nullopt : std::optional(wanted));
  if (!target) return target.error();
  logger_.info("members", "handing the leadership to {}, as was asked", to_string(*target));
  transfer.target = *target;
  acted_ = true;
  return WaitsFor{fmt::format("{} to take over the leadership", to_string(*target))};
}

}  // namespace bib::engine
