// What a simulated node has between its start and its death: the parts of a node, and what is under
// way for them.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/node/disk_watch.h"
#include "engine/node/member_guard.h"
#include "engine/ports/probe_count.h"
#include "projections/rules/sessions.h"
#include "sim_node.h"

namespace bib::sim {

struct SimNode::Process {
  explicit Process(const Plan& plan)
      : disk_watch(std::chrono::milliseconds(plan.disk.stall_limit / kMillisecond)),
        probes(plan.voters + plan.spares) {}

  std::unique_ptr<engine::LogStore> log;
  std::unique_ptr<engine::LogReader> reader;
  std::unique_ptr<projections::DurableStore> store;
  std::unique_ptr<projections::Projector> projector;
  std::unique_ptr<engine::RaftDriver> driver;
  std::unique_ptr<engine::Commands> commands;
  std::unique_ptr<engine::Snapshots> snapshots;
  std::unique_ptr<engine::MemberGuard> guard;

  std::deque<engine::LogStoreWrite> queued;
  std::vector<engine::LogStoreWrite> appending;
  std::uint32_t appends = 0;  // numbers the idle timers
  Time append_began = 0;      // of the one under way
  engine::DiskWatch disk_watch;
  std::vector<engine::ProbeCount> probes;  // of each node
  std::vector<LogRead> log_reads;
  std::vector<projections::DeltaPtr> storing;
  std::map<std::uint64_t, std::pair<engine::Asker, std::string>> waiting_reads;
  std::uint64_t next_read_token = 1;
  std::optional<projections::ExpiredSessions> expired;  // found; to be logged a little later
  Time next_expiry = 0;
  std::map<std::uint32_t, Job> jobs;  // the pool's
  std::uint32_t next_job = 0;
  std::optional<Job> store_job;
  wire::LogIndex compact_to;  // the log thread's: as soon as it is not writing; 0: nothing to do
  struct WantedCheckpoint {
    std::string directory;
    std::function<void(wire::Result<projections::StateMark>)> done;
  };
  struct WantedExchange {
    std::function<wire::Status()> swap;
    std::function<void(wire::Status)> done;
  };
  std::optional<WantedCheckpoint> wanted_checkpoint;
  std::optional<WantedExchange> wanted_exchange;
  bool exchanging = false;
  engine::SnapshotPtr newest_seen;
  bool leading = false;
  bool turn_is_scheduled = false;
  bool prepare_is_scheduled = false;
  bool collects = false;  // several inputs are coming; the turn follows
};

}  // namespace bib::sim
