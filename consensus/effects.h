// Effects: what the caller of Raft must do, as plain data.
//
// Raft::take_effects() hands one of these out per turn of the node loop; the driver owns it and
// works it off in this order:
//   1. build the entries that are asked for (noop_entries), so that their bytes are at hand;
//   2. send `send_now` (the leader's entries leave before its own disk has them, Raft dissertation
//      §10.2.1);
//   3. queue `write` for the log thread, strictly in append_sequence order;
//   4. everything else, in any order;
//   5. once `write` is durable: send `send_after_sync`, then call Raft::durable().
//
// What is not set has not changed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "consensus/log_view.h"
#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/peer/peer_message.h"

namespace bib::consensus {

enum class Role : std::uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

struct MembershipAt {
  wire::LogIndex index;  // of the entry that brought it
  wire::Membership membership;
};

// One turn's change to the durable log. To be done in the order of the fields, all or a prefix of
// it, and synced once. Several steps of one turn are merged: only the outcome is written.
// A write may be empty: a barrier, durable as soon as all earlier writes are.
struct LogWrite {
  std::uint64_t append_sequence = 0;  // 1, 2, 3, ...
  std::optional<wire::HardState> hard_state;
  std::optional<wire::LogPosition> reset_to;  // a snapshot was installed: an empty log after this
  std::optional<MembershipAt> reset_membership;  // with reset_to: the one in effect there
  std::optional<wire::LogIndex> truncate_from;
  wire::LogIndex first;  // append entries first .. last; none when last < first
  wire::LogIndex last;
  wire::LogPosition end;  // the log's last entry once this is done

  bool has_entries() const { return last >= first; }
};

// Reports that the write `append_sequence`, and with it every earlier one, is durable. `term` and
// `index` are the write's `end`.
struct AppendDone {
  std::uint64_t append_sequence = 0;
  wire::Term term;
  wire::LogIndex index;
};
inline AppendDone done(const LogWrite& write) {
  return {write.append_sequence, write.end.term, write.end.index};
}

struct RoleChange {
  Role role = Role::kFollower;
  wire::Term term;
  wire::NodeId leader;  // none: not known

  bool operator==(const RoleChange&) const = default;
};

// A read asked with this token is linearizable once everything up to `index` is applied here.
struct ReadReady {
  std::uint64_t token = 0;
  wire::LogIndex index;

  bool operator==(const ReadReady&) const = default;
};

enum class ReadRefusal : std::uint8_t {
  kNoLeader,    // none known, or lost while waiting
  kNotYet,      // a new leader that has committed nothing of its own term
  kOverloaded,  // too many reads are waiting
};

struct ReadRefused {
  std::uint64_t token = 0;
  ReadRefusal reason = ReadRefusal::kNoLeader;

  bool operator==(const ReadRefused&) const = default;
};

// Leader: `to` needs entries that the log no longer has. The driver takes a snapshot at
// `at_least` or above, calls Raft::offer_snapshot(), sends the bytes its own way, and ends with
// Raft::report_snapshot_sent().
struct SendSnapshot {
  wire::NodeId to;
  wire::LogIndex at_least;
};

// Follower: the leader offers a snapshot up to `last` that is ahead of this node. The driver
// fetches and installs it and calls Raft::installed_snapshot(); it may also ignore this, when one
// is under way.
struct ReceiveSnapshot {
  wire::NodeId from;
  wire::LogPosition last;
};

// Follower: its leader's log has another entry where this one has a committed one, which no leader
// has whose cluster has kept what it acknowledged (Raft §5.4.3): disks were lost or put back.
struct CommittedConflict {
  wire::NodeId leader;
  wire::LogIndex index;  // the first entry that is known to differ
  wire::Term own;        // its term here,
  wire::Term leaders;    // and in the leader's log
  // The same leader has stood by it for an election timeout: it is no stray message.
  bool lasts = false;

  bool operator==(const CommittedConflict&) const = default;
};

enum class TransferOutcome : std::uint8_t { kDone, kTimedOut, kTargetGone };

struct Effects {
  std::vector<wire::LogPosition> noop_entries;  // build a kNoop entry for each place
  std::vector<wire::PeerMessage> send_now;
  std::optional<LogWrite> write;
  std::vector<wire::PeerMessage> send_after_sync;  // not empty: `write` is set

  std::optional<wire::LogIndex> commit;  // everything up to here is committed
  std::optional<RoleChange> role;

  // The membership in effect: the latest in the log, committed or not; also after a truncation.
  std::optional<MembershipAt> membership;
  // The latest one that is committed.
  std::optional<MembershipAt> committed_membership;
  // No longer in any membership, as of a committed change: close their connections.
  std::vector<wire::NodeId> drop_peers;
  // Leader: build a kMembership entry with this and call Raft::propose_membership(). Asked again
  // until it is done.
  std::optional<wire::Membership> wants_membership_entry;

  std::vector<ReadReady> reads_ready;
  std::vector<ReadRefused> reads_refused;

  std::vector<SendSnapshot> send_snapshots;
  std::optional<ReceiveSnapshot> receive_snapshot;
  std::optional<TransferOutcome> transfer;
  // When it is found, and once more when it lasts. Nothing here is to be read from now on.
  std::optional<CommittedConflict> conflict;
};

}  // namespace bib::consensus
