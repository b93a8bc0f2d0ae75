// Node: the parts of a node that has a log, wired together on the node loop.
//
// Made by Bibd once the log and the store are open. Turn by turn: callbacks of sockets, timers and
// mailboxes record into the driver and the desks; on_turn() proposes what was decided, runs the
// driver's effects, and flushes every connection. stop() ends it in stages: no new clients, the
// leadership handed over, the log durable and closed, the rows in RocksDB, then the handles.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/node/commands.h"
#include "engine/node/disk_watch.h"
#include "engine/node/event_feed.h"
#include "engine/node/joins.h"
#include "engine/node/member_guard.h"
#include "engine/node/membership_changes.h"
#include "engine/node/queries.h"
#include "engine/node/raft_driver.h"
#include "engine/node/snapshots.h"
#include "engine/ports/clock.h"
#include "engine/ports/entropy.h"
#include "engine/ports/logger.h"
#include "engine/ports/node_config.h"
#include "engine/ports/snapshot_port.h"
#include "engine/uv/client_server.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/listeners.h"
#include "engine/uv/peer_network.h"
#include "engine/uv/store_writer.h"
#include "engine/uv/uv_log.h"
#include "projections/apply/projector.h"

namespace bib::engine {

// What was found on disk.
struct OpenedState {
  wire::ClusterId cluster;
  LogStore::Recovered log;
  // Jobs on the pool read it: it must outlive the loop's last turn.
  projections::DurableStore* store = nullptr;
  std::unique_ptr<projections::Projector> projector;
  std::vector<wire::SnapshotManifest> snapshots;  // ascending by index
};

class Node final : public Applier,
                   public PeerSender,
                   public PeerNetwork::Handler,
                   public ClientServer::Handler,
                   public UvLog::Handler,
                   public SnapshotPort,
                   public SnapshotHost {
 public:
  // One tick of the consensus core, in milliseconds.
  static constexpr std::uint32_t kTickMs = 10;

  // What the node lives in; outlives it.
  struct World {
    EventLoop& loop;
    FileSystem& files;
    Clock& clock;
    Entropy& entropy;
    Logger& logger;
  };

  // `on_stopped` is called once, when everything is durable: with the error that ended the node, or
  // without. The loop may be stopped then.
  static wire::Result<std::unique_ptr<Node>> start(World world, const NodeConfig& config,
                                                   Listeners listeners, OpenedState state,
                                                   std::vector<wire::Member> first_members,
                                                   std::function<void(wire::Status)> on_stopped);
  ~Node() override;

  void on_turn();
  void stop();

  // ---- Applier
  wire::Status apply(const wire::Bytes& entry) override;
  void on_role(const consensus::RoleChange& change) override;
  void on_membership(const wire::Membership& membership) override;
  void on_membership_committed(const consensus::MembershipAt& committed) override;
  void on_read_ready(std::uint64_t token) override {
    queries_->on_read_ready(token);
    commands_->on_read_ready(token);
  }
  void on_read_refused(std::uint64_t token, consensus::ReadRefusal reason) override {
    queries_->on_read_refused(token, reason);
    commands_->on_read_refused(token, reason);
  }
  // ---- PeerSender
  void send(const wire::PeerMessage& message) override { network_->send(message); }
  // ---- PeerNetwork::Handler
  void on_peer_message(wire::PeerMessage&& message) override {
    if (!guard_->on_message(message)) return;
    driver_->on_message(std::move(message));
  }
  void on_peer_connected(wire::NodeId peer) override { driver_->on_peer_connected(peer); }
  void on_peer_disconnected(wire::NodeId peer) override {
    driver_->on_peer_disconnected(peer);
    snapshots_->on_peer_disconnected(peer);
  }
  void on_peer_silent(wire::NodeId peer) override { driver_->on_peer_silent(peer); }
  void on_snapshot_request(const wire::SnapshotRequest& request) override {
    snapshots_->on_request(request);
  }
  void on_snapshot_part(wire::SnapshotPart&& part) override {
    snapshots_->on_part(std::move(part));
  }
  void on_join_request(const wire::JoinRequest& request,
                       std::function<void(const wire::JoinReply&)> reply) override {
    joins_->on_join_request(request, std::move(reply));
  }
  void complete_hello(wire::PeerHello& hello) const override;
  void check_hello(const wire::PeerHello& hello, wire::PeerHelloReply& reply) override;
  void on_refused(wire::NodeId by, const wire::PeerHelloReply& reply) override;
  void on_claimed(const wire::PeerHello& hello) override;
  // ---- ClientServer::Handler
  wire::ServerHello hello() override;
  void on_command(ClientServer::Asker asker, const wire::Command& command) override {
    commands_->on_command(asker, command);
  }
  bool takes_more_this_turn() override { return !commands_->has_enough_for_a_turn(); }
  void on_query(ClientServer::Asker asker, const wire::Query& query) override {
    queries_->on_query(asker, query);
  }
  void on_read_events(ClientServer::Asker asker, const wire::ReadEvents& request) override;
  void on_status(ClientServer::Asker asker) override;
  void on_snapshots(ClientServer::Asker asker, const wire::Snapshots& request) override;
  void on_change_membership(ClientServer::Asker asker,
                            const wire::ChangeMembership& request) override {
    admin_->on_change_membership(asker, request);
  }
  void on_transfer(ClientServer::Asker asker, const wire::TransferLeadership& request) override {
    admin_->on_transfer(asker, request);
  }
  void on_session_end(SessionId session) override { feed_->on_session_end(session); }
  void on_session_drained(SessionId session) override { feed_->on_session_drained(session); }
  // ---- UvLog::Handler
  void on_log_durable(std::uint64_t append_sequence) override {
    driver_->on_durable(append_sequence);
  }
  void on_log_read(std::uint64_t token, wire::Result<std::vector<wire::Bytes>> entries) override {
    driver_->on_log_read(token, std::move(entries));
  }
  void on_log_compacted(wire::LogIndex base) override { driver_->on_log_compacted(base); }
  void on_log_failed(const wire::Error& error) override { fail(error); }
  // ---- SnapshotPort
  void send(const wire::SnapshotRequest& request) override { network_->send(request); }
  void send(const wire::SnapshotPart& part) override { network_->send(part); }
  // ---- SnapshotHost (running_node_snapshots.cc)
  void checkpoint(const std::string& directory,
                  std::function<void(wire::Result<projections::StateMark>)> done) override;
  void exchange_state(std::function<wire::Status()> swap,
                      std::function<void(wire::Status)> done) override;
  void compact_log(wire::LogIndex index) override { log_->compact(index); }
  void on_snapshot_failure(const wire::Error& error) override { fail(error); }
  void on_snapshot_news(const std::string& text, bool is_problem) override;

 private:
  Node(World world, const NodeConfig& config, std::function<void(wire::Status)> on_stopped);
  wire::Status assemble(Listeners listeners, OpenedState state,
                        const std::vector<wire::Member>& first_members);
  consensus::RaftConfig raft_config();
  void make_snapshots(std::vector<wire::SnapshotManifest> found);

  void on_tick();
  void look_at_disk();
  void on_housekeeping();
  void issue_first_token();
  void look_for_expired_sessions();
  void carry_to_store(bool even_if_small);
  void on_written(wire::Result<wire::LogIndex> result);
  void continue_snapshots();
  void list_snapshots(ClientServer::Asker asker, bool made);
  void begin_checkpoint();
  void begin_exchange();
  void check_failures();
  void fail(const wire::Error& error);
  void finish();
  std::string role_name() const;
  bool names_this_node(const wire::Membership& membership) const;
  void learn_own_part(const consensus::MembershipAt& committed);
  void leave_as_removed(wire::LogIndex index, const std::string& said_by);
  void add_counters(wire::StatusReply& reply) const;

  World world_;
  NodeConfig config_;
  std::function<void(wire::Status)> on_stopped_;
  wire::ClusterId cluster_;
  wire::BootId boot_;
  std::uint64_t started_ms_ = 0;

  projections::DurableStore* store_ = nullptr;
  std::unique_ptr<projections::Projector> projector_;
  std::unique_ptr<UvLog> log_;
  std::unique_ptr<RaftDriver> driver_;
  std::unique_ptr<MemberGuard> guard_;
  std::unique_ptr<PeerNetwork> network_;
  std::unique_ptr<ClientServer> clients_;
  std::unique_ptr<Commands> commands_;
  std::unique_ptr<Queries> queries_;
  std::unique_ptr<EventFeed> feed_;
  std::unique_ptr<Joins> joins_;
  std::unique_ptr<MembershipChanges> admin_;
  std::unique_ptr<StoreWriter> writer_;
  std::unique_ptr<Executor> pool_;
  std::unique_ptr<Snapshots> snapshots_;
  std::unique_ptr<Timer> tick_;
  std::unique_ptr<Timer> disk_look_;
  DiskWatch disk_watch_;
  std::unique_ptr<Timer> housekeeping_;
  std::shared_ptr<Node*> alive_;

  // What waits for the store thread to be free.
  struct WantedCheckpoint {
    std::string directory;
    std::function<void(wire::Result<projections::StateMark>)> done;
  };
  struct WantedExchange {
    std::function<wire::Status()> swap;
    std::function<void(wire::Status)> done;
  };
  std::optional<WantedCheckpoint> wanted_checkpoint_;
  std::optional<WantedExchange> wanted_exchange_;
  bool exchanging_ = false;  // the store is closed, or about to be: nobody may read it

  std::uint64_t log_id_ = 0;
  bool was_member_ = false;  // a committed membership of its log has named this node
  bool removed_ = false;     // and a later one does not
  bool leading_ = false;
  bool first_token_done_ = false;
  bool expiry_under_way_ = false;
  std::uint64_t last_expiry_ms_ = 0;
  std::uint64_t last_carry_ms_ = 0;
  bool stopping_ = false;
  bool finished_ = false;
  std::uint64_t stop_deadline_ms_ = 0;
  std::optional<wire::Error> failure_;
};

}  // namespace bib::engine
