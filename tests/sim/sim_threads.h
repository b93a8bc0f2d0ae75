// SimThreads: a simulated process's pool and its store's thread: work happens at moments that the
// seed draws, as a whole, unless the process dies in it; then its disk stops after a number of
// changes that the seed draws.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "engine/ports/executor.h"
#include "engine/ports/store_port.h"
#include "projections/state/state.h"
#include "sim_machine.h"

namespace bib::sim {

struct SimJob {
  std::function<void()> work;
  std::function<void()> done;
  bool has_worked = false;
};

// Beside each other, in any order.
class SimPool final : public engine::Executor {
 public:
  explicit SimPool(SimMachine& machine) : machine_(machine) {}
  void run(std::function<void()> work, std::function<void()> done) override;
  // Some of what was asked for is done, and one thing in part.
  void end_halfway();

 private:
  void step(std::uint32_t number);

  SimMachine& machine_;
  std::map<std::uint32_t, SimJob> jobs_;
  std::uint32_t next_job_ = 0;
};

// One after another.
class SimStoreThread final : public engine::StorePort {
 public:
  SimStoreThread(SimMachine& machine, projections::DurableStore& store)
      : machine_(machine), store_(store) {}
  bool is_busy() const override { return job_.has_value(); }
  void run(std::function<void()> work, std::function<void()> done) override;
  void stop() override;
  void end_halfway();

 private:
  void step();

  SimMachine& machine_;
  projections::DurableStore& store_;
  std::optional<SimJob> job_;
  bool stopped_ = false;
};

}  // namespace bib::sim
