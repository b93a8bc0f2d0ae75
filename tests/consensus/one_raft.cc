#include "one_raft.h"

#include <catch2/catch.hpp>
#include <utility>

namespace bib::consensus::test {

using wire::LogIndex;
using wire::Membership;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

Membership of_voters(std::initializer_list<std::uint64_t> ids) {
  Membership membership;
  for (std::uint64_t id : ids) {
    membership.voters.push_back(NodeId(id));
    membership.members.push_back({NodeId(id), "", "", true});
  }
  return membership;
}

RaftConfig config_of(std::uint64_t self) {
  RaftConfig config;
  config.self = NodeId(self);
  config.seed = 5;
  return config;
}

Restored fresh(std::initializer_list<std::uint64_t> voters) {
  Restored restored;
  restored.memberships.push_back({LogIndex(), of_voters(voters)});
  return restored;
}

std::vector<PeerMessage> drain(Raft& raft) {
  std::vector<PeerMessage> messages;
  while (raft.has_effects()) {
    Effects effects = raft.take_effects();
    for (auto& message : effects.send_now) messages.push_back(std::move(message));
    for (auto& message : effects.send_after_sync) messages.push_back(std::move(message));
    if (effects.commit) raft.applied(*effects.commit);
    if (effects.write) raft.durable(done(*effects.write));
  }
  return messages;
}

Raft leader_of_one() {
  Raft raft(config_of(1), fresh({1}));
  raft.tick();
  drain(raft);
  REQUIRE(raft.role() == Role::kLeader);
  return raft;
}

PeerMessage from_leader(MessageKind kind) {
  PeerMessage message;
  message.kind = kind;
  message.from = NodeId(2);
  message.to = NodeId(1);
  message.term = Term(3);
  return message;
}

void elect(Raft& raft, Term term) {
  for (int i = 0; i < 20 && raft.role() == Role::kFollower; ++i) raft.tick();
  drain(raft);
  PeerMessage yes = from_leader(MessageKind::kPreVoteReply);
  yes.term = term;
  raft.step(yes);
  drain(raft);
  yes.kind = MessageKind::kVoteReply;
  raft.step(yes);
  drain(raft);
  REQUIRE(raft.role() == Role::kLeader);
}

Raft leader_of_two() {
  Raft raft(config_of(1), fresh({1, 2, 3}));
  elect(raft);
  PeerMessage has = from_leader(MessageKind::kAppendReply);
  has.term = Term(1);
  has.match = LogIndex(1);
  raft.step(has);
  drain(raft);
  REQUIRE(raft.commit() == LogIndex(1));
  return raft;
}

Raft follower() {
  Raft raft(config_of(1), fresh({1, 2, 3}));
  PeerMessage append;
  append.kind = MessageKind::kAppend;
  append.from = NodeId(2);
  append.to = NodeId(1);
  append.term = Term(3);
  append.commit = LogIndex(2);
  for (std::uint64_t i = 1; i <= 4; ++i) {
    append.entries.push_back({LogIndex(i), Term(i <= 2 ? 1 : 3), 100, std::nullopt});
  }
  CHECK(raft.step(append).appended == 4);
  drain(raft);
  REQUIRE(raft.commit() == LogIndex(2));
  return raft;
}

}  // namespace bib::consensus::test
