#include "engine/node/joins.h"

#include <array>
#include <utility>

#include "engine/node/member_plan.h"
#include "projections/rules/join_tokens.h"
#include "wire/base/mutant.h"
#include "wire/base/secret.h"
#include "wire/log/data_directory.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::fail;

Joins::Joins(std::string cluster_name, wire::ClusterId cluster, RaftDriver& driver,
             projections::Projector& projector, Commands& commands, Clock& clock, Logger& logger)
    : cluster_name_(std::move(cluster_name)),
      cluster_(cluster),
      driver_(driver),
      projector_(projector),
      commands_(commands),
      clock_(clock),
      logger_(logger) {}

void Joins::on_join_request(const wire::JoinRequest& request, Reply reply) {
  const consensus::Raft& raft = driver_.raft();
  if (raft.role() != consensus::Role::kLeader) {
    wire::JoinReply answer;
    const wire::Member* leader = raft.membership().find(raft.leader());
    const bool is_removed = raft.membership().find(raft.self()) == nullptr;
    if (leader == nullptr && is_removed && !raft.membership().voters.empty()) {
      // A node that was removed hears no leader any more, but knows whom it left.
      leader = raft.membership().find(raft.membership().voters.front());
    }
    answer.error = {leader == nullptr ? ErrorCode::kNoQuorum : ErrorCode::kNotLeader,
                    "this node does not lead the cluster"};
    if (leader != nullptr) answer.leader_address = leader->raft_address;
    return reply(answer);
  }
  if (!driver_.is_ready_to_decide()) {
    return refuse(reply, {ErrorCode::kNoQuorum, "the leader is not ready yet"});
  }
  if (const auto checked = check(request); !checked) return refuse(reply, checked.error());
  const wire::Member* known = raft.membership().find(request.node.id);
  if (known != nullptr && *known == request.node) {
    // Its first answer may have been lost; or the entry that names it is on its way still.
    const bool is_certain = raft.membership_index() <= raft.commit();
    if (is_certain || BIB_MUTANT(kWelcomesUncommitted)) return welcome(reply);
    // Who asks again does not wait for the earlier answer.
    std::erase_if(waiting_, [&](const Waiting& one) { return one.node == request.node.id; });
    waiting_.push_back(Waiting{raft.membership_index(), request.node.id, std::move(reply)});
    return;
  }
  commands_.propose_open_batch();
  const std::array<consensus::MembershipChange, 1> change{
      consensus::MembershipChange{consensus::ChangeKind::kAddLearner, request.node}};
  if (const auto changed = driver_.change_membership(change); !changed) {
    return refuse(reply, {ErrorCode::kNoQuorum, changed.error().message});
  }
  logger_.info("join", "{} at {} joins as a non-voter", to_string(request.node.id),
               request.node.raft_address);
  waiting_.push_back(Waiting{raft.membership_index(), request.node.id, std::move(reply)});
}

wire::Status Joins::check(const wire::JoinRequest& request) const {
  if (request.protocol != wire::kPeerProtocol) {
    return fail(ErrorCode::kUnsupported, "the cluster speaks peer protocol {}, not {}",
                wire::kPeerProtocol, request.protocol);
  }
  if (request.cluster_name != cluster_name_) {
    return fail(ErrorCode::kForbidden, "this is the cluster '{}', not '{}': use its own token",
                cluster_name_, request.cluster_name);
  }
  BIB_TRY_VOID(check_token(request.token));
  return check_member(request.node);
}

wire::Status Joins::check_token(const std::string& secret) const {
  const auto hash = wire::sha256(wire::as_bytes(secret));
  BIB_TRY(const auto expires_at_us,
          projections::find_join_token(projector_.applied_rows(), wire::ByteView(hash)));
  if (!expires_at_us && projector_.applied_index() < token_index_) {
    return fail(ErrorCode::kNoQuorum, "the cluster's first token is not committed yet");
  }
  if (!expires_at_us) {
    return fail(ErrorCode::kUnauthenticated,
                "the cluster does not know this token: make a new one with `bib cluster token "
                "create` on a member");
  }
  if (*expires_at_us <= clock_.now_us()) {
    return fail(ErrorCode::kUnauthenticated,
                "the token has expired: make a new one with `bib cluster token create` on a "
                "member");
  }
  return {};
}

wire::Status Joins::check_member(const wire::Member& node) const {
  if (node.id == wire::NodeId()) return fail(ErrorCode::kInvalid, "the node has no id");
  BIB_TRY_VOID(check_addresses(node));
  const wire::Membership& membership = driver_.raft().membership();
  const wire::Member* known = membership.find(node.id);
  const bool another_log = known != nullptr && known->log_id != 0 && known->log_id != node.log_id;
  if (known != nullptr && (another_log || !membership.is_learner(node.id))) {
    return fail(ErrorCode::kRefused,
                "node {} is a member already, with a log that this node does not have: its disk "
                "was lost or replaced. It must not come back under its old id, because it may have "
                "forgotten votes and entries. On a member: `bib cluster member remove {}`; on the "
                "node: {}",
                to_string(node.id), to_string(node.id), wire::kHowToRejoin);
  }
  if (const auto taken = find_taken_address(membership, node)) {
    return fail(ErrorCode::kRefused,
                "the address {} belongs to node {} already. If that node's disk was lost, on a "
                "member: `bib cluster member remove {}`; if not, give this one another address "
                "(`bib setup` with --listen)",
                taken->address, to_string(taken->owner), to_string(taken->owner));
  }
  if (known == nullptr && membership.members.size() >= wire::kMembersMax) {
    return fail(ErrorCode::kRefused,
                "the cluster has {} members, as many as there may be. To make room, on a member: "
                "`bib cluster member remove ID`",
                membership.members.size());
  }
  return {};
}

void Joins::answer_committed() {
  std::erase_if(waiting_, [this](const Waiting& waiting) {
    if (driver_.raft().commit() < waiting.index) return false;
    welcome(waiting.reply);
    return true;
  });
}

void Joins::on_leadership_lost() {
  for (const Waiting& waiting : waiting_) {
    refuse(waiting.reply, {ErrorCode::kNoQuorum, "the leader has changed"});
  }
  waiting_.clear();
}

void Joins::refuse(const Reply& reply, const wire::Error& error) const {
  wire::JoinReply answer;
  answer.error = error;
  reply(answer);
}

void Joins::welcome(const Reply& reply) const {
  wire::JoinReply answer;
  answer.cluster = cluster_;
  answer.membership = driver_.raft().membership();
  reply(answer);
}

}  // namespace bib::engine
