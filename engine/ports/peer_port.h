// The other nodes as a node knows them: messages that may be lost, and greetings.
//
// All calls and answers belong to the node's loop. Messages leave with flush(), once a turn.
#pragma once

#include <functional>
#include <vector>

#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/client/client_message.h"
#include "wire/peer/peer_hello.h"
#include "wire/peer/peer_message.h"
#include "wire/peer/snapshot_message.h"

namespace bib::engine {

// May drop any message.
class PeerSender {
 public:
  virtual ~PeerSender() = default;
  virtual void send(const wire::PeerMessage& message) = 0;
};

// The way to other nodes for what snapshot_message.h says. May drop any message. The envelope and
// the sender are the port's to fill in.
class SnapshotPort {
 public:
  virtual ~SnapshotPort() = default;
  virtual void send(const wire::SnapshotRequest& request) = 0;
  virtual void send(const wire::SnapshotPart& part) = 0;
};

class PeerPort : public PeerSender, public SnapshotPort {
 public:
  using PeerSender::send;
  using SnapshotPort::send;
  // Connects to the members that are new, forgets those that are gone.
  virtual void set_members(const std::vector<wire::Member>& members) = 0;
  // A connection to the peer is established.
  virtual bool is_connected(wire::NodeId peer) const = 0;
  virtual void flush() = 0;
  // Counts of drops by reason, for the status. Names are static.
  virtual void count(std::vector<wire::Counter>& counters) const = 0;
};

class PeerEvents {
 public:
  virtual ~PeerEvents() = default;
  virtual void on_peer_message(wire::PeerMessage&& message) = 0;
  virtual void on_peer_connected(wire::NodeId peer) = 0;
  // The last connection that the peer's current run (boot id) had dialled is closed, or it has been
  // started again.
  virtual void on_peer_disconnected(wire::NodeId peer) = 0;
  // Once in each silence: this run of the peer does not answer.
  virtual void on_peer_silent(wire::NodeId peer) = 0;
  // A message of snapshot_message.h: not for consensus.
  virtual void on_snapshot_request(const wire::SnapshotRequest& request) = 0;
  virtual void on_snapshot_part(wire::SnapshotPart&& part) = 0;
  // `reply` may be called later, once; it does nothing if the asker is gone by then.
  virtual void on_join_request(const wire::JoinRequest& request,
                               std::function<void(const wire::JoinReply&)> reply) = 0;
  // Fills in what this node says of its log and its membership.
  virtual void complete_hello(wire::PeerHello& hello) const = 0;
  // Fills in error and refusal where the greeting node must not speak as a member.
  virtual void check_hello(const wire::PeerHello& hello, wire::PeerHelloReply& reply) = 0;
  // A node refused this one.
  virtual void on_refused(wire::NodeId by, const wire::PeerHelloReply& reply) = 0;
  // A node of another cluster takes this one for a member of its own.
  virtual void on_claimed(const wire::PeerHello& hello) = 0;
};

}  // namespace bib::engine
