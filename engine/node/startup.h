// Startup: what a node does with its data directory before it runs: finds out whose it is, founds a
// cluster or prepares to join one, reads the log, recovers the rows.
//
// Blocks; used by one thread, before the node's loop turns (or between two of its turns, when a
// node has been welcomed). The directory is locked by the caller. Errors are for a person: what is
// wrong, where, and what to do next.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "consensus/raft_types.h"
#include "engine/ports/clock.h"
#include "engine/ports/entropy.h"
#include "engine/ports/file.h"
#include "engine/ports/logger.h"
#include "engine/storage/log_reader.h"
#include "engine/storage/log_store.h"
#include "engine/storage/state_recovery.h"
#include "wire/config/node_config.h"
#include "wire/log/data_directory.h"
#include "wire/peer/peer_hello.h"

namespace bib::engine {

// A log and rows that a node can run on.
struct OpenedState {
  wire::ClusterId cluster;
  std::unique_ptr<LogStore> log;
  std::shared_ptr<LogReader> log_reader;
  consensus::Restored restored;
  std::unique_ptr<projections::DurableStore> store;
  std::unique_ptr<projections::Projector> projector;
  FoundSnapshots snapshots;
};

// How a node asks to become a member.
struct JoinPlan {
  wire::JoinRequest request;
  std::vector<std::string> addresses;  // to be tried in turn
};

class Startup {
 public:
  struct World {
    FileSystem& files;
    Clock& clock;
    Entropy& entropy;
    Logger& logger;
  };

  // `config.data_dir` exists.
  Startup(World world, const wire::NodeConfig& config);

  // The values of configuration and defaults; a simulation changes some of it before open().
  LogStoreOptions& log_options() { return log_options_; }
  StateRecoveryOptions& state_options() { return state_options_; }

  // The next step for the directory. Looks before anything is written, founded or joined; an
  // error where the node must not start on it.
  struct Standing {
    wire::DirectoryVerdict verdict{};  // never kRefuse
    wire::ClusterId cluster;           // of the log that is there
  };
  wire::Result<Standing> look() const;
  // Opens what is there, or begins an empty log, which a founder's membership of itself is put
  // into.
  wire::Result<OpenedState> open(wire::ClusterId cluster);
  // The id of a cluster that does not exist yet.
  wire::ClusterId draw_cluster_id();
  // kConfig, kUnauthenticated: nothing in the configuration says how to join.
  wire::Result<JoinPlan> plan_join();

  std::string log_directory() const { return join_path(config_.data_dir, wire::kLogName); }

 private:
  wire::Member self() const;
  wire::Result<LogStore::Recovered> open_log(wire::ClusterId cluster);
  wire::Status found_cluster(LogStore::Recovered& log, wire::ClusterId cluster);
  wire::Result<std::uint64_t> choose_log_id();
  wire::Status forget_joining();
  std::string joining_path() const;
  wire::Result<std::vector<std::string>> join_addresses(std::string& secret) const;

  World world_;
  const wire::NodeConfig& config_;
  LogStoreOptions log_options_;
  StateRecoveryOptions state_options_;
  std::uint64_t joining_log_id_ = 0;  // of the log to begin once the cluster says welcome
};

}  // namespace bib::engine
