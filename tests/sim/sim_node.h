// SimNode: one machine of the simulated cluster: its disk, and, while it runs, a process made of
// the real parts: LogStore and LogReader, RaftDriver with Raft, Projector over its store,
// Commands, Snapshots.
//
// Stands where engine/node/node.h and engine/uv/uv_log.h stand in a real node, and does what they
// do in the same order; only threads, sockets and timers are simulated. An append to the log takes
// simulated time and happens at the end of it; a crash in between leaves the disk after any of the
// append's file operations.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkers.h"
#include "engine/node/commands.h"
#include "engine/node/raft_driver.h"
#include "engine/node/snapshots.h"
#include "engine/ports/clock.h"
#include "engine/storage/log_reader.h"
#include "engine/storage/log_store.h"
#include "engine/storage/state_recovery.h"
#include "plan.h"
#include "projections/apply/projector.h"
#include "sim_disk.h"
#include "sim_network.h"
#include "sim_state.h"
#include "trace.h"

namespace bib::sim {

// How a process ends.
enum class Death : std::uint8_t {
  kNone,
  kKilled,  // its kernel closes its connections; the disk loses nothing
  kPower,   // nobody is told; unsynced writes are lost in part
};

// Answers to clients' requests leave here.
class Clients {
 public:
  virtual ~Clients() = default;
  virtual void on_answer(engine::Asker asker, wire::FrameKind kind, wire::ByteView body) = 0;
  struct Read {
    bool refused = false;
    Oracle::Seen seen;
  };
  virtual void on_read(engine::Asker asker, Read&& read) = 0;
  // The node died with requests under way.
  virtual void on_node_gone(NodeIndex node) = 0;
};

inline constexpr Time kProbeInterval = 100 * kMillisecond;  // as PeerNetworkOptions

struct World {
  EventQueue& queue;
  wire::Prng& random;
  Trace& trace;
  const Plan& plan;
  Oracle& oracle;
  SimNetwork& network;
  Clients& clients;
  wire::ClusterId cluster;
  bool faults_are_on = true;
};

class SimNode final : public EventTarget,
                      public SimNetwork::Host,
                      public engine::LogSink,
                      public engine::PeerSender,
                      public engine::Applier,
                      public engine::SnapshotKeeper,
                      public engine::SnapshotHost,
                      public engine::SnapshotPort,
                      public engine::Executor,
                      public engine::ClientAnswers,
                      public engine::Clock {
 public:
  SimNode(World& world, NodeIndex index);
  ~SimNode() override;

  NodeIndex index() const { return index_; }
  wire::NodeId id() const { return id_of(index_); }
  const std::string& name() const { return name_; }

  // ---- life and death
  // An empty disk gets a log that begins with this membership (all founders have the same).
  void found(const wire::Membership& membership);
  void start();
  void start_later(Time delay);
  // `restart_after`: comes back by itself then.
  void die(Death death, std::optional<Time> restart_after);
  void pause();
  void resume();
  // For ever: its disk is damaged.
  bool is_lost() const { return is_lost_ || rotten_; }
  // Its disk is new: a log that it begins has another id.
  void wipe();
  // From then on nobody may count it, until it has been removed and joins anew with its new log.
  bool is_wiped() const { return is_wiped_; }
  void join_anew() { is_wiped_ = false; }
  std::uint64_t log_id() const { return log_id_; }
  // With the disk that it has.
  bool is_member_of(const wire::Membership& membership) const;
  // Damages an entry that is durable and has durable entries behind it: a bit flips, another write
  // has gone there, or its segment's file has another one's name. The node is down.
  bool rot();

  // ---- faults
  void stall_disk(Time duration);
  void fail_next_sync(bool forgets) { disk_.fail_next_sync(forgets); }
  void limit_space(std::optional<std::uint64_t> more) { disk_.limit_space(more); }
  void jump_clock(std::int64_t by_us) { clock_offset_us_ += by_us; }
  void set_tick(Time tick);
  void heal();

  // ---- requests
  void on_command(engine::Asker asker, wire::ByteView body);
  void on_read(engine::Asker asker, const std::string& key, wire::Consistency consistency);
  // While it is stopped: a client's request that is read when it goes on.
  void defer(std::function<void()> request);
  wire::Status change_membership(std::span<const consensus::MembershipChange> changes);
  wire::Status transfer(std::optional<wire::NodeId> target);

  // ---- what the oracle sees
  const consensus::Raft* raft() const;
  const projections::StateMark* mark() const;
  // The digests, computed anew from the rows, are those of the mark.
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
  // Consensus was told so.
  bool disk_is_stalled() const;

  // ---- SimNetwork::Host
  bool is_running() const override { return process_ != nullptr; }
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

  // ---- SnapshotHost, SnapshotPort, Executor
  void checkpoint(const std::string& directory,
                  std::function<void(wire::Result<projections::StateMark>)> done) override;
  void exchange_state(std::function<wire::Status()> swap,
                      std::function<void(wire::Status)> done) override;
  void compact_log(wire::LogIndex index) override;
  void on_snapshot_failure(const wire::Error& error) override;
  void on_snapshot_news(const std::string& text, bool is_problem) override;
  void send(const wire::SnapshotRequest& request) override;
  void send(const wire::SnapshotPart& part) override;
  void run(std::function<void()> work, std::function<void()> done) override;

  // ---- LogSink, PeerSender, Applier, ClientAnswers, Clock
  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes> entries) override;
  void read(std::uint64_t token, wire::LogIndex first, wire::LogIndex last,
            std::size_t bytes_max) override;
  void send(const wire::PeerMessage& message) override;
  wire::Status apply(const wire::Bytes& entry) override;
  void on_role(const consensus::RoleChange& change) override;
  void on_membership(const wire::Membership& membership) override;
  void on_read_ready(std::uint64_t token) override;
  void on_read_refused(std::uint64_t token, consensus::ReadRefusal reason) override;
  void send_snapshot(wire::NodeId to, wire::LogIndex at_least) override;
  void receive_snapshot(wire::NodeId from, wire::LogPosition last) override;
  void on_install_durable(wire::LogPosition last) override;
  void answer(engine::Asker asker, wire::FrameKind kind, wire::ByteView body) override;
  std::int64_t now_us() override;
  std::uint64_t monotonic_us() override;

