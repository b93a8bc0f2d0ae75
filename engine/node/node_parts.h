// NodeParts: what a node is made of. Node owns it and puts it together; the node's sides (peers,
// clients, state) find each other through it.
//
// All of it lives on the node's loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "engine/node/commands.h"
#include "engine/node/conflicts.h"
#include "engine/node/disk_space.h"
#include "engine/node/event_feed.h"
#include "engine/node/joins.h"
#include "engine/node/log_outbox.h"
#include "engine/node/member_guard.h"
#include "engine/node/membership_changes.h"
#include "engine/node/observer.h"
#include "engine/node/queries.h"
#include "engine/node/raft_driver.h"
#include "engine/node/rows_guard.h"
#include "engine/node/snapshots.h"
#include "engine/ports/client_port.h"
#include "engine/ports/clock.h"
#include "engine/ports/entropy.h"
#include "engine/ports/executor.h"
#include "engine/ports/file.h"
#include "engine/ports/log_port.h"
#include "engine/ports/logger.h"
#include "engine/ports/peer_port.h"
#include "engine/ports/store_port.h"
#include "engine/ports/turns.h"
#include "projections/apply/projector.h"
#include "wire/config/node_config.h"

namespace bib::engine {

// How often a node looks at what it is not told of, and how much waits for that.
struct NodePace {
  std::uint64_t expiry_ms = 60'000;  // between two looks for records of requests that expire
  std::size_t expire_max = 64;       // records in one event: all may be cold rows, on each node
  std::uint64_t keep_ms = 60'000;    // so long a record stays, however many there are
  // What changed goes to the store when it has grown to this size, or after this time: the longer
  // it waits, the more changes of one row become one write, and the more is replayed after a crash.
  std::size_t carry_bytes = 32U << 20;
  std::uint64_t carry_ms = 3000;
  // What the store has taken it may have in memory only, without a log of its own; so often it is
  // made durable, or a start after a crash would replay minutes of few writes.
  std::uint64_t flush_ms = 10'000;
  std::uint64_t note_ms = 1000;       // between two notes of what is committed
  std::uint64_t space_ms = 1000;      // between two looks at the disk's free space
  std::uint64_t hand_over_ms = 1000;  // that a node which stops waits for its successor
};

// A node's world; outlives it. A process has one kind (bibd/uv_node.h), the simulator
// another.
struct NodeWorld {
  Turns& turns;
  LogPort& log;
  PeerPort& peers;
  ClientPort& clients;
  StorePort& store_thread;
  Executor& pool;
  FileSystem& files;
  Clock& clock;
  Entropy& entropy;
  Logger& logger;
  const NodePace& pace;
  NodeObserver* observer = nullptr;  // null: none
  std::function<std::uint64_t()> resident_bytes = [] { return 0; };
};

struct NodeParts {
  NodeParts(NodeWorld the_world, wire::NodeConfig the_config)
      : world(std::move(the_world)),
        config(std::move(the_config)),
        space(config.limits.disk_reserve) {}

  NodeWorld world;
  wire::NodeConfig config;
  DiskSpace space;
  wire::ClusterId cluster;
  std::uint64_t log_id = 0;
  // An error that the node must not survive: it stops.
  std::function<void(const wire::Error&)> fail;
  // The same, but it may hand over its leadership first.
  std::function<void(const wire::Error&)> give_way;
  std::optional<wire::Error> state_damage;  // found in the state's files, but not by the store

  // Jobs on the pool read it: it must outlive the loop's last turn.
  projections::DurableStore* store = nullptr;
  projections::ProjectorOptions projector_options;
  std::unique_ptr<projections::Projector> projector;
  std::unique_ptr<LogOutbox> log;
  std::unique_ptr<RaftDriver> driver;
  std::unique_ptr<MemberGuard> guard;
  std::unique_ptr<RowsGuard> rows;
  std::unique_ptr<Commands> commands;
  std::unique_ptr<Queries> queries;
  std::unique_ptr<EventFeed> feed;
  std::unique_ptr<Joins> joins;
  std::unique_ptr<MembershipChanges> changes;
  std::unique_ptr<Snapshots> snapshots;
  std::unique_ptr<Conflicts> conflicts;
};

}  // namespace bib::engine
