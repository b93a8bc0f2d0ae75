// SimProcess: what a simulated node has between its start and its end: the ports and the node.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/node/node.h"
#include "engine/node/startup.h"
#include "engine/ports/entropy.h"
#include "engine/ports/logger.h"
#include "engine/ports/turns.h"
#include "sim_log.h"
#include "sim_machine.h"
#include "sim_peers.h"
#include "sim_sessions.h"
#include "sim_threads.h"

namespace bib::sim {

class SimNode;

// The node's own log goes into the trace.
class SimLogger final : public engine::Logger {
 public:
  SimLogger(SimMachine& machine, bool is_printed)
      : Logger(is_printed ? engine::LogLevel::kDebug : engine::LogLevel::kError),
        machine_(machine) {}

 private:
  void write(engine::LogLevel, std::string_view area, std::string_view message) override {
    machine_.world().trace.line(machine_.name(), "{}: {}", area, message);
  }

  SimMachine& machine_;
};

class SimEntropy final : public engine::Entropy {
 public:
  explicit SimEntropy(wire::Prng& random) : random_(random) {}
  std::uint64_t next() override { return random_.next(); }

 private:
  wire::Prng& random_;
};

class SimTurns final : public engine::Turns {
 public:
  SimTurns(SimMachine& machine, engine::Clock& clock) : machine_(machine), clock_(clock) {}
  std::uint64_t now_ms() const override { return clock_.monotonic_us() / 1000; }
  void continue_soon() override { machine_.turn_soon(); }
  void poll_soon() override {}

 private:
  SimMachine& machine_;
  engine::Clock& clock_;
};

class SimProcess {
 public:
  SimProcess(SimNode& machine, wire::NodeConfig config);

  std::unique_ptr<projections::DurableStore> store;  // outlives the jobs that read it
  wire::NodeConfig config;
  SimEntropy entropy;
  SimLogger logger;
  SimTurns turns;
  engine::NodePace pace;
  engine::Startup startup;
  SimPool pool;
  SimPeers peers;
  SimSessions sessions;

  // Once it has a log.
  std::unique_ptr<SimLog> log;
  std::unique_ptr<SimStoreThread> store_thread;
  std::unique_ptr<engine::Node> node;
  // Until then, where it asks to join.
  std::optional<engine::JoinPlan> joining;

  std::optional<wire::Status> stopped;  // the node has ended: why
  engine::SnapshotPtr newest_seen;
  wire::LogPosition useless;    // the last snapshot that somebody could not use, damaged as it is,
  unsigned useless_offers = 0;  // and how often
  std::size_t unwritten = 0;    // rows' bytes after the last entry that was applied
  unsigned over_limit = 0;      // entries in a row that left more than before, beyond the limit
};

}  // namespace bib::sim
