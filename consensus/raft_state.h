// The parts of Raft's state, by subject: what raft.h's class keeps beside its log and membership.
//
// Plain values with their invariants; Raft owns them, and no other file than its own reads them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "consensus/effects.h"
#include "wire/base/ids.h"

namespace bib::consensus {

// When this node asks for votes.
struct ElectionTimer {
  unsigned elapsed = 0;  // ticks since this term's leader was heard, or a vote granted
  unsigned timeout = 0;
  unsigned suspicion_ticks = 0;  // until a pre-vote for suspicion; 0: none
  unsigned rounds = 0;           // campaigns since a leader was heard, or a vote given
  unsigned passed = 0;           // elections in a row in which this node might not campaign
  bool stands_back = false;
};

// The latest term that a voter has shown, of those that were not believed at its word alone.
struct FarTerm {
  wire::NodeId voter;
  wire::Term term;
};

struct Ballot {
  wire::NodeId voter;
  bool granted = false;
};

struct OutstandingWrite {
  std::uint64_t sequence = 0;
  wire::LogPosition end;   // as it was handed out
  wire::LogIndex durable;  // what its completion proves: `end`, less what was truncated since
};

// What is on the own disk, and on its way there. durable <= handed <= the log's last index; entries
// after `handed`, and what is pending here, go into the next write.
struct OwnDisk {
  wire::LogIndex durable;
  wire::LogIndex handed;
  std::deque<OutstandingWrite> outstanding;
  std::uint64_t next_sequence = 1;
  std::uint64_t durable_sequence = 0;
  std::uint64_t hard_sequence = 0;  // the last write that carried the hard state
  bool hard_state_is_pending = false;
  std::optional<wire::LogPosition> reset_to;
  std::optional<wire::LogIndex> truncate_from;
  bool is_stalled = false;
};

// A follower and its leader. proved: this log is the same as the log of this term's leader up to
// here, by what that leader has sent. Every leader has what is committed (Raft §5.4.3) as long as
// disks keep what they have synced; a follower acknowledges nothing on that ground.
struct FollowerState {
  wire::LogIndex proved;
  wire::LogIndex acked;     // the last position that was acknowledged to the leader
  bool ack_is_due = false;  // an append was accepted and not yet acknowledged in full
  // This term's leader contradicts what is committed here; since so many ticks.
  std::optional<CommittedConflict> conflict;
  unsigned conflict_ticks = 0;
};

// A transfer of the leadership.
struct Transfer {
  wire::NodeId target;  // none: no transfer is under way
  unsigned elapsed = 0;
  unsigned pause = 0;  // ticks until a stalled leader tries again to hand over
};

struct WaitingRead {
  std::uint64_t round = 0;  // confirmed by heartbeat replies of this round or a later one
  std::uint64_t token = 0;
  wire::NodeId from;
  wire::LogIndex index;
};

// Linearizable reads that wait for a quorum's heartbeat replies.
struct Reads {
  std::uint64_t round = 0;
  bool round_is_new = false;        // to be sent with the next flush
  std::deque<WaitingRead> waiting;  // rounds ascending
};

}  // namespace bib::consensus
