// SimNode: one machine of the simulated cluster: its disk, its clocks, and, while it runs, a
// process: the node itself (engine/node/node.h), between ports over the simulated disk, network,
// threads and clients.
//
// The process starts as a real one does (engine/node/startup.h), and stops as a real one does, or
// dies at any moment.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkers.h"
#include "engine/node/node.h"
#include "engine/node/startup.h"
#include "engine/ports/clock.h"
#include "engine/storage/patient_files.h"
#include "sim_log.h"
#include "sim_machine.h"
#include "sim_process.h"

namespace bib::sim {

// The line of a node with this log.
wire::Member member_of(NodeIndex node, std::uint64_t log_id);

class SimNode final : public EventTarget,
                      public SimMachine,
                      public SimNetwork::Host,
                      public LogWatcher,
                      public engine::NodeObserver,
                      public engine::Clock {
 public:
  SimNode(World& world, NodeIndex index);
  ~SimNode() override;

  wire::NodeId id() const { return id_of(index_); }

  // ---- life and death
  // Its disk gets a log that begins with this membership (all founders have the same).
  void found(const wire::Membership& membership);
  // Founds a cluster by itself when it starts, or asks to join one.
  void found_alone() { founds_alone_ = true; }
  void join_first() { joins_ = true; }
  bool waits_to_join() const { return joins_ && !durable_log_; }
  void start();
  void start_later(Time delay);
  // SIGTERM. Comes back by itself some time after it has ended.
  void stop(Time restart_after);
  // `restart_after`: comes back by itself then.
  void die(Death death, std::optional<Time> restart_after);
  void pause();
  void resume();
  // Its disk is damaged, and it does not start again.
  bool is_lost() const { return is_lost_ || damage_.of_log || damage_.of_rows; }
  // Its disk is new: a log that it begins has another id.
  void wipe();
  // From then on nobody may count it, until it has been removed and joins with its new log.
  bool is_wiped() const { return is_wiped_; }
  void rejoin() { is_wiped_ = false; }
  std::uint64_t log_id() const { return log_id_; }
  // With the disk that it has.
  bool is_member_of(const wire::Membership& membership) const;
  // Damages an entry that is durable and has durable entries after it: a bit flips, another write
  // has gone there, or its segment's file has another one's name. The node is down.
  bool rot();
  // Damages a file of its newest snapshot, or takes it away; the rows keep theirs. It leads: what
  // is about to be put in place is another matter.
  void damage_snapshot();
  // Damages a file of its rows, and with it every snapshot that shares it.
  bool damage_rows();

  // At its next start, before it looks at them, one of its rows is changed; with `digest_too` as if
  // the log had it so. Or all rows are gone.
  void change_row_at_start(bool digest_too) { rows_fault_.digest_too = digest_too; }
  void lose_rows_at_start() { rows_fault_.loses_all = true; }
  // The configuration's key whose row was changed; empty: there was none.
  const std::string& changed_key() const { return rows_fault_.changed_key; }
  // It has found that its rows are not those of a majority.
  bool rows_differ() const;

  // ---- faults
  void stall_disk(Time duration);
  void fail_next_sync(bool forgets) {
    disk_.fail_next_sync(forgets);
    damage_.had_faults = true;
  }
  void limit_space(std::optional<std::uint64_t> more) {
    disk_.limit_space(more);
    damage_.had_faults = true;
  }
  // For a few tries of whoever opens a file first.
  void take_descriptors() { disk_.refuse_opening(true); }
  void jump_clock(std::int64_t by_us) { clock_offset_us_ += by_us; }
  void set_tick(Time tick);
  void heal();

  // ---- requests
  // A client's frame arrives; where nobody listens the client is told so.
  void on_request(engine::Asker asker, wire::FrameKind kind, std::vector<std::uint8_t> body);
  void on_hang_up(engine::SessionId session);
  void on_join_request(const wire::JoinRequest& request,
                       std::function<void(const wire::JoinReply&)> reply);
  // By hand, past MembershipChanges: so members come that never asked to join.
  wire::Status change_membership(std::span<const consensus::MembershipChange> changes);

  // ---- what the oracle sees
  const consensus::Raft* raft() const override;
  const projections::StateMark* mark() const;
  // The digests, computed again from the rows, are those of the mark.
  wire::Status check_rows() const;
  // Durable as far as anybody was told; also of a node that is down. Null: nothing was ever.
  const engine::LogLocations* durable_log() const { return durable_log_.get(); }
  // That of one of its disks, also of one that was emptied: as it was then.
  const engine::LogLocations* durable_log_of(std::uint64_t log_id) const;
  bool has_lost_a_disk() const { return !lost_logs_.empty(); }
  wire::HardState durable_hard_state() const { return durable_hard_state_; }
  // Up to here a snapshot stands for what the log lacks: its installation was decided, durably, and
  // has not ended.
  wire::LogIndex durable_snapshot() const { return decided_; }
  bool disk_is_stalled() const;  // consensus was told so
  std::uint32_t runs() const { return boot_; }

  // ---- SimMachine
  World& world() override { return world_; }
  NodeIndex index() const override { return index_; }
  const std::string& name() const override { return name_; }
  // Somebody learned that a snapshot which this node offers is of no use.
  void on_useless_snapshot(wire::LogPosition snapshot);
  SimDisk& disk() override { return disk_; }
  engine::FileSystem& files() { return files_; }  // as its process sees them
  SimState& state() override { return state_; }
  void after(Time delay, std::function<void()> what) override;
  void turn_soon() override;
  bool is_dying() const override { return dying_ != Death::kNone; }
  void die_after_step(Death death) override {
    if (!is_dying()) dying_ = death;
  }
  void maybe_die_here(std::uint32_t ppm) override;

  // ---- SimNetwork::Host
  bool is_running() const override { return process_ != nullptr && process_->node != nullptr; }
  bool is_paused() const override { return paused_; }
  wire::BootId boot() const override { return wire::BootId(boot_); }
  wire::ClusterId cluster() const override { return world_.cluster; }
  void on_arrival(const wire::PeerMessage& message) override;
  void on_peer_message(wire::PeerMessage&& message) override;
  void on_snapshot_request(wire::SnapshotRequest&& request) override;
  void on_snapshot_part(wire::SnapshotPart&& part) override;
  void on_peer_connected(wire::NodeId peer) override;
  void on_peer_disconnected(wire::NodeId peer) override;
  wire::PeerHello hello() const override;
  std::optional<std::string> check_hello(const wire::PeerHello& hello) override;
  engine::Claims::Verdict judge(const wire::PeerHello& hello) override;
  unsigned answered_in_a_row(NodeIndex peer) const override;
  void on_refused(wire::NodeId by, const wire::PeerHelloReply& reply) override;
  void expect_term(wire::Term term) override;

  // ---- LogWatcher
  void on_durable_writes(const std::vector<engine::LogStoreWrite>& writes) override;
  void on_writes_in_doubt(const std::vector<engine::LogStoreWrite>& writes) override;
  void on_cut(wire::LogIndex base) override;
  void on_cut_in_doubt(wire::LogIndex base) override;

  // ---- NodeObserver
  void before_message(const wire::PeerMessage& message) override;
  void before_suspicion(wire::NodeId peer) override;
  void on_written(const consensus::LogWrite& write,
                  const std::vector<wire::Bytes>& entries) override;
  void on_applied(const wire::Bytes& entry, const projections::StateMark& mark) override;
  void on_role(const consensus::RoleChange& change) override;
  void on_membership(const wire::Membership& membership) override;
  void on_store_write(const std::vector<projections::DeltaPtr>& deltas) override;
  void on_installed(const projections::StateMark& before,
                    const projections::StateMark& after) override;

  // ---- Clock
  std::int64_t now_us() const override;
  std::uint64_t monotonic_us() const override;

  void on_event(std::uint32_t code, std::uint64_t argument) override;

 private:
  enum Code : std::uint32_t { kStart, kCall };
  friend class SimProcess;

  static constexpr std::size_t kAppendEndsKept = 4;
  static constexpr char kDataDirectory[] = "/data";

  // ---- start (sim_node_start.cc)
  wire::NodeConfig node_config() const;
  engine::NodeTuning tuning() const;
  wire::Status begin_process();
  wire::Status change_rows(const std::string& directory);
  wire::Status open_and_run(wire::ClusterId cluster, std::vector<wire::Member> first_members);
  void ask_to_join();
  void on_join_reply(const wire::JoinReply& reply);
  void run_timers();
  void note_founding(const engine::OpenedState& state);
  void check_recovered(const engine::OpenedState& state);
  void check_cut(wire::LogIndex base, const std::vector<wire::SnapshotManifest>& snapshots);
  wire::Result<projections::StateMark> verify_rows(const std::string& directory);
  void refuse_to_start(const wire::Error& error);
  void started();

  // ---- steps
  void happen(std::function<void()> what);
  void input();  // something was recorded: a turn now, or soon
  void turn();
  void end_step();
  void on_stopped(const wire::Status& status);
  void look_at_snapshots();
  void every(Time period, void (SimNode::*what)());
  void tick();
  void housekeeping();
  void check_sessions() const;
  void check_unwritten();

  // ---- disk (sim_node_disk.cc)
  bool wait_for_descriptor();
  std::string segment_path(std::uint64_t segment) const;
  bool is_damaged(wire::LogPosition snapshot) const;
  bool damage(const engine::EntryLocation& entry, const engine::EntryLocation& other);

  World& world_;
  const NodeIndex index_;
  const std::string name_;

  // The machine.
  SimDisk disk_;
  engine::PatientFiles files_;
  SimState state_;
  std::shared_ptr<const engine::LogLocations> durable_log_;
  std::map<std::uint64_t, std::shared_ptr<const engine::LogLocations>> lost_logs_;
  wire::HardState durable_hard_state_;
  static constexpr wire::LogIndex kNoCut{UINT64_MAX};
  wire::LogIndex cut_ = kNoCut;  // a write that was cut off may have truncated from here
  struct Appends {
    std::deque<wire::LogIndex> ends;  // of the last few that wrote anything, oldest first
    std::uint64_t syncs = 0;          // of the log, so far in this run
  };
  Appends appends_;
  wire::LogIndex maybe_cut_to_;  // a compaction may have been cut off
  wire::LogIndex decided_;
  struct DiskDamage {
    bool of_log = false;   // found at the next start: the node is lost
    bool of_rows = false;  // until a start has restored them, or has said that it cannot
    std::vector<wire::LogPosition> of_snapshots;
    bool had_faults = false;  // calls have failed
  };
  DiskDamage damage_;
  bool is_lost_ = false;
  bool is_wiped_ = false;
  bool founds_alone_ = false;
  bool joins_ = false;
  struct RowsFault {
    std::optional<bool> digest_too;  // a row is to be changed
    bool loses_all = false;
    std::string changed_key;
  };
  RowsFault rows_fault_;
  std::uint64_t log_id_ = 0;
  std::int64_t clock_offset_us_ = 0;
  Time tick_ = kTickTime;
  Time tick_set_at_ = 0;         // its monotonic clock runs as its ticks do
  std::uint64_t steady_us_ = 0;  // what it stood at then
  Time disk_stalls_until_ = 0;

  // The process.
  std::uint32_t boot_ = 0;
  std::unique_ptr<SimProcess> process_;
  Death dying_ = Death::kNone;
  bool paused_ = false;
  bool collects_ = false;  // several inputs are coming; the turn follows
  bool turn_is_scheduled_ = false;
  bool turn_is_due_ = false;
  Time restart_after_stop_ = 0;
  std::vector<std::function<void()>> deferred_;  // what a stopped process finds when it goes on
  std::vector<std::function<void()>> calls_;     // on their way, by slot
  std::vector<std::uint32_t> free_calls_;
  bool message_was_taken_ = false;
};

}  // namespace bib::sim
