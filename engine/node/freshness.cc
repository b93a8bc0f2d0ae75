#include "engine/node/freshness.h"

#include <algorithm>
#include <vector>

#include "consensus/quorum.h"

namespace bib::engine {

using consensus::Role;
using wire::MessageKind;
using wire::PeerMessage;

namespace {

constexpr std::size_t kPeersMax = 1024;

}  // namespace

void Freshness::stamp(PeerMessage& message, std::uint64_t now_us,
                      const consensus::Raft& raft) const {
  const std::uint64_t now = clock(now_us);
  message.clock_us = now;
  if (const auto heard = heard_.find(message.to); heard != heard_.end()) {
    message.echo_us = heard->second;
  }
  if (message.kind != MessageKind::kHeartbeat || message.term != raft.term()) return;
  const auto confirmed = confirmed_at(now, raft);
  if (!confirmed) return;
  message.leader_commit = raft.commit();
  message.confirmed_age_us = now - *confirmed;
}

void Freshness::received(const PeerMessage& message, std::uint64_t now_us,
                         const consensus::Raft& raft) {
  // It is of another term: nothing that it says counts, nor may its clock come back as if it had.
  if (message.clock_us == 0 || message.term != raft.term()) return;
  if (heard_.size() < kPeersMax || heard_.contains(message.from)) {
    heard_[message.from] = message.clock_us;
  }
  const std::uint64_t now = clock(now_us);
  if (message.echo_us == 0 || message.echo_us > now) return;
  if (message.kind == MessageKind::kHeartbeatReply) {
    if (raft.role() != Role::kLeader) return;
    confirmed_[message.from] = message.echo_us;
    if (const auto confirmed = confirmed_at(now, raft)) state({raft.commit(), *confirmed}, raft);
    return;
  }
  const bool from_leader = raft.role() == Role::kFollower && raft.leader() == message.from;
  if (!from_leader || message.leader_commit == wire::LogIndex() ||
      message.confirmed_age_us >= message.echo_us) {
    return;
  }
  state({message.leader_commit, message.echo_us - message.confirmed_age_us}, raft);
}

void Freshness::state(const Statement& statement, const consensus::Raft& raft) {
  if (pending_) return;
  pending_ = statement;
  applied(raft.applied());
}

void Freshness::applied(wire::LogIndex index) {
  if (!pending_ || index < pending_->commit) return;
  as_of_us_ = std::max(as_of_us_, pending_->as_of_us);
  pending_.reset();
}

// Leader: when, at the latest, a majority (in both halves) is known to have followed it.
std::optional<std::uint64_t> Freshness::confirmed_at(std::uint64_t now,
                                                     const consensus::Raft& raft) const {
  if (!raft.has_committed_own_term()) return std::nullopt;
  const wire::Membership& membership = raft.membership();
  std::uint64_t confirmed = now;
  for (const auto* half : {&membership.voters, &membership.voters_outgoing}) {
    std::vector<std::uint64_t> values;
    for (const wire::NodeId id : *half) {
      const auto at = confirmed_.find(id);
      values.push_back(id == raft.self() ? now : at == confirmed_.end() ? 0 : at->second);
    }
    confirmed = std::min(confirmed, consensus::majority_value(values));
  }
  if (confirmed == 0) return std::nullopt;
  return confirmed;
}

std::optional<std::uint64_t> Freshness::age_us(std::uint64_t now_us, const consensus::Raft& raft,
                                               bool leader_is_current) const {
  const std::uint64_t now = clock(now_us);
  std::uint64_t as_of = as_of_us_;
  // One that applies less than it commits (its store is slow) is as old as what it has applied.
  const bool is_current = leader_is_current && raft.applied() >= raft.commit();
  if (raft.role() == Role::kLeader && is_current) {
    as_of = std::max(as_of, confirmed_at(now, raft).value_or(0));
  }
  if (as_of == 0 || as_of > now) return std::nullopt;
  return now - as_of;
}

}  // namespace bib::engine
