// SimNetwork: what lies between the nodes: connections, and messages that are lost, repeated,
// delayed and reordered, or come in a wrong envelope.
//
// As in engine/uv/peer_network.h each ordered pair of nodes has one connection, dialled by the
// sender. A connection that closes in sight of its receiver is reported there, as a real one is; a
// machine that loses its power closes nothing. A partition swallows what is sent or, as TCP does,
// delivers it seconds later, once it has ended. Unlike TCP the network may also lose, repeat and
// reorder within a connection, which is more than consensus has to expect.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "consensus/raft.h"
#include "engine/ports/claims.h"
#include "event_queue.h"
#include "plan.h"
#include "trace.h"
#include "wire/base/bytes.h"
#include "wire/base/prng.h"
#include "wire/peer/peer_hello.h"
#include "wire/peer/peer_message.h"
#include "wire/peer/snapshot_message.h"

namespace bib::sim {

using NodeIndex = std::uint32_t;
inline wire::NodeId id_of(NodeIndex index) {
  return wire::NodeId(index + 1);
}
inline NodeIndex index_of(wire::NodeId id) {
  return static_cast<NodeIndex>(id.value() - 1);
}
// Where it is dialled by the others.
std::string peer_address(NodeIndex node);

class SimNetwork final : public EventTarget {
 public:
  // A machine's end of the network.
  class Host {
   public:
    virtual ~Host() = default;
    virtual bool is_running() const = 0;
    virtual bool is_paused() const = 0;
    virtual wire::BootId boot() const = 0;
    virtual wire::ClusterId cluster() const = 0;
    // Null: not running.
    virtual const consensus::Raft* raft() const = 0;
    // One of the sender's present run.
    virtual void on_arrival(const wire::PeerMessage& message) = 0;
    virtual void on_peer_message(wire::PeerMessage&& message) = 0;
    virtual void on_snapshot_request(wire::SnapshotRequest&& request) = 0;
    virtual void on_snapshot_part(wire::SnapshotPart&& part) = 0;
    virtual void on_peer_connected(wire::NodeId peer) = 0;
    // Whether this run is the node, as far as this one knows.
    virtual engine::Claims::Verdict judge(const wire::PeerHello& hello) = 0;
    // So many probes in a row, and on the connection that there is.
    virtual unsigned answered_in_a_row(NodeIndex peer) const = 0;
    virtual void on_peer_disconnected(wire::NodeId peer) = 0;
    virtual wire::PeerHello hello() const = 0;
    // Why this one is not let in; nullopt: welcome.
    virtual std::optional<std::string> check_hello(const wire::PeerHello& hello) = 0;
    // The one that it dialled does not let it in.
    virtual void on_refused(wire::NodeId by, const wire::PeerHelloReply& reply) = 0;
    // It is about to be told of this term, in which nobody campaigns, and may believe it.
    virtual void expect_term(wire::Term term) = 0;
    virtual void on_join_request(const wire::JoinRequest& request,
                                 std::function<void(const wire::JoinReply&)> reply) = 0;
  };

  SimNetwork(EventQueue& queue, wire::Prng& random, Trace& trace, NetworkPlan plan)
      : queue_(queue), random_(random), trace_(trace), plan_(plan) {}

  void add_host(Host& host);

  // ---- from the hosts
  void send(NodeIndex from, const wire::PeerMessage& message);
  void send(NodeIndex from, const wire::SnapshotRequest& request);
  void send(NodeIndex from, const wire::SnapshotPart& part);
  // Some node is asked; the answer may never come.
  void ask_to_join(NodeIndex from, const wire::JoinRequest& request,
                   std::function<void(const wire::JoinReply&)> reply);
  void started(NodeIndex node);
  // `seen`: its kernel closes its connections; otherwise nobody is told for a while.
  void stopped(NodeIndex node, bool seen);

  bool is_connected(NodeIndex from, NodeIndex to) const { return pairs_[from * kMax + to].up; }
  // A question on the connection from -> to would be answered now.
  bool answers(NodeIndex from, NodeIndex to) const;
  // `from` takes its connection to `to` for dead, and dials again.
  void hang_up(NodeIndex from, NodeIndex to);

  // ---- copies of nodes (sim_copies.h)
  std::size_t size() const { return hosts_.size(); }
  Host& host(NodeIndex node) { return *hosts_[node]; }
  bool takes_greetings(NodeIndex node) const {
    return hosts_[node]->is_running() && !hosts_[node]->is_paused();
  }
  // The run to which the connection leads; none: there is none.
  wire::BootId reached(NodeIndex from, NodeIndex to) const {
    const Pair& connection = pairs_[from * kMax + to];
    return connection.up ? connection.to_boot : wire::BootId();
  }
  Time made_at(NodeIndex from, NodeIndex to) const { return pairs_[from * kMax + to].made_at; }
  bool ran_after(NodeIndex node, wire::BootId boot, Time time) const;
  // The receiver closes the connection from -> to for another run of the sender, and takes its own
  // to it for dead where that run `says_it_is_there`.
  void give_place(NodeIndex from, NodeIndex to, bool says_it_is_there);

