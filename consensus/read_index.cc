// Linearizable reads by read-index (Raft dissertation §6.4).
//
// Happy path: the leader notes its commit index; a quorum answers a heartbeat sent afterwards, so
// no later leader can have committed anything before the read was asked; the read may be served,
// anywhere, once that index is applied. All reads of a turn share one round of heartbeats.
//
// Failure modes: a new leader does not know the commit index until it has committed an entry of
// its own term, and refuses; a leader that loses its place refuses what is waiting; a lost message
// from or to a follower is the asker's deadline.

#include <utility>

#include "consensus/raft.h"
#include "consensus/rules.h"

namespace bib::consensus {

using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;

void Raft::request_read(std::uint64_t token) {
  if (role_ == Role::kLeader) {
    enqueue_read(config_.self, token);
  } else if (leader_ == NodeId()) {
    refuse_read(config_.self, token, ReadRefusal::kNoLeader);
  } else {
    PeerMessage message = message_to(leader_, MessageKind::kReadIndex);
    message.context = token;
    send(std::move(message));
  }
}

void Raft::on_read_index(const PeerMessage& message) {
  if (role_ == Role::kLeader) {
    enqueue_read(message.from, message.context);
  } else {
    refuse_read(message.from, message.context, ReadRefusal::kNoLeader);
  }
}

void Raft::on_read_index_reply(const PeerMessage& message) {
  if (!message.rejected && !rules::may_confirm_read(leader_, message.from)) {
    drop(DropReason::kUnexpected);
    return;
  }
  if (message.rejected) {
    // The leader's refusals all pass with time.
    const bool from_leader = message.from == leader_;
    effects_.reads_refused.push_back(
        {message.context, from_leader ? ReadRefusal::kNotYet : ReadRefusal::kNoLeader});
  } else {
    effects_.reads_ready.push_back({message.context, message.match});
  }
}

void Raft::enqueue_read(NodeId from, std::uint64_t token) {
  if (!rules::may_answer_reads(commit_, term_start_)) {
    refuse_read(from, token, ReadRefusal::kNotYet);
    return;
  }
  if (reads_.waiting.size() >= config_.reads_waiting_max) {
    refuse_read(from, token, ReadRefusal::kOverloaded);
    return;
  }
  if (!reads_.round_is_new) {
    ++reads_.round;
    reads_.round_is_new = true;
    flush_is_wanted_ = true;
  }
  reads_.waiting.push_back({reads_.round, token, from, commit_});
}

void Raft::refuse_read(NodeId from, std::uint64_t token, ReadRefusal reason) {
  if (from == config_.self) {
    effects_.reads_refused.push_back({token, reason});
    return;
  }
  PeerMessage reply = message_to(from, MessageKind::kReadIndexReply);
  reply.context = token;
  reply.rejected = true;
  send_when_durable(std::move(reply));
}

void Raft::refuse_waiting_reads() {
  for (const WaitingRead& read : reads_.waiting)
    refuse_read(read.from, read.token, ReadRefusal::kNoLeader);
  reads_.waiting.clear();
}

void Raft::confirm_reads() {
  if (reads_.waiting.empty()) return;
  const std::uint64_t confirmed =
      quorum_value(reads_.round, [](const Progress& peer) { return peer.acked_round; });
  while (!reads_.waiting.empty() && rules::answers_read(reads_.waiting.front().round, confirmed)) {
    const WaitingRead read = reads_.waiting.front();
    reads_.waiting.pop_front();
    if (read.from == config_.self) {
      effects_.reads_ready.push_back({read.token, read.index});
      continue;
    }
    PeerMessage reply = message_to(read.from, MessageKind::kReadIndexReply);
    reply.context = read.token;
    reply.match = read.index;
    send(std::move(reply));
  }
}

}  // namespace bib::consensus
