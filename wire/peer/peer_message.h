// PeerMessage: what one node's consensus says to another's, and its bytes.
//
// The consensus core reads and writes the plain struct. Over a socket a message is one frame
// (frame.h, kind kPeerMessage): u32 header size, the FlatBuffers header (peer.fbs, table
// PeerMessage), padding to 8, then the entries' bytes exactly as the leader encoded them
// (entry.h). An entry is never encoded again.
//
// Every message carries the cluster, the sender, its boot id and the addressee (Envelope); the
// receiver drops and counts what does not fit.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/base/result.h"
#include "wire/log/entry.h"

namespace bib::wire {

// What a message is, its number on the wire, and its name for people.
//   kPreVote      Raft dissertation §9.6
//   kVote         RequestVote, Raft §5.2
//   kAppend       AppendEntries with or without entries, Raft §5.3
//   kHeartbeat    leadership and commit only; proves nothing about the log
//   kTimeoutNow   leadership transfer, Raft dissertation §3.10
//   kReadIndex    a follower asks the leader for a read index, dissertation §6.4
//   kSnapshot     the follower is behind the log's start; the bytes go another way
//   kConflict     a report, not for consensus: the sender's committed entries are not the leader's
#define BIB_MESSAGE_KINDS(K)                 \
  K(kPreVote, 1, "pre_vote")                 \
  K(kPreVoteReply, 2, "pre_vote_reply")      \
  K(kVote, 3, "vote")                        \
  K(kVoteReply, 4, "vote_reply")             \
  K(kAppend, 5, "append")                    \
  K(kAppendReply, 6, "append_reply")         \
  K(kHeartbeat, 7, "heartbeat")              \
  K(kHeartbeatReply, 8, "heartbeat_reply")   \
  K(kTimeoutNow, 9, "timeout_now")           \
  K(kReadIndex, 10, "read_index")            \
  K(kReadIndexReply, 11, "read_index_reply") \
  K(kSnapshot, 12, "snapshot")               \
  K(kSnapshotReply, 13, "snapshot_reply")    \
  K(kConflict, 14, "conflict")

enum class MessageKind : std::uint8_t {
#define BIB_MESSAGE_KIND(enumerator, number, name) enumerator = number,
  BIB_MESSAGE_KINDS(BIB_MESSAGE_KIND)
#undef BIB_MESSAGE_KIND
};
inline constexpr MessageKind kMessageKinds[] = {
#define BIB_MESSAGE_KIND(enumerator, number, name) MessageKind::enumerator,
    BIB_MESSAGE_KINDS(BIB_MESSAGE_KIND)
#undef BIB_MESSAGE_KIND
};
std::string_view kind_name(MessageKind kind);

// What consensus may know of an entry: never its payload.
struct EntryInfo {
  LogIndex index;
  Term term;
  std::uint32_t size = 0;                // bytes of the encoded entry
  std::optional<Membership> membership;  // set on membership entries only
};

// What a heartbeat or its reply says of rows: digests after one entry. `form` says which
// projections, of which versions, they are of; digests of different forms say nothing about each
// other.
struct DigestNote {
  LogIndex asked;  // kHeartbeat: every node is to note its digests after this entry; 0: no question
  // kHeartbeat: what a majority of the voters has after `index`. The reply: what its sender has.
  // 0: nothing is said.
  LogIndex index;
  std::uint64_t form = 0;
  std::vector<std::uint64_t> values;  // of each projection
  bool disputed = false;              // kHeartbeat: no majority has the same; `values` is empty

  bool operator==(const DigestNote&) const = default;
};

struct PeerMessage {
  MessageKind kind = MessageKind::kHeartbeat;
  NodeId from;
  NodeId to;
  Term term;

  // kAppend: the entry before the first one. kVote, kPreVote: the candidate's last entry.
  // kSnapshot: the snapshot's last entry. kConflict: the first entry that differs, as the sender
  // has it; `hint_term` is its term at the leader, `commit` how far the sender's log is committed.
  LogIndex log_index;
  Term log_term;

  // kAppend, kHeartbeat: the leader's commit index (already limited to what the receiver is known
  // to hold, for kHeartbeat).
  LogIndex commit;

  // kAppend: contiguous from log_index + 1. When sending, consensus fills only index, term and
  // size; the driver attaches `payload`.
  std::vector<EntryInfo> entries;

  // Replies. kAppendReply: accepted up to `match`, or rejected with a hint (the follower's last
  // index at or below the conflict, and its term).
  bool rejected = false;
  LogIndex match;
  LogIndex hint_index;
  Term hint_term;

  // kVote, kPreVote: the campaign was asked for by a leadership transfer.
  bool transfer = false;

  // kHeartbeat and its reply: the read round. kReadIndex and its reply: the asker's token; the
  // reply's index is `match`.
  std::uint64_t context = 0;

  // kHeartbeat and its reply: how fresh they are (engine/node/freshness.h; consensus does not
  // look). `clock_us`: the sender's monotonic clock. `echo_us`: the latest clock_us that it has
  // received from the addressee, so that the addressee knows since when this was said. kHeartbeat,
  // from a leader that has committed an entry of its own: `leader_commit`, its commit index
  // whatever the receiver holds, and `confirmed_age_us`, how long ago a majority is known to have
  // followed it.
  std::uint64_t clock_us = 0;
  std::uint64_t echo_us = 0;
  LogIndex leader_commit;
  std::uint64_t confirmed_age_us = 0;

  // kHeartbeat and its reply: whether all nodes have the same rows
  // (engine/node/digest_comparison.h; consensus does not look).
  DigestNote digests;

  // The entries' bytes, in order, as they travel and as they are on disk. Consensus does not look.
  std::vector<Bytes> payload;
};

struct Envelope {
  ClusterId cluster;
  BootId boot;  // the sender's
};

// The frame's body up to the entries: u32 size, FlatBuffers header, padding. The entries' bytes
// follow it as they are.
std::vector<std::uint8_t> encode_peer_message_head(const Envelope& envelope,
                                                   const PeerMessage& message);

struct ReceivedPeerMessage {
  Envelope envelope;
  PeerMessage message;
};

// The stream of one connection: the messages of one run (boot) of one node, to this one.
struct ExpectedEnvelope {
  ClusterId cluster;
  BootId boot;
  NodeId from;
  NodeId to;
};
// False: of another cluster, another run, another sender or to another node; to be dropped.
bool fits(const Envelope& envelope, NodeId from, NodeId to, const ExpectedEnvelope& expected);

// Verifies everything (FlatBuffers, kinds, each entry's header and checksum, contiguity from
// log_index + 1, terms that do not fall) before it believes anything. `body` is the frame's body;
// the message's payload shares its storage.
Result<ReceivedPeerMessage> decode_peer_message(const Bytes& body);

}  // namespace bib::wire
