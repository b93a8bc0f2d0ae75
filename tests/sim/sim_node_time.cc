// A simulated node's clocks, and what it notices as time passes: peers that do not answer, and a
// disk that stalls.
#include <utility>

#include "sim_node.h"
#include "sim_process.h"

namespace bib::sim {

std::uint64_t SimNode::monotonic_us() {
  return steady_us_ + (world_.queue.now() - tick_set_at_) * kTickTime / tick_;
}

void SimNode::set_tick(Time tick) {
  steady_us_ = monotonic_us();
  tick_set_at_ = world_.queue.now();
  tick_ = tick;
}

bool SimNode::disk_is_stalled() const {
  return process_ && process_->disk_watch.is_stalled();
}

// ---- what a stopped process finds when it goes on

void SimNode::defer(std::function<void()> request) {
  Deferred deferred;
  deferred.kind = Deferred::Kind::kRequest;
  deferred.call = std::move(request);
  deferred_.push_back(std::move(deferred));
}

// ---- what it notices

// As Node::watch_disk().
void SimNode::watch_disk() {
  Process& process = *process_;
  const Time running = process.appending.empty() ? 0 : world_.queue.now() - process.append_began;
  const auto stalled = process.disk_watch.look(std::chrono::microseconds(running));
  if (!stalled) return;
  world_.trace.line(name_, "{}", *stalled ? "sees that its disk stalls" : "its disk works again");
  process.driver->on_disk_stalled(*stalled);
}

// As PeerNetwork::Link::probe(); the way there and back is taken to be as it is now.
void SimNode::probe() {
  schedule(kProbeInterval, kProbe);
  for (NodeIndex peer = 0; peer < process_->probes.size(); ++peer) {
    if (peer == index_ || !world_.network.is_connected(index_, peer)) continue;
    engine::ProbeCount& probes = process_->probes[peer];
    if (world_.network.answers(index_, peer)) probes.heard();
    switch (probes.turn()) {
      case engine::ProbeCount::Verdict::kAlive:
        break;
      case engine::ProbeCount::Verdict::kSilent:
        world_.trace.line(name_, "n{} does not answer", peer + 1);
        world_.oracle.before_suspicion(*this, id_of(peer));
        process_->driver->on_peer_silent(id_of(peer));
        break;
      case engine::ProbeCount::Verdict::kGone:
        world_.network.hang_up(index_, peer);
        break;
    }
  }
  input();
}

}  // namespace bib::sim
