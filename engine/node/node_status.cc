// Node's answers about itself: the greeting and the status.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

#include "engine/node/node.h"
#include "wire/base/version.h"

namespace bib::engine {
namespace {

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

wire::ServerHello Node::hello() {
  const wire::Membership& membership = driver_->raft().membership();
  wire::ServerHello hello;
  hello.version = wire::version();
  hello.node = config_.node_id;
  hello.cluster = cluster_;
  hello.cluster_name = config_.cluster_name;
  if (const wire::Member* leader = membership.find(driver_->raft().leader())) {
    hello.leader = leader->id;
    hello.leader_api_address = leader->api_address;
    hello.term = driver_->raft().term();
  }
  for (const wire::Member& member : membership.members) {
    hello.members.push_back(wire::MemberInfo{member.id, member.raft_address, member.api_address,
                                             membership.is_voter(member.id)});
  }
  return hello;
}

std::string Node::role_name() const {
  if (removed_) return "removed";
  switch (driver_->raft().role()) {
    case consensus::Role::kLeader:
      return "leader";
    case consensus::Role::kCandidate:
    case consensus::Role::kPreCandidate:
      return "candidate";
    case consensus::Role::kFollower:
      break;
  }
  return driver_->raft().membership().is_voter(config_.node_id) ? "follower" : "learner";
}

// Names that stand for the life of the process.
void Node::add_counters(wire::StatusReply& reply) const {
  static constexpr std::array<std::string_view, kPeerDrops> kPeerNames = {
      "peer.dropped.unreadable",    "peer.dropped.cluster",  "peer.dropped.sender",
      "peer.dropped.boot",          "peer.dropped.old_boot", "peer.dropped.addressee",
      "peer.dropped.not_connected", "peer.dropped.full"};
  for (std::size_t i = 0; i < kPeerDrops; ++i) {
    reply.counters.push_back({kPeerNames.at(i), network_->dropped(static_cast<PeerDrop>(i))});
  }
  static constexpr std::array<std::string_view, consensus::kDropReasons> kRaftNames = {
      "raft.dropped.misaddressed", "raft.dropped.malformed",    "raft.dropped.stale_term",
      "raft.dropped.unexpected",   "raft.dropped.unknown_peer", "raft.dropped.leader_alive",
      "raft.dropped.contradiction"};
  for (std::size_t i = 0; i < consensus::kDropReasons; ++i) {
    reply.counters.push_back(
        {kRaftNames.at(i), driver_->raft().dropped(static_cast<consensus::DropReason>(i))});
  }
  reply.counters.push_back({"raft.pipelines_restarted", driver_->raft().pipelines_restarted()});
  reply.counters.push_back({"raft.dropped.behind_read", driver_->appends_dropped()});
  reply.counters.push_back({"api.overloaded.reads", queries_->overloaded()});
  reply.counters.push_back({"api.overloaded.commands", commands_->overloaded()});
}

void Node::on_status(ClientServer::Asker asker) {
  const consensus::Raft& raft = driver_->raft();
  const bool leads = raft.role() == consensus::Role::kLeader;
  const std::string role = role_name();
  wire::StatusReply reply;
  reply.cluster = cluster_;
  reply.cluster_name = config_.cluster_name;
  reply.node = config_.node_id;
  reply.version = wire::version();
  reply.role = role;
  reply.leader = raft.leader();
  reply.term = raft.term();
  reply.commit = raft.commit();
  reply.applied = projector_->applied_index();
  reply.last = raft.last_index();
  reply.first = raft.log().first_index();
  const auto peers = raft.peers();
  const wire::Membership& membership = raft.membership();
  for (const wire::Member& member : raft.membership().members) {
    wire::MemberStatus status;
    status.id = member.id;
    status.raft_address = member.raft_address;
    status.api_address = member.api_address;
    status.voter = raft.membership().is_voter(member.id);
    status.leader = member.id == raft.leader();
    if (member.id == config_.node_id) {
      status.known = true;
      status.healthy = true;
      status.match = raft.last_index();
    }
    for (const consensus::PeerStatus& peer : peers) {
      if (!leads || peer.id != member.id) continue;
      status.known = true;
      status.healthy = peer.recently_active && network_->is_connected(peer.id);
      status.match = peer.match;
      status.caught_up = raft.learner_is_caught_up(peer.id);
    }
    status.incoming =
        std::binary_search(membership.voters.begin(), membership.voters.end(), member.id);
    status.outgoing = std::binary_search(membership.voters_outgoing.begin(),
                                         membership.voters_outgoing.end(), member.id);
    status.wants_vote = member.wants_vote;
    reply.members.push_back(status);
  }
  reply.membership_index = raft.membership_index();
  reply.membership_committed = raft.membership_index() <= raft.commit();
  reply.joint = membership.is_joint();
  reply.auto_leave = membership.auto_leave;
  if (const auto age = driver_->age_us()) {
    reply.age_us = *age;
    reply.age_known = true;
  }
  add_counters(reply);
  reply.projections = projector_->status();
  reply.uptime_us = (world_.loop.now_ms() - started_ms_) * 1000;
  reply.resident_bytes = resident_bytes();
  wire::ClientEncoder encoder;
  clients_->answer(asker, wire::FrameKind::kStatusReply, encoder.encode(reply));
}

}  // namespace bib::engine
