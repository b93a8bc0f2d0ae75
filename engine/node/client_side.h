// ClientSide: a node towards its clients: hands requests to the part that answers them, and answers
// what is asked about the node itself: greetings, the status, its snapshots.
//
// Lives on the node loop.
#pragma once

#include <string>

#include "engine/node/node_parts.h"
#include "engine/node/peer_side.h"
#include "engine/ports/client_port.h"

namespace bib::engine {

class ClientSide final : public ClientEvents {
 public:
  ClientSide(NodeParts& parts, const PeerSide& peers);

  // "leader", "follower", "candidate", "learner" or "removed".
  std::string role_name() const;

  // ---- ClientEvents
  wire::ServerHello hello() override;
  void on_command(Asker asker, const wire::Command& command) override {
    parts_.commands->on_command(asker, command);
  }
  bool takes_more_this_turn() override { return !parts_.commands->has_enough_for_a_turn(); }
  void on_query(Asker asker, const wire::Query& query) override {
    parts_.queries->on_query(asker, query);
  }
  void on_read_events(Asker asker, const wire::ReadEvents& request) override;
  void on_status(Asker asker) override;
  void on_snapshots(Asker asker, const wire::ListSnapshots& request) override;
  void on_change_membership(Asker asker, const wire::ChangeMembership& request) override {
    parts_.changes->on_change_membership(asker, request);
  }
  void on_transfer(Asker asker, const wire::TransferLeadership& request) override {
    parts_.changes->on_transfer(asker, request);
  }
  void on_session_end(SessionId session) override { parts_.feed->on_session_end(session); }
  void on_session_drained(SessionId session) override { parts_.feed->on_session_drained(session); }

 private:
  void list_snapshots(Asker asker, bool made);
  void add_members(wire::StatusReply& reply) const;
  void add_counters(wire::StatusReply& reply) const;
  std::uint64_t resident_bytes();

  NodeParts& parts_;
  const PeerSide& peers_;
  const std::uint64_t started_ms_;
  std::uint64_t resident_bytes_ = 0;  // as of resident_at_ms_: /proc is not asked for each status
  std::uint64_t resident_at_ms_ = 0;
};

}  // namespace bib::engine
