// Plan: everything about a run that is decided before it begins, drawn from the seed (swarm
// testing: which kinds of fault exist at all differs from seed to seed, so that none hides
// another). Plain values.
#pragma once

#include <cstdint>
#include <string>

#include "consensus/raft.h"
#include "engine/node/node.h"
#include "engine/node/raft_driver.h"
#include "event_queue.h"
#include "wire/base/prng.h"

namespace bib::sim {

inline constexpr Time kTickTime = engine::Node::kTickMs * kMillisecond;

struct NetworkPlan {
  Time latency_min = 0;
  Time latency_max = 0;
  std::uint32_t loss_ppm = 0;
  std::uint32_t duplicate_ppm = 0;
  std::uint32_t reorder_ppm = 0;
  std::uint32_t foreign_ppm = 0;  // repeats a message in a wrong envelope, or to a wrong node
  std::uint32_t lie_ppm = 0;      // of one node's messages: before it something untrue is said
  std::uint32_t liar = 0;         // its place
  bool through_bytes = false;     // every message is encoded and decoded
  // What a partition holds up arrives when it has ended, as TCP has it; otherwise it is lost.
  bool delivers_late = false;
  bool greets = false;  // connections begin with a greeting, which a MemberGuard judges
};

struct DiskPlan {
  Time append_min = 0;
  Time append_max = 0;
  std::uint32_t write_unit = 512;
  std::uint64_t segment_bytes = 64U << 10;
  std::uint32_t block_bytes_max = 4U << 20;
  bool prepares_segments = true;
  std::size_t queue_writes_max = 4096;  // more wait in the node
  Time stall_limit = 0;                 // a write that takes longer has stalled
};

// Small, so that a run of some hundred entries has many of them.
struct SnapshotPlan {
  bool exist = false;  // otherwise none is made, and no log is cut
  std::uint64_t threshold = 0;
  std::uint64_t interval_ticks = 0;
  std::uint64_t trailing_logs = 0;
  bool some_keep_all = false;  // every other node cuts nothing
  std::uint32_t retain_count = 1;
  std::uint32_t chunk_bytes = 0;
  std::uint32_t chunks_ahead = 1;
  unsigned retry_ticks = 0;    // of one that could not be made
  unsigned repeat_ticks = 0;   // of a request
  unsigned give_up_ticks = 0;  // and the sender's silence
  Time make_max = 0;           // of the store thread: a checkpoint, an exchange
  Time job_max = 0;            // of the pool: a step with files
  std::uint32_t die_in_job_ppm = 0;
};

// Mean time between two faults of a kind in the whole cluster; 0: this kind does not exist.
struct FaultPlan {
  Time kill = 0;                  // a process; its connections close
  Time power = 0;                 // a machine; nobody is told, and unsynced writes are lost in part
  Time blackout = 0;              // ... or a kill, of all at once
  std::uint32_t relapse_ppm = 0;  // power is lost again soon after it came back
  Time partition = 0;             // of any shape
  bool cuts_off_leaders = false;  // ... mostly of a leader, whose last entry only the others commit
  Time reset = 0;                 // a connection closes
  Time pause = 0;                 // SIGSTOP
  Time clock_jump = 0;            // wall clock
  Time disk_stall = 0;
  Time sync_failure = 0;
  Time disk_full = 0;
  Time descriptors = 0;   // a process has none left
  Time rot = 0;           // damage in what was durable; found at the next start: the node is lost
  Time snapshot_rot = 0;  // damage in a leader's newest snapshot
  Time rows_rot = 0;      // damage in a file of rows, and in the snapshots that share it
  Time copy = 0;          // a machine is copied, and the copy greets under the node's id
  Time wipe = 0;          // a disk is emptied; its node comes back under its old id
  Time stop = 0;          // SIGTERM: a node ends as it should, and is started again
  Time membership = 0;    // a change is asked for
  Time transfer = 0;
  bool clock_rates = false;             // ticks of different lengths
  std::uint32_t die_in_turn_ppm = 0;    // a node dies between two effects of one turn
  std::uint32_t die_on_change_ppm = 0;  // ... when its membership changes or it becomes leader
  std::uint32_t die_in_start_ppm = 0;   // ... while it recovers
  std::uint32_t die_in_stop_ppm = 0;    // ... while it stops
};

struct WorkloadPlan {
  unsigned clients = 1;
  unsigned keys = 1;
  Time think_min = 0;
  Time think_max = 0;
  Time patience = 0;  // until a request is repeated elsewhere
  unsigned attempts_max = 1;
  std::uint32_t write_ppm = 0;
  std::uint32_t conditional_ppm = 0;  // of the writes: with an expected revision
  std::uint32_t other_ppm = 0;        // of the writes: other kinds of command
  std::uint32_t duplicate_ppm = 0;    // requests that arrive twice
  std::uint32_t late_ppm = 0;         // refused ones that arrive again when their client went on
  std::uint32_t slow_ppm = 0;         // answers that their client takes late
  unsigned pinned = 0;                // clients that stay with one node, and change nothing
  unsigned sequences = 0;             // clients that misuse sequences (sequences.h)
  unsigned feeds = 0;                 // clients that list and follow the log's events
  std::size_t reply_bytes_max = 0;    // of a feed's events in one reply; one may be larger
  std::uint32_t value_bytes_max = 16;
  Time session_retention = 0;      // longer than any request is repeated; 0: sessions do not expire
  std::uint32_t sessions_max = 0;  // 0: without a bound
};

struct Plan {
  std::uint64_t seed = 0;
  unsigned voters = 3;
  unsigned spares = 0;  // nodes that may join later
  // One node founds the cluster, the others ask to join it; otherwise the voters begin together.
  bool grows = false;
  bool spares_join = false;  // as in a real cluster; otherwise they are added by hand
  bool on_rocksdb = false;
  std::size_t row_cache_bytes = 0;
  Time duration = 0;  // of the phase with faults
  Time housekeeping = 0;
  bool coalesces = false;             // several inputs in one turn
  bool leaves_minority_dead = false;  // healing is first shown with a bare majority
  bool changes_rows = false;          // in the end a row of one node is changed while it is down
  consensus::RaftConfig raft;
  engine::RaftDriverOptions driver;
  NetworkPlan network;
  DiskPlan disk;
  SnapshotPlan snapshots;
  FaultPlan faults;
  WorkloadPlan work;

  // After healing, the cluster must have converged by then.
  Time heal_bound() const {
    // A new client may have to wait until records of others expire.
    const Time room = work.sessions_max == 0 ? 0 : 6 * work.session_retention;
    return 10 * kSecond + 60 * kTickTime * raft.election_ticks_min + room;
  }
};

Plan draw_plan(std::uint64_t seed);
// For the head of a trace: a few lines.
std::string describe(const Plan& plan);

}  // namespace bib::sim
