// Membership: who votes and who only listens, as one log entry states it.
//
// Joint consensus (Raft dissertation §4.3): while `voters_outgoing` is not empty, every decision
// needs a majority of `voters` and a majority of `voters_outgoing`. A learner ("non-voter")
// receives the log and counts for nothing. Values only; the lists are sorted and without repeats.
#pragma once

#include <string>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::wire {

// Members in all; far above what one leader can serve.
inline constexpr std::size_t kMembersMax = 256;

// A member and its addresses. `wants_vote`: promote this learner once caught up. `log_id`: of
// the log with which it joined (log_format.h); a node that comes with another one has lost its
// disk.
struct Member {
  NodeId id;
  std::string raft_address;  // "host:port" for peers
  std::string api_address;   // "host:port" for clients
  bool wants_vote = true;
  std::uint64_t log_id = 0;  // 0: not known

  // Whether a node with this log can be the member; where the member's is not known, any can.
  bool can_have_log(std::uint64_t log) const { return log_id == 0 || log_id == log; }
  bool operator==(const Member&) const = default;
};

struct Membership {
  std::vector<NodeId> voters;
  std::vector<NodeId> voters_outgoing;  // non-empty: joint
  std::vector<NodeId> learners;
  std::vector<NodeId> learners_next;  // voters_outgoing that become learners on leaving joint
  bool auto_leave = false;            // the leader proposes leaving joint by itself
  std::vector<Member> members;        // one for each id above, sorted by id

  bool operator==(const Membership&) const = default;
  bool is_joint() const { return !voters_outgoing.empty(); }
  const Member* find(NodeId id) const;
  bool is_voter(NodeId id) const;    // in either half
  bool is_learner(NodeId id) const;  // in `learners`
};

// The FlatBuffers form (peer.fbs, table Membership), as a membership entry's body carries it.
std::vector<std::uint8_t> encode_membership(const Membership& membership);
// kCorrupt on bytes that do not verify, kInvalid on lists that are too long or unsorted, repeat an
// id, name a member that has no line, or leave no voter.
Result<Membership> decode_membership(ByteView bytes);

}  // namespace bib::wire
