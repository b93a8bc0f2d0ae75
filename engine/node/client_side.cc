#include "engine/node/client_side.h"

#include <algorithm>
#include <utility>

#include "wire/base/version.h"

namespace bib::engine {

ClientSide::ClientSide(NodeParts& parts, const PeerSide& peers)
    : parts_(parts), peers_(peers), started_ms_(parts.world.turns.now_ms()) {}

wire::ServerHello ClientSide::hello() {
  const consensus::Raft& raft = parts_.driver->raft();
  const wire::Membership& membership = raft.membership();
  wire::ServerHello hello;
  hello.version = wire::version();
  hello.node = parts_.config.node_id;
  hello.cluster = parts_.cluster;
  hello.cluster_name = parts_.config.cluster_name;
  if (const wire::Member* leader = membership.find(raft.leader())) {
    hello.leader = leader->id;
    hello.leader_api_address = leader->api_address;
    hello.term = raft.term();
  }
  for (const wire::Member& member : membership.members) {
    hello.members.push_back(wire::MemberInfo{member.id, member.raft_address, member.api_address,
                                             membership.is_voter(member.id)});
  }
  return hello;
}

void ClientSide::on_read_events(Asker asker, const wire::ReadEvents& request) {
  parts_.queries->when_consistent(
      asker, request.consistency,
      [this, asker, own = request, prefix = std::string(request.stream_prefix)]() mutable {
        own.stream_prefix = prefix;
        parts_.feed->start(asker, own);
      });
}

// ---- snapshots

void ClientSide::on_snapshots(Asker asker, const wire::ListSnapshots& request) {
  if (!request.create) return list_snapshots(asker, false);
  const SnapshotPtr before = parts_.snapshots->store().newest();
  parts_.snapshots->make([this, asker, before](const wire::Result<SnapshotPtr>& made) {
    if (made) return list_snapshots(asker, *made != before);
    parts_.world.clients.refuse(asker, made.error());
  });
}

void ClientSide::list_snapshots(Asker asker, bool made) {
  wire::SnapshotsReply reply;
  reply.node = parts_.config.node_id;
  reply.first = parts_.driver->raft().log().first_index();
  reply.made = made;
  for (const SnapshotPtr& snapshot : parts_.snapshots->store().list()) {
    std::uint64_t rows = 0;
    for (const wire::SnapshotProjection& projection : snapshot->projections) {
      rows += projection.rows;
    }
    reply.snapshots.push_back({.index = snapshot->index,
                               .term = snapshot->term,
                               .created_us = snapshot->created_us,
                               .bytes = snapshot->bytes(),
                               .files = static_cast<std::uint32_t>(snapshot->files.size()),
                               .rows = rows,
                               .node = snapshot->node});
  }
  wire::ClientEncoder encoder;
  parts_.world.clients.answer(asker, wire::FrameKind::kSnapshotsReply, encoder.encode(reply));
}

// ---- status

std::string ClientSide::role_name() const {
  if (peers_.is_removed()) return "removed";
  const consensus::Raft& raft = parts_.driver->raft();
  switch (raft.role()) {
    case consensus::Role::kLeader:
      return "leader";
    case consensus::Role::kCandidate:
    case consensus::Role::kPreCandidate:
      return "candidate";
    case consensus::Role::kFollower:
      break;
  }
  return raft.membership().is_voter(raft.self()) ? "follower" : "learner";
}

std::uint64_t ClientSide::resident_bytes() {
  constexpr std::uint64_t kAgeMaxMs = 1000;
  const std::uint64_t now_ms = parts_.world.turns.now_ms();
  if (resident_at_ms_ == 0 || now_ms - resident_at_ms_ >= kAgeMaxMs) {
    resident_bytes_ = parts_.world.resident_bytes();
    resident_at_ms_ = now_ms;
  }
  return resident_bytes_;
}

// Names that stay the same for the life of the process.
void ClientSide::add_counters(wire::StatusReply& reply) const {
  parts_.world.peers.count(reply.counters);
  const consensus::Raft& raft = parts_.driver->raft();
#define BIB_DROP_REASON(enumerator, name) \
  reply.counters.push_back({"raft.dropped." name, raft.dropped(consensus::DropReason::enumerator)});
  BIB_DROP_REASONS(BIB_DROP_REASON)
#undef BIB_DROP_REASON
  reply.counters.push_back({"raft.dropped.entries", peers_.unreadable_entries()});
  reply.counters.push_back({"raft.pipelines_restarted", raft.pipelines_restarted()});
  reply.counters.push_back({"raft.dropped.after_read", parts_.driver->appends_dropped()});
  const DiskSpace& space = parts_.space;
  if (space.free() != UINT64_MAX) reply.counters.push_back({"disk.free_bytes", space.free()});
  reply.counters.push_back({"snapshot.fetches_failed", parts_.snapshots->fetches_failed()});
  reply.counters.push_back(
      {"snapshot.waits_to_fetch", parts_.snapshots->waits_to_fetch() ? 1U : 0U});
  reply.counters.push_back({"disk.is_nearly_full", space.is_short() ? 1U : 0U});
  reply.counters.push_back({"rows.compared_at", parts_.rows->compared_at().value()});
  reply.counters.push_back({"rows.differ", parts_.rows->differs() ? 1U : 0U});
  reply.counters.push_back({"api.overloaded.reads", parts_.queries->overloaded()});
  reply.counters.push_back({"api.overloaded.commands", parts_.commands->overloaded()});
  reply.counters.push_back({"api.overloaded.feeds", parts_.feed->overloaded()});
}

void ClientSide::add_members(wire::StatusReply& reply) const {
  const consensus::Raft& raft = parts_.driver->raft();
  const bool leads = raft.role() == consensus::Role::kLeader;
  const auto peers = raft.peers();
  const wire::Membership& membership = raft.membership();
  for (const wire::Member& member : membership.members) {
    wire::MemberStatus status;
    status.id = member.id;
    status.raft_address = member.raft_address;
    status.api_address = member.api_address;
    status.voter = membership.is_voter(member.id);
    status.leader = member.id == raft.leader();
    if (member.id == parts_.config.node_id) {
      status.known = true;
      status.healthy = true;
      status.match = raft.last_index();
    }
    for (const consensus::PeerStatus& peer : peers) {
      if (!leads || peer.id != member.id) continue;
      status.known = true;
      // Who answers, needs a snapshot, and cannot take one, does not get on.
      const bool is_stuck =
          peer.match < raft.log().base().index && parts_.snapshots->fails_to_fetch(peer.id);
      // One that has fallen silent is missed at once, as a client that waits in vain asks at once.
      status.healthy = peer.reachable && parts_.world.peers.is_connected(peer.id) && !is_stuck;
      status.match = peer.match;
      status.caught_up = raft.learner_is_caught_up(peer.id);
    }
    status.incoming =
        std::binary_search(membership.voters.begin(), membership.voters.end(), member.id);
    status.outgoing = std::binary_search(membership.voters_outgoing.begin(),
                                         membership.voters_outgoing.end(), member.id);
    status.wants_vote = member.wants_vote;
    status.report = parts_.conflicts->report_of(member.id);
    status.rows = parts_.rows->of(member.id);
    reply.members.push_back(status);
  }
}

void ClientSide::on_status(Asker asker) {
  const consensus::Raft& raft = parts_.driver->raft();
  const std::string role = role_name();
  wire::StatusReply reply;
  reply.cluster = parts_.cluster;
  reply.cluster_name = parts_.config.cluster_name;
  reply.node = parts_.config.node_id;
  reply.version = wire::version();
  reply.role = role;
  reply.leader = raft.leader();
  reply.term = raft.term();
  reply.commit = raft.commit();
  reply.applied = parts_.projector->applied_index();
  reply.last = raft.last_index();
  reply.first = raft.log().first_index();
  add_members(reply);
  reply.membership_index = raft.membership_index();
  reply.membership_committed = raft.membership_index() <= raft.commit();
  reply.joint = raft.membership().is_joint();
  reply.auto_leave = raft.membership().auto_leave;
  if (const auto age = parts_.driver->age_us()) {
    reply.age_us = *age;
    reply.age_known = true;
  }
  add_counters(reply);
  reply.projections = parts_.projector->status();
  reply.uptime_us = (parts_.world.turns.now_ms() - started_ms_) * 1000;
  reply.resident_bytes = resident_bytes();
  wire::ClientEncoder encoder;
  parts_.world.clients.answer(asker, wire::FrameKind::kStatusReply, encoder.encode(reply));
}

}  // namespace bib::engine
