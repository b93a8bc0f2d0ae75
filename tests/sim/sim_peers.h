// SimPeers: the peers' port of a simulated process: its end of the simulated network, and probes.
#pragma once

#include <vector>

#include "engine/ports/claims.h"
#include "engine/ports/peer_port.h"
#include "engine/ports/probe_count.h"
#include "sim_machine.h"

namespace bib::sim {

inline constexpr Time kProbeInterval = 100 * kMillisecond;  // as PeerNetworkOptions

class SimPeers final : public engine::PeerPort {
 public:
  SimPeers(SimMachine& machine, std::size_t nodes)
      : machine_(machine), probes_(nodes), answered_(nodes) {}
  void attach(engine::PeerEvents& events) { events_ = &events; }
  void start();

  void heard(NodeIndex peer) { probes_[peer].heard(); }
  void on_connected(NodeIndex peer);
  // As PeerNetwork::is_the_node(), of the node itself and of a copy of it.
  engine::Claims::Verdict judge(const wire::PeerHello& hello);
  unsigned answered_in_a_row(NodeIndex peer) const { return answered_[peer].in_a_row; }

  void send(const wire::PeerMessage& message) override;
  void send(const wire::SnapshotRequest& request) override;
  void send(const wire::SnapshotPart& part) override;
  void set_members(const std::vector<wire::Member>&) override {}  // all are dialled
  bool is_connected(wire::NodeId peer) const override;
  void flush() override {}
  void count(std::vector<wire::Counter>&) const override {}

 private:
  void probe();

  SimMachine& machine_;
  engine::PeerEvents* events_ = nullptr;
  struct Answered {
    std::uint64_t last = 0;  // number of the last probe that was; 0: none on this connection
    unsigned in_a_row = 0;
  };
  std::vector<engine::ProbeCount> probes_;  // of each node
  std::vector<Answered> answered_;          // the same
  std::uint64_t asked_ = 0;                 // number of the last probe, over all connections
  engine::Claims claims_;
};

}  // namespace bib::sim
