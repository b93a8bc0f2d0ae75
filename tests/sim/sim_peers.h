// SimPeers: the peers' port of a simulated process: its end of the simulated network, and probes.
#pragma once

#include <vector>

#include "engine/ports/peer_port.h"
#include "engine/ports/probe_count.h"
#include "sim_machine.h"

namespace bib::sim {

inline constexpr Time kProbeInterval = 100 * kMillisecond;  // as PeerNetworkOptions

class SimPeers final : public engine::PeerPort {
 public:
  SimPeers(SimMachine& machine, std::size_t nodes) : machine_(machine), probes_(nodes) {}
  void attach(engine::PeerEvents& events) { events_ = &events; }
  void start();

  void heard(NodeIndex peer) { probes_[peer].heard(); }
  void on_connected(NodeIndex peer) { probes_[peer] = {}; }

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
  std::vector<engine::ProbeCount> probes_;  // of each node
};

}  // namespace bib::sim
