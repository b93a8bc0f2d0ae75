// RawClients: what `bib` never does, over real sockets, beside the workload.
//
// One thread for each node reads at every level and hears that node alone. One more writes under
// sequences of its own, sends the same bytes again, to the leader or anybody, also when it has
// acknowledged them, and other bytes under a known sequence; its writes are part of the history. An
// answer that docs/wire-protocol.md ("Exactly once") does not allow is told to the workload.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "workload.h"

namespace bib::nemesis {

class RawClients {
 public:
  // The workload and the recorder outlive it.
  RawClients(const WorkloadOptions& options, Workload& workload, Recorder& recorder);
  ~RawClients();

  // Before the workload's stop().
  void stop();
  std::uint64_t repeats() const { return repeats_; }

 private:
  class Writer;

  void read(std::size_t node);
  void write();

  WorkloadOptions options_;
  Workload& workload_;
  Recorder& recorder_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> repeats_ = 0;  // that were answered
  std::vector<std::thread> threads_;
};

}  // namespace bib::nemesis