  void on_event(std::uint32_t code, std::uint64_t argument) override;

 private:
  enum Code : std::uint32_t {
    kStart,
    kTick,
    kTurn,
    kAppended,
    kLogRead,
    kIdle,
    kPrepare,
    kHousekeeping,
    kStored,
    kResume,
    kJob,
    kStoreJob,
    kCompact,
    kCompacted,
    kProbe,
    kExpire,
  };
  struct Process;
  struct LogRead {
    std::uint64_t token = 0;
    wire::LogIndex first;
    wire::LogIndex last;
    std::size_t bytes_max = 0;
  };
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
    bool has_worked = false;
  };
  struct Deferred {  // what happens while the process is stopped
    enum class Kind : std::uint8_t {
      kEvent,
      kMessage,
      kSnapshotRequest,
      kSnapshotPart,
      kConnected,
      kDisconnected,
      kRequest
    };
    Kind kind = Kind::kEvent;
    std::uint32_t code = 0;
    std::uint64_t argument = 0;
    wire::NodeId peer;
    wire::PeerMessage message;
    wire::SnapshotRequest request;
    wire::SnapshotPart part;
    std::function<void()> call;
  };

  static constexpr std::size_t kAppendEndsKept = 4;
  static constexpr char kLogDirectory[] = "/log";
  static constexpr char kDataDirectory[] = "/data";

  wire::Status boot_process();
  wire::Result<engine::LogStore::Recovered> open_log();
  void check_recovered(const engine::LogStore::Recovered& recovered) const;
  void refuse_to_start(const wire::Error& error);
  void schedule(Time delay, Code code, std::uint32_t argument = 0);

  void input();  // something was recorded: a turn now, or soon
  void turn();
  void end_step();
  void maybe_die_here(std::uint32_t ppm);
  bool is_dying() const { return dying_ != Death::kNone; }

  void tick();
  void watch_disk();
  void probe();
  void begin_append();
  void finish_append();
  void append_half();
  void store_half();
  std::string segment_path(std::uint64_t segment) const;
  bool damage(const engine::EntryLocation& entry, const engine::EntryLocation& other);
  void note_cut(const std::vector<engine::LogStoreWrite>& writes);
  void finish_read(std::uint32_t slot);
  void housekeeping();
  void finish_store();
  void look_for_expired_sessions();
  void expire_sessions();
  void run_read(engine::Asker asker, const std::string& key);
  void turn_soon();

  // sim_node_snapshots.cc
  wire::Result<engine::RecoveredState> recover_state(engine::LogStore::Recovered& log);
  void check_recovered_state(const engine::LogStore::Recovered& log,
                             const engine::RecoveredState& state);
  void check_cut(wire::LogIndex base, const std::vector<wire::SnapshotManifest>& snapshots);
  void make_snapshots(std::vector<wire::SnapshotManifest> found);
  Time work_time(Time most);
  bool do_work(const std::function<void()>& work);
  void step_job(std::uint32_t number);
  void work_half();
  bool store_is_busy() const;
  void run_on_store(std::function<void()> work, std::function<void()> done);
  void step_store_job();
  void continue_snapshots();
  void begin_checkpoint();
  void check_checkpoint(const std::string& directory, const projections::StateMark& mark);
  void begin_exchange();
  void note_decided();
  void fail_on_disk(const wire::Error& error);
  void compact_now();
  void handle(Deferred&& deferred);

  World& world_;
  const NodeIndex index_;
  const std::string name_;

  // The machine.
  SimDisk disk_;
  SimState state_;
  std::shared_ptr<const engine::LogLocations> durable_log_;
  std::map<std::uint64_t, std::shared_ptr<const engine::LogLocations>> lost_logs_;
  wire::HardState durable_hard_state_;
  static constexpr wire::LogIndex kNoCut{UINT64_MAX};
  wire::LogIndex cut_ = kNoCut;             // a write that was cut off may have truncated from here
  std::deque<wire::LogIndex> append_ends_;  // of the last few appends, oldest first
  wire::LogIndex maybe_cut_to_;             // a compaction may have been cut off
  wire::LogIndex decided_;
  bool rotten_ = false;
  bool is_lost_ = false;
  bool is_wiped_ = false;
  std::uint64_t log_id_ = 0;
  std::int64_t clock_offset_us_ = 0;
  Time tick_ = kTickTime;
  Time tick_set_at_ = 0;         // its monotonic clock runs as its ticks do
  std::uint64_t steady_us_ = 0;  // what it stood at then
  Time disk_stalls_until_ = 0;

  // The process.
  std::uint32_t boot_ = 0;
  std::unique_ptr<Process> process_;
  Death dying_ = Death::kNone;
  bool paused_ = false;
  std::vector<Deferred> deferred_;
  std::optional<wire::Membership> founders_;
};

}  // namespace bib::sim
