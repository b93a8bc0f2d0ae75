// Progress: what a leader knows of one peer, and how much it may send to it.
//
// Owned by Raft while it leads, on the node loop. Three states:
//   probe      where the logs meet is not known: one message, then wait for an answer (or for a
//              heartbeat's answer, which shows that the message was lost).
//   replicate  known: messages follow each other without waiting, up to the limits on messages
//              and bytes in flight; `next` runs ahead of `match`.
//   snapshot   the peer needs what the log no longer has: nothing is sent until the snapshot is.
//
// Invariants: match < next. match never falls while this node leads. In replicate every entry in
// (match, next) has been sent and not been acknowledged.
#pragma once

#include <cstdint>
#include <deque>

#include "wire/base/ids.h"

namespace bib::consensus {

enum class ProgressState : std::uint8_t { kProbe, kReplicate, kSnapshot };

struct FlightLimits {
  std::size_t messages_max = 256;
  std::uint64_t bytes_max = 8U << 20;
};

// Messages sent and not yet acknowledged, oldest first: the last index and the bytes of each.
class InFlight {
 public:
  void add(wire::LogIndex last, std::uint64_t bytes);
  // Forgets all messages that end at or below `match`.
  void acknowledge(wire::LogIndex match);
  // Forgets all messages that reach `from`: they have not left.
  void take_back(wire::LogIndex from);
  void clear();

  bool empty() const { return messages_.empty(); }
  // The last index of the oldest message; there must be one.
  wire::LogIndex oldest() const { return messages_.front().last; }
  std::size_t count() const { return messages_.size(); }
  std::uint64_t bytes() const { return bytes_; }
  bool is_full(const FlightLimits& limits) const {
    return count() >= limits.messages_max || bytes_ >= limits.bytes_max;
  }

 private:
  struct Message {
    wire::LogIndex last;
    std::uint64_t bytes = 0;
  };
  std::deque<Message> messages_;
  std::uint64_t bytes_ = 0;
};

struct Progress {
  wire::NodeId id;
  wire::LogIndex match;        // durable there, and proven equal to this log
  wire::LogIndex next;         // the next entry to send
  wire::LogIndex received;     // arrived there, perhaps not durable yet (heartbeat replies)
  wire::LogIndex commit_sent;  // the greatest commit index that the peer was told
  ProgressState state = ProgressState::kProbe;
  bool paused = false;            // probe: a message is out, wait
  wire::LogIndex probe_last;      // probe: where that message ended
  wire::LogIndex snapshot_index;  // snapshot: the one under way; 0 while the driver makes it
  bool departing = false;         // removed by an uncommitted change; counts for nothing
  bool unreachable = false;       // its connection closed, or it fell silent; until it is heard
  bool heard = false;             // it has answered this leader
  InFlight in_flight;             // replicate
  std::uint64_t acked_round = 0;  // the latest read round that it has confirmed
  unsigned ticks_since_heard = 0;
  unsigned ticks_since_append = 0;   // since entries or a commit index went out
  unsigned ticks_without_match = 0;  // replicate: since `match` moved, with messages in flight

  bool may_send(const FlightLimits& limits) const;

  // It has answered.
  void hear();

  // Back to where the peer is known to match; sends again from there.
  void become_probe();
  void become_replicate();
  void become_snapshot();

  // What was to be sent to it from `from` on has not left: it is sent again.
  void take_back(wire::LogIndex from);

  // The peer holds all up to `index`. False when that is no news.
  bool acknowledge(wire::LogIndex index);
  // The peer refused a message that followed `rejected`; `retry` is the next place to try. False
  // when the refusal is stale (answers are reordered and repeated): then nothing changes.
  bool reject(wire::LogIndex rejected, wire::LogIndex retry);
};

}  // namespace bib::consensus
