// What MemoryCluster watches.

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "memory_cluster.h"

namespace bib::consensus::test {

using wire::MessageKind;

void MemoryCluster::violated(const std::string& what) const {
  throw std::runtime_error(what);
}

std::optional<NodeId> MemoryCluster::leader() const {
  std::optional<NodeId> best;
  Term term;
  for (const auto& [id, node] : nodes_) {
    if (node.is_up() && node.raft->role() == Role::kLeader && node.raft->term() > term) {
      best = id;
      term = node.raft->term();
    }
  }
  return best;
}

std::string MemoryCluster::describe() const {
  std::string text;
  auto list = [](const std::vector<NodeId>& ids) {
    std::string joined;
    for (NodeId id : ids) joined += fmt::format(" {}", id.value());
    return joined;
  };
  for (const auto& [id, node] : nodes_) {
    if (!node.is_up()) {
      text += fmt::format("\n{}: down", id.value());
      continue;
    }
    const Raft& raft = *node.raft;
    const Membership& membership = raft.membership();
    text += fmt::format(
        "\n{}: role {} term {} leader {} log {}..{} ({}) commit {} durable {}; at {}:"
        "{} &&{}, learners{}, next{}",
        id.value(), static_cast<int>(raft.role()), raft.term().value(), raft.leader().value(),
        raft.log().first_index().value(), raft.last_index().value(), raft.log().last_term().value(),
        raft.commit().value(), raft.durable_index().value(), raft.membership_index().value(),
        list(membership.voters), list(membership.voters_outgoing), list(membership.learners),
        list(membership.learners_next));
    for (const PeerStatus& peer : raft.peers()) {
      text += fmt::format("\n   peer {}: state {} match {} next {} heard {} in flight {}",
                          peer.id.value(), static_cast<int>(peer.state), peer.match.value(),
                          peer.next.value(), peer.ticks_since_heard, peer.messages_in_flight);
    }
  }
  return text;
}

void MemoryCluster::check_packet(const Packet& packet) {
  const PeerMessage& message = packet.message;
  const MemoryNode& sender = node(message.from);
  // Whom the vote went to, in this life and all others.
  auto voted = [&](NodeId candidate) {
    const auto [vote, fresh] = votes_.insert({{message.from, message.term}, candidate});
    if (!fresh && vote->second != candidate) {
      violated(fmt::format("node {} voted for {} and for {} in term {}", message.from.value(),
                           vote->second.value(), candidate.value(), message.term.value()));
    }
    if (sender.disk.hard_state.term < message.term) violated("a vote left before it was durable");
  };
  if (message.kind == MessageKind::kVote) voted(message.from);
  if (message.kind == MessageKind::kVoteReply && !message.rejected) voted(message.to);
  const bool acknowledges = (message.kind == MessageKind::kAppendReply && !message.rejected) ||
                            message.kind == MessageKind::kHeartbeatReply ||
                            message.kind == MessageKind::kSnapshotReply;
  if (!acknowledges || packet.is_late) return;
  if (message.match > LogIndex() && !sender.disk.holds(message.match, packet.acknowledged_tag)) {
    violated(fmt::format(
                 "node {} acknowledged {} without having it on disk ({}..{}); kind {}, term {}",
                 message.from.value(), message.match.value(), sender.disk.base.index.value() + 1,
                 sender.disk.last().value(), static_cast<int>(message.kind), message.term.value()) +
             describe());
  }
  if (sender.disk.hard_state.term < message.term) violated("an answer left before its term");
}

void MemoryCluster::check_leader(MemoryNode& node) {
  const Term term = node.raft->term();
  if (node.leader_checked == term) return;
  node.leader_checked = term;
  const auto [leader, fresh] = leaders_.insert({term, node.id});
  if (!fresh) {
    violated(fmt::format("term {} has the leaders {} and {}", term.value(), leader->second.value(),
                         node.id.value()));
  }
  for (LogIndex index = node.cache_base.index + 1; index <= committed_anywhere(); ++index) {
    const Content* content = node.at(index);
    if (content == nullptr || content->tag != committed_[index.value() - 1]) {
      violated(fmt::format("node {} leads term {} without the committed entry {}", node.id.value(),
                           term.value(), index.value()));
    }
  }
}

void MemoryCluster::check_commit(MemoryNode& node) {
  const LogIndex commit = node.raft->commit();
  if (commit < node.commit_checked) violated("commit moved back");
  for (LogIndex index = node.commit_checked + 1; index <= commit; ++index) {
    const Content* content = node.at(index);
    // A leader's no-op gets its contents only when the effects are taken; it cannot be committed
    // before.
    if (content == nullptr) violated("a committed entry has no contents");
    if (index <= committed_anywhere()) {
      if (committed_[index.value() - 1] != content->tag) {
        violated(fmt::format("node {} committed another entry {}", node.id.value(), index.value()));
      }
      continue;
    }
    committed_.push_back(content->tag);
    auto holders = [&](const std::vector<NodeId>& voters) {
      const auto holding = std::count_if(voters.begin(), voters.end(), [&](NodeId id) {
        return nodes_.count(id) > 0 && nodes_.at(id).disk.holds(index, content->tag);
      });
      return voters.empty() || static_cast<std::size_t>(holding) >= majority_of(voters.size());
    };
    const Membership& membership = node.raft->membership();
    const bool leads = node.raft->role() == Role::kLeader;
    if (leads && !(holders(membership.voters) && holders(membership.voters_outgoing))) {
      violated(
          fmt::format("entry {} is committed and not on the disks of a quorum", index.value()));
    }
  }
  node.commit_checked = commit;
}

void MemoryCluster::check_logs() const {
  std::map<std::pair<LogIndex, Term>, std::pair<std::uint64_t, std::uint64_t>> seen;
  for (const auto& [id, node] : nodes_) {
    if (!node.is_up()) continue;
    for (LogIndex index = node.cache_base.index + 1; node.at(index) != nullptr; ++index) {
      const Content& content = *node.at(index);
      // Equal tags all the way down follow from each entry and the one before being equal.
      const Content* previous = node.at(index - 1);
      const std::uint64_t before = previous == nullptr ? 0 : previous->tag;
      auto [known, fresh] = seen.insert({{index, content.term}, {content.tag, before}});
      if (fresh) continue;
      auto& [tag, tag_before] = known->second;
      if (tag_before == 0) tag_before = before;
      if (tag != content.tag || (before != 0 && tag_before != before)) {
        violated(fmt::format("entry {} of term {} differs between nodes", index.value(),
                             content.term.value()));
      }
    }
    for (std::size_t i = 0; i < node.history.size() && i < committed_.size(); ++i) {
      if (node.history[i] != committed_[i]) {
        violated(fmt::format("node {} applied another entry {}", id.value(), i + 1));
      }
    }
  }
}

}  // namespace bib::consensus::test