  // ---- faults
  void block(NodeIndex from, NodeIndex to) { pair(from, to).blocked = true; }
  void unblock_all();
  bool is_blocked(NodeIndex from, NodeIndex to) const { return pairs_[from * kMax + to].blocked; }
  // Both directions close, and both nodes see it.
  void reset(NodeIndex one, NodeIndex other);
  // From now on everything arrives, once, in order.
  void heal();

  // Delay of a client's request or answer.
  Time client_latency() { return latency() + latency(); }
  bool client_message_is_lost() { return random_.chance_ppm(plan_.loss_ppm); }

  void on_event(std::uint32_t code, std::uint64_t argument) override;

  static constexpr NodeIndex kMax = 16;

 private:
  enum Code : std::uint32_t { kDeliver, kDial, kClosed, kCall };

  struct Pair {
    bool up = false;
    bool blocked = false;
    std::uint32_t epoch = 0;
    wire::BootId from_boot;
    wire::BootId to_boot;
    Time last_arrival = 0;
    Time made_at = 0;
    // What was sent while nothing got through, or was on its way when that began: the kernels
    // repeat it until it arrives, or the connection is another one.
    std::vector<std::uint32_t> held;
  };
  struct Flight {
    NodeIndex from = 0;
    NodeIndex to = 0;
    wire::BootId to_boot;
    wire::BootId connection_boot;  // of the sender, as its connection was greeted
    wire::Envelope envelope;
    bool foreign = false;
    bool untrue = false;
    wire::PeerMessage message;
    wire::Bytes bytes;  // through_bytes
    // Of a snapshot, in place of a message; always as bytes.
    enum class Kind : std::uint8_t { kMessage, kSnapshotRequest, kSnapshotPart };
    Kind kind = Kind::kMessage;
    std::uint32_t epoch = 0;  // of the connection
  };

  Pair& pair(NodeIndex from, NodeIndex to) { return pairs_[from * kMax + to]; }
  Time latency() { return random_.between(plan_.latency_min, plan_.latency_max); }
  void post(NodeIndex from, const wire::PeerMessage& message, bool untrue);

  // ---- sim_network_lies.cc
  bool liar_speaks(NodeIndex from, std::uint32_t times);
  void lie(NodeIndex from, const wire::PeerMessage& truth);
  void lie(NodeIndex from, const wire::SnapshotRequest& truth);
  void lie_beside(NodeIndex to);
  void contradict(Host& host);
  void name_far_terms(Host& host);
  void confirm_falsely(NodeIndex asker, std::uint64_t context);
  bool refuse_falsely(NodeIndex from, NodeIndex to);
  wire::PeerMessage untrue_to(const Host& host, wire::MessageKind kind) const;

  std::optional<Flight> begin_flight(NodeIndex from, wire::NodeId to);
  void launch_all(Flight flight);
  void launch(Pair& connection, Flight flight);
  void make_foreign(const Flight& flight);
  void call_later(std::function<void()> what);
  void deliver(std::uint32_t slot);
  std::uint32_t keep(Flight flight);
  // False: it is lost.
  bool hold(Pair& connection, Flight&& flight);
  void release(Pair& connection);
  void deliver_snapshot(const Flight& flight);
  bool fits(const Flight& flight, const wire::Envelope& envelope, wire::NodeId from,
            wire::NodeId to) const;
  std::optional<wire::ReceivedPeerMessage> open(Flight& flight);
  void dial(NodeIndex from, NodeIndex to);
  void dial_later(NodeIndex from, NodeIndex to, Time delay);
  void close(NodeIndex from, NodeIndex to, Time notice_after);

  EventQueue& queue_;
  wire::Prng& random_;
  Trace& trace_;
  NetworkPlan plan_;
  std::vector<Host*> hosts_;
  std::vector<Pair> pairs_ = std::vector<Pair>(kMax * kMax);
  std::vector<Flight> flights_;
  std::vector<std::uint32_t> free_flights_;
  std::vector<std::function<void()>> calls_;
  struct Ended {
    wire::BootId boot;
    Time at = 0;
  };
  wire::Term highest_named_;  // of the far terms that the liar has named, to whomever
  std::vector<Ended> ended_ = std::vector<Ended>(kMax);  // the latest run of each that has
};

std::string to_text(const wire::PeerMessage& message);

}  // namespace bib::sim
