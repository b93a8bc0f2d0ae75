#include "engine/node/peer_side.h"

#include <bit>
#include <utility>

#include "engine/node/received_entries.h"
#include "wire/log/data_directory.h"

namespace bib::engine {

using wire::ErrorCode;

void PeerSide::on_peer_message(wire::PeerMessage&& message) {
  if (!parts_.guard->on_message(message) || !entries_are_good(message)) return;
  if (message.kind == wire::MessageKind::kConflict) return parts_.conflicts->on_report(message);
  if (NodeObserver* observer = parts_.world.observer) observer->before_message(message);
  const wire::NodeId from = message.from;
  const wire::DigestNote& said = message.digests;
  const bool compares = said.asked != wire::LogIndex() || said.index != wire::LogIndex();
  const DigestComparison::Heard heard{message.kind, from, message.term, said};
  parts_.driver->on_message(std::move(message));
  if (compares) parts_.rows->received(heard);
  tell_of_drops(from);
}

void PeerSide::tell_of_drops(wire::NodeId from) {
  const auto news = drop_news_.look(parts_.driver->raft());
  if (!news) return;
  parts_.world.logger.warn(
      "peer",
      "a message of {} was dropped: {}. Dropped for this reason so far: {}. The cluster goes on "
      "without it; look at the version, the disk and the memory of {}",
      to_string(from), news->trouble, news->count, to_string(from));
}

// Before consensus looks at the message: only what it could log is read. The sender goes on sending
// it: of many lines the 1st, 2nd, 4th and so on are written.
bool PeerSide::entries_are_good(const wire::PeerMessage& message) {
  const std::size_t fresh = parts_.driver->raft().count_new_entries(message);
  const wire::Status status = check_entries(message, fresh);
  if (status) return true;
  if (std::has_single_bit(++unreadable_entries_)) {
    parts_.world.logger.error(
        "peer",
        "entries of {} were not taken into the log: {}. Dropped so far: {}. If they are of a newer "
        "version, upgrade this node; otherwise look at the disk and the version of {}",
        to_string(message.from), status.error().message, unreadable_entries_,
        to_string(message.from));
  }
  return false;
}

void PeerSide::on_peer_connected(wire::NodeId peer) {
  refusals_.take_back(peer);
  parts_.conflicts->on_peer_connected(peer);
  parts_.driver->on_peer_connected(peer);
}

void PeerSide::on_peer_disconnected(wire::NodeId peer) {
  if (NodeObserver* observer = parts_.world.observer) observer->before_suspicion(peer);
  parts_.driver->on_peer_disconnected(peer);
  parts_.snapshots->on_peer_disconnected(peer);
}

void PeerSide::on_peer_silent(wire::NodeId peer) {
  if (NodeObserver* observer = parts_.world.observer) observer->before_suspicion(peer);
  parts_.driver->on_peer_silent(peer);
}

// ---- this node's own place

// With the log that it has. Under another one it was a member before its disk was lost: what became
// of that member is no news to a node that has joined again under its id.
bool PeerSide::names_this_node(const wire::Membership& membership) const {
  const wire::Member* line = membership.find(parts_.config.node_id);
  return line != nullptr && line->can_have_log(parts_.log_id);
}

void PeerSide::learn_own_part(const consensus::MembershipAt& committed) {
  if (names_this_node(committed.membership)) {
    was_member_ = true;
    removed_ = false;
  } else if (was_member_) {
    leave_as_removed(committed.index, "its own log");
  }
}

// A later membership may name this node again (it has then joined again): until it does, it serves
// no writes, does not vote, and campaigns for nothing.
void PeerSide::leave_as_removed(wire::LogIndex index, const std::string& said_by) {
  if (removed_) return;
  removed_ = true;
  parts_.world.logger.error(
      "node",
      "{} was removed from the cluster as of entry {} ({} says so). It serves no writes and no "
      "longer takes part: stop it. To bring it back, {} (its data directory is {})",
      to_string(parts_.config.node_id), index.value(), said_by, wire::kHowToRejoin,
      parts_.config.data_dir);
}

// ---- greetings

void PeerSide::complete_hello(wire::PeerHello& hello) const {
  const consensus::Raft& raft = parts_.driver->raft();
  hello.log_last = raft.log().last();
  hello.log_id = parts_.log_id;
  hello.term = raft.term();
  if (const auto* committed = raft.committed_membership()) {
    hello.membership_index = committed->index;
  }
}

void PeerSide::check_hello(const wire::PeerHello& hello, wire::PeerHelloReply& reply) {
  const auto refusal = parts_.guard->check(hello);
  if (const auto* committed = parts_.driver->raft().committed_membership()) {
    reply.membership_index = committed->index;
  }
  if (!refusal) return parts_.guard->admitted(hello);
  reply.error = refusal->error;
  reply.refusal = refusal->kind;
}

bool PeerSide::is_believed(wire::NodeId by, const wire::PeerHelloReply& reply) {
  const Refusals::Verdict verdict = refusals_.note(parts_.driver->raft(), by, reply.refusal);
  if (verdict == Refusals::Verdict::kNews) {
    parts_.world.logger.warn(
        "peer",
        "{} refuses this node: {}. This node goes on trying until its leader, or a majority of "
        "the other voters, says the same",
        to_string(by), reply.error.message);
  }
  return verdict == Refusals::Verdict::kBelieved;
}

void PeerSide::on_refused(wire::NodeId by, const wire::PeerHelloReply& reply) {
  if (reply.refusal == wire::HelloRefusal::kRunsTwice) {
    if (!is_believed(by, reply)) return;
    return parts_.fail({ErrorCode::kRefused, fmt::format("{} refuses this node: {}", to_string(by),
                                                         reply.error.message)});
  }
  // A new node, or one that knows a later membership than the other, waits until that one has
  // caught up.
  const auto* committed = parts_.driver->raft().committed_membership();
  const wire::LogIndex known = committed == nullptr ? wire::LogIndex() : committed->index;
  if (!was_member_ || known > reply.membership_index) return;
  const bool is_removal = reply.refusal == wire::HelloRefusal::kRemoved;
  if (is_removal && known == reply.membership_index) return;
  if (!is_believed(by, reply)) return;
  if (is_removal) return leave_as_removed(reply.membership_index, to_string(by));
  if (reply.refusal == wire::HelloRefusal::kLogLost) {
    parts_.fail({ErrorCode::kRefused,
                 fmt::format("{} refuses this node: {}", to_string(by), reply.error.message)});
  }
}

// No client has written: what would end with this node is what it began with, and its first token.
bool PeerSide::holds_nothing_yet() const {
  if (!parts_.driver->is_ready_to_decide()) return false;
  std::uint64_t rows = 0;
  for (const wire::ProjectionStatus& one : parts_.projector->status()) rows += one.rows;
  return rows <= 1;
}

// A founder whose disk was lost founds a second, empty cluster under the same name. Nobody that it
// knows could confirm what the other says, so it is believed only where that costs nothing.
void PeerSide::on_claimed(const wire::PeerHello& hello) {
  const wire::NodeConfig& config = parts_.config;
  if (!config.founds_cluster() || parts_.driver->raft().membership().members.size() != 1) return;
  if (!holds_nothing_yet()) {
    if (!std::has_single_bit(++claims_)) return;
    return parts_.world.logger.warn(
        "peer",
        "node {} counts this node among the members of another cluster '{}' ({}). That is not "
        "believed, since {} holds data. If this node's disk was lost and it serves a second "
        "cluster by mistake: on a member of the first, `bib cluster member remove {}`; for this "
        "node: {}",
        to_string(hello.from), hello.cluster_name, to_string(hello.cluster), config.data_dir,
        to_string(config.node_id), wire::kHowToRejoin);
  }
  parts_.fail(
      {ErrorCode::kRefused,
       fmt::format(
           "node {} counts this node among the members of another cluster '{}' ({}), but {} holds "
           "a cluster of this node alone: its disk was lost, and it has founded a second cluster. "
           "On a member of the first: `bib cluster member remove {}`; for this node: {}",
           to_string(hello.from), hello.cluster_name, to_string(hello.cluster), config.data_dir,
           to_string(config.node_id), wire::kHowToRejoin)});
}

}  // namespace bib::engine
