// PeerNetwork: the connections between this node and the others.
//
// Lives on the node loop. Each ordered pair of nodes has one connection, dialled by the sender and
// carrying only its messages; the receiver's answers travel on its own. Messages are dropped, never
// queued, while a link is down or takes nothing: Raft repeats what matters. What does not fit
// (another cluster, another sender than greeted, another addressee) is dropped and counted.
//
// Each node probes the nodes that it dials; the probe is answered by the other's node loop, so that
// a process that hangs is noticed like a cable that was pulled. One that lets several probes in a
// row go unanswered, and is not heard otherwise, is reported as silent; somewhat later the
// connection is given up and dialled again, because packets that were lost may be repeated only
// after many seconds.
//
// Bounded: connections that have not greeted have room of their own, a short time, and no more than
// small frames; where the room is full, the oldest makes room for the newest. A refused greeting or
// request is answered, and ends its connection. Members always get in; nodes that are no members,
// and nodes that ask to join, have a number of places each. Of two runs of one node that are there
// at the same time one is refused (claims.h).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/ports/claims.h"
#include "engine/ports/limited_log.h"
#include "engine/ports/logger.h"
#include "engine/ports/peer_port.h"
#include "engine/uv/connection.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/listener.h"
#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/peer/peer_hello.h"
#include "wire/peer/peer_message.h"

namespace bib::engine {

// Why a message was dropped, or not taken to be sent, and the end of its counter's name.
//   kUnreadable     its bytes are no valid message
//   kCluster        of another cluster
//   kSender         of another node than greeted on the connection
//   kBoot           of another run than greeted on the connection
//   kOldBoot        a connection of a run that a later one followed, with what was on its way
//   kAddressee      to another node
//   kNotConnected   outgoing: there is no connection to that node
//   kFull           outgoing: too much waits for that node already
//   kRefused        not a message but a connection: its greeting, its request to join, or for want
//                   of room
#define BIB_PEER_DROPS(D)           \
  D(kUnreadable, "unreadable")      \
  D(kCluster, "cluster")            \
  D(kSender, "sender")              \
  D(kBoot, "boot")                  \
  D(kOldBoot, "old_boot")           \
  D(kAddressee, "addressee")        \
  D(kNotConnected, "not_connected") \
  D(kFull, "full")                  \
  D(kRefused, "refused")

enum class PeerDrop : std::uint8_t {
#define BIB_PEER_DROP(enumerator, name) enumerator,
  BIB_PEER_DROPS(BIB_PEER_DROP)
#undef BIB_PEER_DROP
};
#define BIB_PEER_DROP(enumerator, name) +1
inline constexpr std::size_t kPeerDrops = BIB_PEER_DROPS(BIB_PEER_DROP);
#undef BIB_PEER_DROP

struct PeerNetworkOptions {
  wire::NodeId self;
  wire::BootId boot;
  wire::ClusterId cluster;
  std::string cluster_name;
  std::string advertise_address;           // what other nodes are told to dial
  std::size_t link_bytes_max = 64U << 20;  // waiting to one peer; more is dropped
  std::uint64_t probe_interval_ms = 100;   // silent: four of these without a sign of life
  std::uint32_t judge_every = 50;          // probes: whether guests may stay

  // Of incoming connections.
  std::uint32_t new_connections_max = 128;  // not greeted yet
  std::uint64_t greeting_timeout_ms = 5000;
  std::uint32_t guests_max = 256;  // greeted, and no members here (yet, or any more)
  std::uint32_t joiners_max = 16;  // that wait for the answer to their request
  IncomingFramesOptions frames;
};

class PeerNetwork final : public PeerPort {
 public:
  using Handler = PeerEvents;

  // No peer is greeted before there is a handler (attach()).
  PeerNetwork(EventLoop& loop, Logger& logger, PeerNetworkOptions options,
              std::unique_ptr<Listener> listener, Handler* handler = nullptr);
  ~PeerNetwork() override;
  void attach(Handler& handler) { handler_ = &handler; }
  PeerNetwork(const PeerNetwork&) = delete;
  PeerNetwork& operator=(const PeerNetwork&) = delete;

  const std::string& listen_address() const { return listener_->address(); }

  // Dials the members that are new, forgets those that are gone, follows changed addresses. A node
  // that is no member but keeps a connection to this one keeps its link, too: while this node
  // catches up, the leader may not be in the membership that it has read so far.
  void set_members(const std::vector<wire::Member>& members) override;

  // Takes the message onto its link, or drops it. Leaves with the next flush().
  void send(const wire::PeerMessage& message) override;
  void send(const wire::SnapshotRequest& request) override;
  void send(const wire::SnapshotPart& part) override;
  void flush() override;

  bool is_connected(wire::NodeId peer) const override;
  void count(std::vector<wire::Counter>& counters) const override;
  std::uint64_t dropped(PeerDrop reason) const {
    return dropped_[static_cast<std::size_t>(reason)];
  }

 private:
  class Link;
  class Incoming;

  void probe();
  void judge_guests();
  void accept(std::unique_ptr<Connection> connection);
  void forget_incoming(const Incoming* incoming);
  std::size_t guests_besides(wire::NodeId peer) const;
  std::size_t joiners() const;
  // `greeting`: the connection on which it came now; null: of a guest who has been let in.
  wire::PeerHelloReply check_hello(const wire::PeerHello& hello, const Incoming* greeting);
  bool is_the_node(const wire::PeerHello& hello, const Incoming& greeting,
                   wire::PeerHelloReply& reply);
  void drop(PeerDrop reason) { ++dropped_[static_cast<std::size_t>(reason)]; }
  bool is_member(wire::NodeId peer) const;
  // Null: there is none, and a message for it was dropped and counted.
  Link* established_link(wire::NodeId peer);
  void ensure_link(const wire::PeerHello& hello);
  bool is_greeted_by(wire::NodeId peer) const;
  void on_reached(const Link& link);
  void on_greeted(const Incoming& incoming);
  void heard(wire::NodeId peer, wire::BootId boot);

  EventLoop& loop_;
  PeerNetworkOptions options_;
  Handler* handler_;
  std::unique_ptr<Listener> listener_;
  LimitedLog refusals_;
  LimitedLog news_;   // who comes and goes
  LimitedLog brief_;  // who has gone soon after it came
  LimitedLog twice_;  // who runs twice
  Claims claims_;
  std::uint64_t last_probe_ = 0;  // its number, over all links
  IncomingFrames frames_;
  std::map<wire::NodeId, std::unique_ptr<Link>> links_;
  std::map<std::uint64_t, std::unique_ptr<Incoming>> incoming_;  // by their numbers
  std::set<std::uint64_t> ungreeted_;  // of these, neither peers nor joiners; the oldest first
  std::uint64_t next_incoming_ = 1;
  std::map<wire::NodeId, wire::BootId> boots_;  // the latest that has greeted
  Timer probe_;
  std::uint32_t probes_ = 0;
  std::vector<wire::NodeId> members_;
  std::array<std::uint64_t, kPeerDrops> dropped_{};
};

}  // namespace bib::engine
