// What goes into Raft and comes back from it beside messages and effects: its configuration, what a
// node finds on its disk, what became of a proposal or a message, what is known of a peer.
//
// Plain values, without a loop or an owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "consensus/effects.h"
#include "consensus/log_view.h"
#include "consensus/progress.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::consensus {

struct RaftConfig {
  wire::NodeId self;
  // The id of the log that this node has; 0: not known. A membership that names `self` with another
  // one means an earlier disk of this node: this one gains no vote from it (may_campaign()).
  std::uint64_t own_log = 0;
  unsigned heartbeat_ticks = 1;
  // The election timeout is drawn from [min, 2 * min), each time again. Also how long a leader
  // lasts without a quorum, a pipeline without progress. Above heartbeat_ticks.
  unsigned election_ticks_min = 10;
  // A campaign without a result is repeated after [n, 2 * n) ticks, n twice as long each time, up
  // to the election timeout: short enough that a split vote after a crash costs little, and soon
  // longer than any round trip and any sync.
  unsigned election_retry_ticks = 5;
  // How long a transfer of the leadership may take, and proposals are refused; 0: the election
  // timeout.
  unsigned transfer_ticks_max = 0;
  // A peer to which nothing was sent for so long is told a new commit index by itself; 0: at once.
  unsigned commit_notify_ticks = 0;
  std::size_t append_entries_max = 1024;  // in one message; at least one entry always goes
  std::uint64_t append_bytes_max = 1U << 20;
  FlightLimits flight;                              // to each peer
  std::uint64_t uncommitted_bytes_max = 64U << 20;  // see bytes_under_way()
  std::size_t reads_waiting_max = 65536;
  std::uint64_t seed = 0;  // mixed with `self`: nodes may share one
};

// What a node finds on its disk at start; all of it is durable. Where a snapshot is newer than the
// log, or the log disagrees with it (another term at its index), the driver drops the log and
// begins after the snapshot: base = the snapshot's last entry, no entries. Its term may then be
// above that of the hard state, which was to be written next when the node crashed.
struct Restored {
  wire::HardState hard_state;
  wire::LogPosition base;  // the entry before the log's first; (0, 0): none
  // Runs of the log's entries; the first starts at base.index + 1.
  std::vector<wire::TermRun> terms;
  std::vector<std::uint32_t> sizes;  // one for each entry
  wire::LogIndex applied;            // from base.index to the log's end; all of it is committed
  wire::LogIndex committed;          // known to be, from applied to the log's end; 0: as applied
  // Ascending. The first one is that of the base (its index at most base.index), if there is one,
  // then each membership entry of the log. None at all: a node that was told nothing yet.
  std::vector<MembershipAt> memberships;

  wire::LogIndex known_committed() const {
    return committed == wire::LogIndex() ? applied : committed;
  }
};

// kCorrupt unless Raft may start from this: the outside of the constructor's assertions.
wire::Status check_restored(const RaftConfig& config, const Restored& restored);

using ProposedAt = wire::LogPosition;

enum class ProposeRefusal : std::uint8_t {
  kNotLeader,
  kOverloaded,    // uncommitted_bytes_max
  kTransferring,  // leadership is being handed over; ask again soon
  kPending,       // memberships only: the last change, or this leader's first entry, is uncommitted
  kUnsafe,        // memberships only: this one may not follow the one in effect
};

// What step() did with a kAppend's entries: entries[already_present .. already_present + appended)
// are new in the log, and the driver keeps their payload from now on (forgetting any other payload
// from the first of them on). The other entries' payload is not needed.
struct Accepted {
  std::size_t already_present = 0;
  std::size_t appended = 0;
};

// Why step() dropped a message, and the end of the name of the counter that people see.
//   kMisaddressed    not to this node, or from no one
//   kMalformed       a kind or fields that no correct peer sends
//   kStaleTerm       from a term that has passed
//   kUnexpected      not for this role, or an answer that is not awaited
//   kUnknownPeer     an answer from outside the membership
//   kLeaderAlive     a vote wanted while this node hears a leader
//   kTermJump        of a term too far ahead to be believed at one node's word
//   kContradiction   a second leader in one term, or against what is committed or proven
#define BIB_DROP_REASONS(R)        \
  R(kMisaddressed, "misaddressed") \
  R(kMalformed, "malformed")       \
  R(kStaleTerm, "stale_term")      \
  R(kUnexpected, "unexpected")     \
  R(kUnknownPeer, "unknown_peer")  \
  R(kLeaderAlive, "leader_alive")  \
  R(kTermJump, "term_jump")        \
  R(kContradiction, "contradiction")

enum class DropReason : std::uint8_t {
#define BIB_DROP_REASON(enumerator, name) enumerator,
  BIB_DROP_REASONS(BIB_DROP_REASON)
#undef BIB_DROP_REASON
};
#define BIB_DROP_REASON(enumerator, name) +1
inline constexpr std::size_t kDropReasons = BIB_DROP_REASONS(BIB_DROP_REASON);
#undef BIB_DROP_REASON

struct PeerStatus {
  wire::NodeId id;
  wire::LogIndex match;
  wire::LogIndex next;
  ProgressState state = ProgressState::kProbe;
  bool learner = false;
  bool departing = false;
  bool recently_active = false;  // it has answered this leader, within an election timeout
  bool unknown = false;          // it has not, nor has this node led for an election timeout
  bool reachable = false;  // and its connection has not closed, nor has it fallen silent, since
  unsigned ticks_since_heard = 0;
  std::size_t messages_in_flight = 0;
  std::uint64_t bytes_in_flight = 0;
};

}  // namespace bib::consensus
