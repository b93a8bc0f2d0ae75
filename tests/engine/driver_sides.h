// The sides of a RaftDriver on which nothing happens, for tests of what happens on another one. A
// test derives from them and overrides what it looks at. And what its peers say.
#pragma once

#include <initializer_list>
#include <optional>

#include "engine/node/raft_driver.h"
#include "engine/ports/clock.h"
#include "log_model.h"

namespace bib::engine {

struct QuietPeers : PeerSender {
  void send(const wire::PeerMessage&) override {}
};

struct QuietApplier : Applier {
  wire::Status apply(const wire::Bytes&) override { return {}; }
  void on_role(const consensus::RoleChange&) override {}
  void on_membership(const wire::Membership&) override {}
  void on_read_ready(ReadAsker, std::uint64_t) override {}
  void on_read_refused(ReadAsker, std::uint64_t, consensus::ReadRefusal) override {}
};

struct QuietSnapshots : SnapshotKeeper {
  void send_snapshot(wire::NodeId, wire::LogIndex) override {}
  void receive_snapshot(wire::NodeId, wire::LogPosition) override {}
  void on_install_durable(wire::LogPosition) override {}
};

struct QuietClock : Clock {
  std::int64_t now_us() const override { return 1; }
  std::uint64_t monotonic_us() const override { return steady_us; }

  std::uint64_t steady_us = 1;
};

// These nodes, all voters; the log of node N has the id 100 + N.
inline wire::Membership voters(std::initializer_list<wire::NodeId> ids) {
  wire::Membership membership;
  for (const wire::NodeId id : ids) {
    membership.voters.push_back(id);
    membership.members.push_back({id, "a:1", "a:2", true, 100 + id.value()});
  }
  return membership;
}

// The entries from .. to of term 1, after entry from - 1 of the same, as that term's leader sends
// them.
inline wire::PeerMessage append_of(wire::NodeId leader, wire::NodeId to_node, std::uint64_t from,
                                   std::uint64_t to, std::uint64_t commit) {
  wire::PeerMessage message;
  message.kind = wire::MessageKind::kAppend;
  message.from = leader;
  message.to = to_node;
  message.term = wire::Term(1);
  message.log_index = wire::LogIndex(from - 1);
  message.log_term = wire::Term(from > 1 ? 1 : 0);
  message.commit = wire::LogIndex(commit);
  for (std::uint64_t index = from; index <= to; ++index) {
    wire::Bytes entry = make_entry(index, 1, 10);
    message.entries.push_back({wire::LogIndex(index), wire::Term(1),
                               static_cast<std::uint32_t>(entry.size()), std::nullopt});
    message.payload.push_back(std::move(entry));
  }
  return message;
}

// A peer's consent: the vote, the entries, the leadership.
inline std::optional<wire::PeerMessage> consent(const wire::PeerMessage& message) {
  using wire::MessageKind;
  wire::PeerMessage reply;
  reply.from = message.to;
  reply.to = message.from;
  reply.term = message.term;
  reply.context = message.context;
  if (message.kind == MessageKind::kPreVote) {
    reply.kind = MessageKind::kPreVoteReply;
  } else if (message.kind == MessageKind::kVote) {
    reply.kind = MessageKind::kVoteReply;
  } else if (message.kind == MessageKind::kHeartbeat) {
    reply.kind = MessageKind::kHeartbeatReply;
  } else if (message.kind == MessageKind::kAppend) {
    reply.kind = MessageKind::kAppendReply;
    reply.match = message.log_index + message.entries.size();
  } else {
    return std::nullopt;
  }
  return reply;
}

}  // namespace bib::engine
