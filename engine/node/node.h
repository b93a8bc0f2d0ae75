// Node: the parts of a node that has a log, wired together on the node's loop.
//
// Made once the log and the store are open. It knows no socket, thread or timer: a process
// (bibd/uv_node.h) and the simulator drive the same code through the ports of NodeWorld. Turn by
// turn: answers of the ports, ticks and requests record into the driver and the other parts;
// on_turn() proposes what was decided, runs the driver's effects, and flushes every port. stop()
// ends it in stages: no new clients, the leadership handed over, the log durable and closed, the
// rows in the store.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/node/client_side.h"
#include "engine/node/commit_notes.h"
#include "engine/node/disk_space.h"
#include "engine/node/disk_watch.h"
#include "engine/node/node_parts.h"
#include "engine/node/peer_side.h"
#include "engine/node/state_keeper.h"
#include "engine/ports/lifetime.h"

namespace bib::engine {

// The state that a node begins with: its log as it was read, and the rows in the store.
struct NodeStart {
  wire::ClusterId cluster;
  std::uint64_t log_id = 0;
  consensus::Restored restored;
  std::shared_ptr<LogReader> log_reader;
  projections::DurableStore& store;  // outlives the loop's last turn: jobs on the pool read it
  projections::ProjectorOptions projector_options;
  std::unique_ptr<projections::Projector> projector;
  FoundSnapshots snapshots;
  std::vector<wire::Member> first_members;  // whom to dial while the log names no one
};

// The options of a node's parts: what a simulation may draw; tuning_of() gives the configuration's.
struct NodeTuning {
  consensus::RaftConfig raft;
  RaftDriverOptions driver;
  SnapshotsOptions snapshots;
  EventFeedOptions feed;
  QueriesOptions queries;
  CommandsOptions commands;  // but for the cluster
};

class Node final : public Applier, public LogSink, public LogEvents {
 public:
  // How often the owner calls on_tick(), look_at_disk() and on_housekeeping(), in milliseconds.
  static constexpr std::uint32_t kTickMs = 10;
  static constexpr std::uint32_t kDiskLookMs = 50;
  static constexpr std::uint32_t kHousekeepingMs = 250;

  // What the configuration says, for start(); the rest as by default.
  static NodeTuning tuning_of(const wire::NodeConfig& config);

  // `on_stopped` is called once, when everything is durable: with the error that ended the node, or
  // without. Nothing may be called after it but the destructor.
  static wire::Result<std::unique_ptr<Node>> start(NodeWorld world, const wire::NodeConfig& config,
                                                   NodeTuning tuning, NodeStart start,
                                                   std::function<void(wire::Status)> on_stopped);
  ~Node() override;

  PeerEvents& peers() { return *peer_side_; }
  ClientEvents& clients() { return *client_side_; }
  const NodeParts& parts() const { return parts_; }
  const consensus::Raft& raft() const { return parts_.driver->raft(); }
  bool disk_is_stalled() const { return disk_watch_.is_stalled(); }

  void on_turn();
  void on_tick();
  void look_at_disk();
  void on_housekeeping();
  void stop();

  // ---- LogEvents
  void on_log_durable(std::uint64_t append_sequence) override;
  void on_log_read(std::uint64_t token, wire::Result<std::vector<wire::Bytes>> entries) override;
  void on_log_compacted(wire::LogIndex base) override { parts_.driver->on_log_compacted(base); }
  void on_log_failed(const wire::Error& error) override { fail(error); }

  // ---- Applier
  wire::Status apply(const wire::Bytes& entry) override;
  bool takes_more() const override { return state_->takes_more_rows(); }
  void on_heartbeat(wire::PeerMessage& message) override { parts_.rows->stamp(message); }
  void on_role(const consensus::RoleChange& change) override;
  void on_membership(const wire::Membership& membership) override;
  void on_membership_committed(const consensus::MembershipAt& committed) override;
  void on_conflict(const consensus::CommittedConflict& conflict) override {
    parts_.conflicts->on_conflict(conflict);
  }
  void on_read_ready(ReadAsker asker, std::uint64_t token) override;
  void on_read_refused(ReadAsker asker, std::uint64_t token,
                       consensus::ReadRefusal reason) override;

  // ---- LogSink
  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes> entries) override;
  void read(std::uint64_t token, wire::LogIndex first, wire::LogIndex last,
            std::size_t bytes_max) override {
    parts_.log->read(token, first, last, bytes_max);
  }

 private:
  Node(NodeWorld world, const wire::NodeConfig& config,
       std::function<void(wire::Status)> on_stopped);
  wire::Status assemble(NodeTuning tuning, NodeStart start);
  void make_services(const NodeTuning& tuning, const std::shared_ptr<LogReader>& reader);
  void issue_first_token();
  void look_at_space();
  void on_space(std::uint64_t free);
  void check_failures();
  void fail(const wire::Error& error);
  // As fail(), but hands the leadership over first: what is wrong is wrong with reads only.
  void give_way(const wire::Error& error);
  void note_damage();
  void finish();

  NodeParts parts_;
  std::unique_ptr<StateKeeper> state_;
  std::unique_ptr<PeerSide> peer_side_;
  std::unique_ptr<ClientSide> client_side_;
  std::unique_ptr<CommitNotes> commit_notes_;
  DiskWatch disk_watch_;
  bool looks_at_space_ = false;
  std::uint64_t next_space_look_ms_ = 0;
  std::function<void(wire::Status)> on_stopped_;
  bool leading_ = false;
  bool first_token_done_ = false;
  bool stopping_ = false;
  bool finished_ = false;
  std::uint64_t stop_deadline_ms_ = 0;
  std::optional<wire::Error> failure_;
  Lifetime<Node> lifetime_{this};
};

}  // namespace bib::engine
