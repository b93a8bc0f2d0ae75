// One Raft, told single inputs: its beginnings, and what it says when it is emptied.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "consensus/raft.h"

namespace bib::consensus::test {

wire::Membership of_voters(std::initializer_list<std::uint64_t> ids);
RaftConfig config_of(std::uint64_t self);
Restored fresh(std::initializer_list<std::uint64_t> voters);

// Takes and syncs until nothing is left; returns all messages.
std::vector<wire::PeerMessage> drain(Raft& raft);

// A message of node 2 to node 1 in term 3.
wire::PeerMessage from_leader(wire::MessageKind kind);

Raft leader_of_one();
// Until it leads that term, by the vote of node 2.
void elect(Raft& raft, wire::Term term = wire::Term(1));
// Leads term 1 by the vote of 2, which has its first entry; 3 has not answered.
Raft leader_of_two();
// A follower of node 2 in term 3 with entries 1..4 of terms 1, 1, 3, 3; 2 of them committed.
Raft follower();

}  // namespace bib::consensus::test
