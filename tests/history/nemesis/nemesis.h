// Nemesis: does to a running cluster what a schedule says, and makes it good again.
//
// One thread. A kind's fault ends before its next begins; a fault that meets nobody it could hit
// (all are down already) does nothing. heal() ends all of them.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cluster.h"
#include "network.h"
#include "recorder.h"
#include "schedule.h"
#include "slow_disk.h"

namespace bib::nemesis {

class Nemesis {
 public:
  Nemesis(cluster::Cluster& cluster, Network& network,
          std::vector<std::unique_ptr<SlowDisk>>& disks, Recorder& recorder)
      : cluster_(cluster), network_(network), disks_(disks), recorder_(recorder) {}

  void begin(const Fault& fault);
  void end(const Fault& fault);
  void heal();

  // Nodes that have ended although nobody killed them.
  std::vector<std::size_t> dead_by_themselves();
  std::uint64_t faults() const { return faults_; }

 private:
  // The leader half the time, or else any node, of those that `may` be hit; the choice is used up
  // bit by bit.
  std::size_t choose(std::uint64_t& choice);
  void kill(std::uint64_t choice);
  void pause(std::uint64_t choice);
  void partition(std::uint64_t choice);
  void slow_disk(std::uint64_t choice);
  void cut_both_ways(std::size_t a, std::size_t b);
  void restart_killed();
  void resume_paused();
  void quicken_disks();
  void tell(FaultKind kind, const std::string& what);

  cluster::Cluster& cluster_;
  Network& network_;
  std::vector<std::unique_ptr<SlowDisk>>& disks_;
  Recorder& recorder_;
  std::set<std::size_t> killed_;
  std::set<std::size_t> paused_;
  std::uint64_t faults_ = 0;
};

}  // namespace bib::nemesis
