// SimMachine: what the parts of a simulated process see of the machine that they run on: time,
// chance, its disk, and ways to die. SimNode is one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/ports/client_port.h"
#include "plan.h"
#include "sim_disk.h"
#include "sim_network.h"
#include "sim_state.h"
#include "trace.h"

namespace bib::sim {

class Oracle;

// How a process ends.
enum class Death : std::uint8_t {
  kNone,
  kKilled,  // its kernel closes its connections; the disk loses nothing
  kPower,   // nobody is told; unsynced writes are lost in part
};

// Where answers to clients' requests leave the nodes.
class Clients {
 public:
  virtual ~Clients() = default;
  // `more`: others follow for this request.
  virtual void on_answer(NodeIndex node, engine::Asker asker, wire::FrameKind kind,
                         wire::ByteView body, bool more) = 0;
  // The node died with requests under way.
  virtual void on_node_gone(NodeIndex node) = 0;
};

struct World {
  EventQueue& queue;
  wire::Prng& random;
  Trace& trace;
  const Plan& plan;
  Oracle& oracle;
  SimNetwork& network;
  Clients& clients;
  wire::ClusterId cluster;
  bool faults_are_on = true;
};

class SimMachine {
 public:
  virtual ~SimMachine() = default;

  virtual World& world() = 0;
  virtual NodeIndex index() const = 0;
  virtual const std::string& name() const = 0;
  virtual SimDisk& disk() = 0;
  virtual SimState& state() = 0;

  // Happens to this run of the process, not to a later one; while it is stopped (SIGSTOP), when it
  // goes on. A turn of the node follows.
  virtual void after(Time delay, std::function<void()> what) = 0;
  // A turn of the node follows soon, whatever else happens.
  virtual void turn_soon() = 0;

  // It is dead once the step that runs has ended; until then nothing of it leaves it.
  virtual bool is_dying() const = 0;
  virtual void die_after_step(Death death) = 0;
  virtual void maybe_die_here(std::uint32_t ppm) = 0;
  Death some_death() { return world().random.below(2) == 0 ? Death::kKilled : Death::kPower; }
};

}  // namespace bib::sim
