#include "engine/node/node.h"

#include <algorithm>
#include <utility>

#include "projections/rules/join_tokens.h"
#include "projections/rules/sessions.h"
#include "wire/base/check.h"
#include "wire/base/secret.h"
#include "wire/base/version.h"

namespace bib::engine {
namespace {

using wire::ErrorCode;

constexpr std::uint64_t kHousekeepingMs = 250;
constexpr std::uint64_t kExpiryMs = 60'000;
// What changed goes to RocksDB when it has grown to this size, or after this time: the longer it
// waits, the more changes of one row become one write, and the more is replayed after a crash.
constexpr std::size_t kCarryBytes = 32U << 20;
constexpr std::uint64_t kCarryMs = 3000;
constexpr std::uint64_t kHandOverMs = 1000;
constexpr std::uint64_t kDiskLookMs = 50;
constexpr std::int64_t kTokenLifeUs = 24LL * 3600 * 1'000'000;

unsigned in_ticks(std::uint32_t milliseconds) {
  return std::max(1U, milliseconds / Node::kTickMs);
}

}  // namespace

wire::Result<std::unique_ptr<Node>> Node::start(World world, const NodeConfig& config,
                                                Listeners listeners, OpenedState state,
                                                std::vector<wire::Member> first_members,
                                                std::function<void(wire::Status)> on_stopped) {
  std::unique_ptr<Node> node(new Node(world, config, std::move(on_stopped)));
  BIB_TRY_VOID(node->assemble(std::move(listeners), std::move(state), first_members));
  return node;
}

Node::Node(World world, const NodeConfig& config, std::function<void(wire::Status)> on_stopped)
    : world_(world),
      config_(config),
      on_stopped_(std::move(on_stopped)),
      boot_(world.entropy.next()),
      started_ms_(world.loop.now_ms()),
      disk_watch_(std::chrono::milliseconds(config.raft.disk_stall_timeout_ms)),
      alive_(std::make_shared<Node*>(this)) {}

Node::~Node() = default;

wire::Status Node::assemble(Listeners listeners, OpenedState state,
                            const std::vector<wire::Member>& first_members) {
  cluster_ = state.cluster;
  store_ = state.store;
  projector_ = std::move(state.projector);
  log_id_ = state.log.store->identity().log_id;
  const consensus::RaftConfig raft = raft_config();
  const consensus::Restored restored = restored_from(state.log, projector_->applied_index());
  BIB_TRY_VOID(consensus::check_restored(raft, restored));
  log_ = std::make_unique<UvLog>(world_.loop, world_.files, std::move(state.log.store), this);
  make_snapshots(std::move(state.snapshots));
  RaftDriverOptions options;
  options.cluster = cluster_;
  options.cache_bytes = config_.log.cache_bytes;
  options.run_base = world_.entropy.next();
  driver_ = std::make_unique<RaftDriver>(raft, restored, options, *log_, *this, *this, *snapshots_,
                                         world_.clock);
  snapshots_->attach(*driver_);
  guard_ = std::make_unique<MemberGuard>(driver_->raft());
  for (const consensus::MembershipAt& known : restored.memberships) {
    // What names this node counts even if it is not known to be committed yet: it is one that
    // others know.
    const bool named = names_this_node(known.membership);
    if (named || known.index <= restored.applied) learn_own_part(known);
  }

  PeerNetworkOptions peers;
  peers.self = config_.node_id;
  peers.boot = boot_;
  peers.cluster = cluster_;
  peers.cluster_name = config_.cluster_name;
  peers.advertise_address = config_.raft_address();
  peers.probe_interval_ms = config_.raft.probe_interval_ms;
  network_ = std::make_unique<PeerNetwork>(world_.loop, world_.logger, peers,
                                           std::move(listeners.peers), this);
  ClientServerOptions api;
  api.sessions_max = config_.limits.client_connections;
  api.requests_max = config_.limits.requests_in_flight;
  clients_ = std::make_unique<ClientServer>(world_.loop, world_.logger, api,
                                            std::move(listeners.clients), this);

  CommandsOptions desk;
  desk.cluster = cluster_;
  desk.uncommitted_bytes_max = config_.limits.uncommitted_bytes;
  commands_ = std::make_unique<Commands>(desk, *driver_, *projector_, *clients_, world_.clock);
  queries_ = std::make_unique<Queries>(world_.loop, QueriesOptions{}, *driver_, *projector_,
                                       *clients_, *commands_);
  feed_ = std::make_unique<EventFeed>(world_.loop, *clients_, log_->reader());
  feed_->on_applied(projector_->applied_index());
  joins_ = std::make_unique<Joins>(config_.cluster_name, cluster_, *driver_, *projector_,
                                   *commands_, world_.clock, world_.logger);
  admin_ = std::make_unique<MembershipChanges>(
      MembershipChangesOptions{},
      MembershipChanges::World{[this] { return world_.loop.now_ms(); },
                               [this](wire::NodeId peer) { return network_->is_connected(peer); }},
      *driver_, *clients_, *commands_, world_.logger);
  writer_ = std::make_unique<StoreWriter>(
      world_.loop, *store_,
      [this](wire::Result<wire::LogIndex> result) { on_written(std::move(result)); });

  network_->set_members(driver_->members().empty() ? first_members : driver_->members());
  tick_ = std::make_unique<Timer>(world_.loop, [this] { on_tick(); });
  tick_->start(kTickMs, kTickMs);
  disk_look_ = std::make_unique<Timer>(world_.loop, [this] { look_at_disk(); });
  disk_look_->start(kDiskLookMs, kDiskLookMs);
  housekeeping_ = std::make_unique<Timer>(world_.loop, [this] { on_housekeeping(); });
  housekeeping_->start(kHousekeepingMs, kHousekeepingMs);
  world_.logger.info("node", "{} of cluster '{}' listens for peers on {}, for clients on {} and {}",
                     to_string(config_.node_id), config_.cluster_name, network_->listen_address(),
                     clients_->listen_address(), config_.api_socket);
  return {};
}

consensus::RaftConfig Node::raft_config() {
  consensus::RaftConfig raft;
  raft.self = config_.node_id;
  raft.own_log = log_id_;
  raft.heartbeat_ticks = in_ticks(config_.raft.heartbeat_timeout_ms);
  raft.election_ticks_min = in_ticks(config_.raft.election_timeout_ms);
  // A target that does not answer costs the clients no more than this.
  raft.transfer_ticks_max = std::min(in_ticks(kHandOverMs), raft.election_ticks_min);
  raft.commit_notify_ticks = in_ticks(config_.raft.commit_timeout_ms);
  raft.append_entries_max = config_.raft.max_append_entries;
  raft.flight.messages_max = config_.raft.max_inflight;
  raft.uncommitted_bytes_max = config_.limits.uncommitted_bytes;
  raft.seed = world_.entropy.next();
  return raft;
}

// ---- turns

void Node::on_turn() {
  if (finished_) return;
  commands_->decide_parked();
  commands_->propose_open_batch();
  if (const auto status = driver_->run_effects(); !status) return fail(status.error());
  joins_->answer_committed();
  if (admin_->step()) world_.loop.continue_soon();
  issue_first_token();
  network_->flush();  // before the disk: the peers' disks work at the same time
  log_->flush();
  const projections::LayerSizes sizes = projector_->sizes();
  if (sizes.active_bytes + sizes.frozen_bytes > kCarryBytes) carry_to_store(true);
  clients_->flush();
  continue_snapshots();
  check_failures();
  if (driver_->has_more_work()) world_.loop.continue_soon();
  if (driver_->awaits_answer()) world_.loop.poll_soon();
  const bool leads = driver_->raft().role() == consensus::Role::kLeader;
  if (stopping_ && !finished_ && (!leads || world_.loop.now_ms() >= stop_deadline_ms_)) finish();
}

void Node::on_tick() {
  if (finished_) return;
  commands_->propose_open_batch();
  driver_->tick();
  snapshots_->on_tick();
}

void Node::look_at_disk() {
  if (finished_) return;
  const auto stalled = disk_watch_.look(log_->metrics().append_running);
  if (!stalled) return;
  if (*stalled) {
    world_.logger.warn("log", "a write has taken more than {} ms: the disk has stalled",
                       config_.raft.disk_stall_timeout_ms);
  } else {
    world_.logger.info("log", "the disk takes writes again");
  }
  driver_->on_disk_stalled(*stalled);
}

void Node::on_housekeeping() {
  if (finished_) return;
  queries_->sweep();
  if (world_.loop.now_ms() >= last_carry_ms_ + kCarryMs) carry_to_store(false);
  look_for_expired_sessions();
}

// The founder's first join token: issued once, by the first leader that knows its secret.
void Node::issue_first_token() {
  if (first_token_done_ || !config_.bootstrap || config_.join_token.empty()) return;
  if (!driver_->is_ready_to_decide()) return;
  first_token_done_ = true;
  const auto hash = wire::sha256(wire::as_bytes(config_.join_token));
  const auto known = projections::find_join_token(projector_->applied_rows(), wire::ByteView(hash));
  if (!known) return fail(known.error());
  if (*known) return;
  const bool decided = commands_->decide_own(
      wire::IssueJoinToken{wire::ByteView(hash), world_.clock.now_us() + kTokenLifeUs});
  if (!decided) return;
  joins_->expect_token_in(driver_->raft().next_index());
  world_.loop.continue_soon();
}

void Node::look_for_expired_sessions() {
  if (expiry_under_way_ || exchanging_ || !driver_->is_ready_to_decide()) return;
  if (world_.loop.now_ms() < last_expiry_ms_ + kExpiryMs) return;
  last_expiry_ms_ = world_.loop.now_ms();
  auto frozen = projector_->view();
  if (!frozen) return fail(frozen.error());
  auto view = std::make_shared<projections::QueryView>(std::move(*frozen));
  expiry_under_way_ = true;
  projections::SessionLimits limits;
  limits.older_than_us =
      world_.clock.now_us() - static_cast<std::int64_t>(config_.limits.session_retention_ms) * 1000;
  limits.records_max = config_.limits.sessions_max;
  auto found = std::make_shared<wire::Result<projections::ExpiredSessions>>();
  run_on_pool(
      world_.loop,
      [view = std::move(view), limits, found]() mutable {
        *found = projections::expired_sessions(view->state(), limits);
        view.reset();  // before anybody is told: the store may be closed then
      },
      [self = std::weak_ptr<Node*>(alive_), found] {
        const auto alive = self.lock();
        if (!alive) return;
        Node& node = **alive;
        node.expiry_under_way_ = false;
        if (!*found) return node.fail(found->error());
        if ((*found)->records.empty()) return;
        if ((*found)->more) node.last_expiry_ms_ = 0;  // the rest soon
        node.commands_->expire_sessions(**found);
      });
}

// Only what the log has durably: RocksDB never knows of an entry that a crash can take away.
void Node::carry_to_store(bool even_if_small) {
  if (writer_->is_busy() || exchanging_) return;
  if (projector_->applied_index() > driver_->raft().durable_index()) return;
  const projections::LayerSizes sizes = projector_->sizes();
  if (!even_if_small && sizes.active_rows == 0 && sizes.frozen_deltas == 0) return;
  auto deltas = projector_->take_for_store();
  last_carry_ms_ = world_.loop.now_ms();
  if (!deltas.empty()) writer_->write(std::move(deltas));
}

void Node::on_written(wire::Result<wire::LogIndex> result) {
  if (finished_) return;
  if (!result) return fail(result.error());
  projector_->written(*result);
}

// ---- what the log brings

wire::Status Node::apply(const wire::Bytes& entry) {
  if (commands_->failure()) return tl::unexpected(*commands_->failure());
  // Own and received entries were both checked before they came here.
  BIB_TRY(const projections::Applied applied, projector_->apply(entry, true));
  commands_->on_outcomes(applied.outcomes);
  feed_->on_applied(applied.index);
  return {};
}

void Node::on_role(const consensus::RoleChange& change) {
  const bool leads = change.role == consensus::Role::kLeader;
  if (leading_ && !leads) {
    commands_->on_leadership_lost();
    joins_->on_leadership_lost();
    admin_->on_leadership_lost();
    first_token_done_ = false;  // it may have been on its way: the next time it leads will tell
  }
  leading_ = leads;
  world_.logger.info("raft", "{} in term {}; leader: {}", role_name(), change.term.value(),
                     change.leader == wire::NodeId() ? "none" : to_string(change.leader));
}

void Node::on_membership(const wire::Membership& membership) {
  network_->set_members(membership.members);
  world_.logger.info("raft", "members: voters {}, non-voters {}{}", membership.voters.size(),
                     membership.learners.size(), membership.is_joint() ? ", changing" : "");
}

void Node::on_read_events(ClientServer::Asker asker, const wire::ReadEvents& request) {
  queries_->when_consistent(
      asker, request.consistency,
      [this, asker, own = request, prefix = std::string(request.stream_prefix)]() mutable {
        own.stream_prefix = prefix;
        feed_->start(asker, own);
      });
}

void Node::on_membership_committed(const consensus::MembershipAt& committed) {
  learn_own_part(committed);
}

// With the log that it has. Under another one it was a member before its disk was lost: what became
// of that member is no news to whoever has joined anew under its id.
bool Node::names_this_node(const wire::Membership& membership) const {
  const wire::Member* line = membership.find(config_.node_id);
  return line != nullptr && line->can_have_log(log_id_);
}

// In the order of the log, from the first membership that it has.
void Node::learn_own_part(const consensus::MembershipAt& committed) {
  if (names_this_node(committed.membership)) {
    was_member_ = true;
    removed_ = false;
  } else if (was_member_) {
    leave_as_removed(committed.index, "its own log");
  }
}

// The log may name this node anew (it has then joined again): until it does, it serves no writes,
// does not vote, and campaigns for nothing.
void Node::leave_as_removed(wire::LogIndex index, const std::string& said_by) {
  if (removed_) return;
  removed_ = true;
  world_.logger.error("node",
                      "{} was removed from the cluster as of entry {} ({} says so). It serves no "
                      "writes and takes no part any more: stop it. To bring it back, remove {} and "
                      "run `bib setup --daemon --cluster-join <token> --force`, which draws a new "
                      "id",
                      to_string(config_.node_id), index.value(), said_by, config_.data_dir);
}

// ---- greetings of peers

void Node::complete_hello(wire::PeerHello& hello) const {
  const consensus::Raft& raft = driver_->raft();
  hello.log_last_index = raft.last_index();
  hello.log_id = log_id_;
  hello.term = raft.term();
  if (const auto* committed = raft.committed_membership())
    hello.membership_index = committed->index;
}

void Node::check_hello(const wire::PeerHello& hello, wire::PeerHelloReply& reply) {
  const auto refusal = guard_->check(hello);
  if (const auto* committed = driver_->raft().committed_membership()) {
    reply.membership_index = committed->index;
  }
  if (!refusal) return guard_->admitted(hello);
  reply.error = refusal->error;
  reply.refusal = refusal->kind;
}

void Node::on_refused(wire::NodeId by, const wire::PeerHelloReply& reply) {
  // A new node, or one that knows a later membership than the other, waits until that one has
  // caught up.
  const auto* committed = driver_->raft().committed_membership();
  const wire::LogIndex known = committed == nullptr ? wire::LogIndex() : committed->index;
  if (!was_member_ || known > reply.membership_index) return;
  if (reply.refusal == wire::HelloRefusal::kRemoved) {
    if (known == reply.membership_index) return;
    return leave_as_removed(reply.membership_index, to_string(by));
  }
  if (reply.refusal == wire::HelloRefusal::kLogLost) {
    fail({ErrorCode::kCorrupt,
          fmt::format("{} refuses this node: {}", to_string(by), reply.error.message)});
  }
}

// A founder whose disk was lost founds a second cluster, with nobody in it, under the same name.
void Node::on_claimed(const wire::PeerHello& hello) {
  const wire::Membership& membership = driver_->raft().membership();
  if (!config_.bootstrap || membership.members.size() != 1) return;
  fail({ErrorCode::kCorrupt,
        fmt::format(
            "node {} counts this node among the members of another cluster '{}' ({}), but {} holds "
            "a cluster of this node alone: its disk was lost, and it has founded a second cluster. "
            "On a member of the first: `bib cluster member remove {}`; here: remove {} and run "
            "`bib setup --daemon --cluster-join <token> --force`, which draws a new id",
            to_string(hello.from), hello.cluster_name, to_string(hello.cluster), config_.data_dir,
            to_string(config_.node_id), config_.data_dir)});
}

// ---- the end

void Node::stop() {
  if (stopping_) return;
  stopping_ = true;
  stop_deadline_ms_ = world_.loop.now_ms() + kHandOverMs;
  clients_->stop_listening();
  commands_->propose_open_batch();
  const auto successor = driver_->transfer_leadership();
  if (successor) {
    world_.logger.info("node", "stopping; handing the leadership to {}", to_string(*successor));
  } else {
    world_.logger.info("node", "stopping");
    stop_deadline_ms_ = 0;
  }
}

void Node::fail(const wire::Error& error) {
  if (finished_) return;
  failure_ = error;
  finish();
}

void Node::check_failures() {
  if (commands_->failure()) return fail(*commands_->failure());
  if (queries_->failure()) return fail(*queries_->failure());
}

void Node::finish() {
  finished_ = true;
  tick_.reset();
  disk_look_.reset();
  housekeeping_.reset();
  if (!failure_) commands_->on_leadership_lost();  // whoever still waits asks another node
  if (!failure_) failure_ = commands_->failure();
  clients_->flush();
  wire::Status status = log_->stop();
  // Rows may only go to RocksDB if the log that they come from is durable.
  const bool durable = status.has_value() && !failure_;
  const bool writes = durable && !exchanging_;
  const wire::Status stored =
      writer_->finish(writes ? projector_->take_for_store() : std::vector<projections::DeltaPtr>{});
  if (status && !stored) status = stored;
  if (failure_) status = tl::unexpected(*failure_);
  on_stopped_(status);
}

}  // namespace bib::engine
