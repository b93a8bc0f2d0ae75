// Which dropped messages a person hears of.
#include "engine/node/drop_news.h"

#include <catch2/catch.hpp>

#include "wire/peer/peer_message.h"

namespace bib::engine {
namespace {

using consensus::DropReason;
using wire::MessageKind;
using wire::NodeId;
using wire::Term;

consensus::Raft follower_of_three() {
  consensus::RaftConfig config;
  config.self = NodeId(1);
  consensus::Restored restored;
  wire::Membership membership;
  for (const std::uint64_t id : {1, 2, 3}) {
    membership.voters.push_back(NodeId(id));
    membership.members.push_back({NodeId(id), fmt::format("127.0.0.{}:1", id), {}, true});
  }
  restored.memberships.push_back({wire::LogIndex(), membership});
  restored.hard_state.term = Term(5);
  return {config, restored};
}

wire::PeerMessage message(MessageKind kind, std::uint64_t term) {
  wire::PeerMessage made;
  made.kind = kind;
  made.from = NodeId(2);
  made.to = NodeId(1);
  made.term = Term(term);
  return made;
}

}  // namespace

TEST_CASE("what networks and elections drop is no news, what no correct node sends is") {
  consensus::Raft raft = follower_of_three();
  DropNews news;
  raft.step(message(MessageKind::kHeartbeat, 4));
  raft.step(message(MessageKind::kVoteReply, 5));
  REQUIRE(raft.dropped(DropReason::kStaleTerm) == 1);
  REQUIRE(raft.dropped(DropReason::kUnexpected) == 1);
  CHECK_FALSE(news.look(raft));
  raft.step(message(MessageKind::kHeartbeat, 5));
  wire::PeerMessage second = message(MessageKind::kHeartbeat, 5);
  second.from = NodeId(3);  // two leaders in one term
  std::vector<std::uint64_t> told;
  for (int i = 0; i < 9; ++i) {
    raft.step(second);
    if (const auto one = news.look(raft)) told.push_back(one->count);
    CHECK_FALSE(news.look(raft));
  }
  CHECK(told == std::vector<std::uint64_t>{1, 2, 4, 8});
}

TEST_CASE("every reason for a drop was thought about") {
  std::size_t told = 0;
  for (std::size_t i = 0; i < consensus::kDropReasons; ++i) {
    told += trouble_of(static_cast<DropReason>(i)) ? 1 : 0;
  }
  CHECK(told == 4);
}

}  // namespace bib::engine
