// PeerSide: a node towards the others: their messages, their greetings, and what it hears of its
// own place among them.
//
// Lives on the node loop.
#pragma once

#include <cstdint>
#include <string>

#include "engine/node/drop_news.h"
#include "engine/node/node_parts.h"
#include "engine/node/refusals.h"
#include "engine/ports/peer_port.h"

namespace bib::engine {

class PeerSide final : public PeerEvents {
 public:
  explicit PeerSide(NodeParts& parts) : parts_(parts) {}

  // The memberships in the order of the log, from the first membership that it has.
  void learn_own_part(const consensus::MembershipAt& committed);
  bool names_this_node(const wire::Membership& membership) const;
  bool is_removed() const { return removed_; }
  // Appends whose entries could not be read, and which were dropped.
  std::uint64_t unreadable_entries() const { return unreadable_entries_; }

  // ---- PeerEvents
  void on_peer_message(wire::PeerMessage&& message) override;
  void on_peer_connected(wire::NodeId peer) override;
  void on_peer_disconnected(wire::NodeId peer) override;
  void on_peer_silent(wire::NodeId peer) override;
  void on_snapshot_request(const wire::SnapshotRequest& request) override {
    parts_.snapshots->on_request(request);
  }
  void on_snapshot_part(wire::SnapshotPart&& part) override {
    parts_.snapshots->on_part(std::move(part));
  }
  void on_join_request(const wire::JoinRequest& request,
                       std::function<void(const wire::JoinReply&)> reply) override {
    parts_.joins->on_join_request(request, std::move(reply));
  }
  void complete_hello(wire::PeerHello& hello) const override;
  void check_hello(const wire::PeerHello& hello, wire::PeerHelloReply& reply) override;
  void on_refused(wire::NodeId by, const wire::PeerHelloReply& reply) override;
  void on_claimed(const wire::PeerHello& hello) override;

 private:
  bool entries_are_good(const wire::PeerMessage& message);
  void tell_of_drops(wire::NodeId from);
  bool is_believed(wire::NodeId by, const wire::PeerHelloReply& reply);
  bool holds_nothing_yet() const;
  void leave_as_removed(wire::LogIndex index, const std::string& said_by);

  NodeParts& parts_;
  Refusals refusals_;
  DropNews drop_news_;
  bool was_member_ = false;  // a committed membership of its log has named this node
  bool removed_ = false;     // and a later one does not
  std::uint64_t unreadable_entries_ = 0;
  std::uint64_t claims_ = 0;  // by nodes of other clusters
};

}  // namespace bib::engine
