#include "sim_peers.h"

#include "checkers.h"
#include "sim_node.h"

namespace bib::sim {

void SimPeers::start() {
  machine_.after(machine_.world().random.below(kProbeInterval), [this] { probe(); });
}

void SimPeers::send(const wire::PeerMessage& message) {
  World& world = machine_.world();
  machine_.maybe_die_here(world.plan.faults.die_in_turn_ppm);
  if (machine_.is_dying()) return;
  world.oracle.on_sent(static_cast<SimNode&>(machine_), message);
  world.network.send(machine_.index(), message);
}

void SimPeers::send(const wire::SnapshotRequest& request) {
  if (machine_.is_dying()) return;
  wire::SnapshotRequest out = request;
  out.from = id_of(machine_.index());
  machine_.world().network.send(machine_.index(), out);
}

void SimPeers::send(const wire::SnapshotPart& part) {
  if (machine_.is_dying()) return;
  if (part.status == wire::SnapshotPartStatus::kFailed) {
    static_cast<SimNode&>(machine_).on_useless_snapshot({part.index, part.term});
  }
  wire::SnapshotPart out = part;
  out.from = id_of(machine_.index());
  machine_.world().network.send(machine_.index(), out);
}

bool SimPeers::is_connected(wire::NodeId peer) const {
  return machine_.world().network.is_connected(machine_.index(), index_of(peer));
}

void SimPeers::on_connected(NodeIndex peer) {
  probes_[peer] = {};
  answered_[peer] = {};
  const wire::BootId boot = machine_.world().network.reached(machine_.index(), peer);
  if (boot == wire::BootId()) return;  // it has been closed meanwhile
  claims_.answered(id_of(peer), boot, peer_address(peer), claims_.dialling());
}

engine::Claims::Verdict SimPeers::judge(const wire::PeerHello& hello) {
  const SimNetwork& network = machine_.world().network;
  const NodeIndex peer = index_of(hello.from);
  const std::string address = peer_address(peer);
  const engine::Claims::Reached reached{.address = address,
                                        .boot = network.reached(machine_.index(), peer),
                                        .asked = asked_,
                                        .answered = answered_[peer].last,
                                        .is_silent = probes_[peer].is_silent()};
  return claims_.judge(hello, reached, network.answers(peer, machine_.index()));
}

// As PeerNetwork::Link::probe(); the way there and back is taken to be as it is now.
void SimPeers::probe() {
  machine_.after(kProbeInterval, [this] { probe(); });
  World& world = machine_.world();
  for (NodeIndex peer = 0; peer < probes_.size(); ++peer) {
    if (peer == machine_.index() || !world.network.is_connected(machine_.index(), peer)) continue;
    engine::ProbeCount& probes = probes_[peer];
    ++asked_;
    if (world.network.answers(machine_.index(), peer)) {
      probes.heard();
      answered_[peer].last = asked_;
      ++answered_[peer].in_a_row;
    } else {
      answered_[peer].in_a_row = 0;
    }
    switch (probes.turn()) {
      case engine::ProbeCount::Verdict::kAlive:
        break;
      case engine::ProbeCount::Verdict::kSilent:
        world.trace.line(machine_.name(), "n{} does not answer", peer + 1);
        events_->on_peer_silent(id_of(peer));
        break;
      case engine::ProbeCount::Verdict::kGone:
        world.network.hang_up(machine_.index(), peer);
        break;
    }
  }
}

}  // namespace bib::sim
