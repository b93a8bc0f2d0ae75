#include "engine/node/node.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/storage/state_damage.h"
#include "projections/rules/join_tokens.h"
#include "wire/base/mutant.h"
#include "wire/base/secret.h"
#include "wire/base/units.h"
#include "wire/peer/join_token.h"

namespace bib::engine {
namespace {

constexpr std::int64_t kTokenLifeUs = 24LL * 3600 * 1'000'000;

unsigned in_ticks(std::uint64_t milliseconds) {
  return static_cast<unsigned>(std::max<std::uint64_t>(1, milliseconds / Node::kTickMs));
}

}  // namespace

NodeTuning Node::tuning_of(const wire::NodeConfig& config) {
  NodeTuning tuning;
  consensus::RaftConfig& raft = tuning.raft;
  raft.heartbeat_ticks = in_ticks(config.raft.heartbeat_timeout_ms);
  raft.election_ticks_min = in_ticks(config.raft.election_timeout_ms);
  // A target that does not answer costs the clients no more than this.
  raft.transfer_ticks_max = std::min(in_ticks(NodePace{}.hand_over_ms), raft.election_ticks_min);
  raft.commit_notify_ticks = in_ticks(config.raft.commit_timeout_ms);
  raft.append_entries_max = config.raft.max_append_entries;
  raft.flight.messages_max = config.raft.max_inflight;
  raft.uncommitted_bytes_max = config.limits.uncommitted_bytes;
  tuning.driver.cache_bytes = config.log.cache_bytes;
  tuning.snapshots.threshold = config.snapshot.threshold;
  tuning.snapshots.interval_ticks = in_ticks(config.snapshot.interval_ms);
  tuning.snapshots.bytes_min = config.snapshot.bytes_min;
  tuning.snapshots.bytes_max = config.snapshot.bytes_max;
  tuning.snapshots.held_bytes_max = config.snapshot.held_bytes_max;
  tuning.snapshots.trailing_logs = config.raft.trailing_logs;
  tuning.snapshots.trailing_bytes = config.raft.trailing_bytes;
  tuning.snapshots.fetcher.reserve_bytes = config.limits.disk_reserve;
  tuning.snapshots.retain_count = config.snapshot.retain_count;
  tuning.queries.session_bytes_max = config.limits.unread_bytes;
  tuning.queries.outgoing_bytes_max = config.limits.outgoing_bytes;
  tuning.feed.feeds_max = config.limits.feeds;
  tuning.feed.feeds_per_session_max = config.limits.feeds_per_client;
  tuning.feed.outgoing_bytes_max = config.limits.feed_bytes;
  const wire::NodeConfig::Limits& limits = config.limits;
  tuning.commands.uncommitted_bytes_max = limits.uncommitted_bytes;
  tuning.commands.unwritten_bytes_max = limits.unwritten_bytes;
  tuning.commands.sessions = {limits.sessions_max,
                              std::max(limits.session_window, limits.requests_in_flight)};
  return tuning;
}

wire::Result<std::unique_ptr<Node>> Node::start(NodeWorld world, const wire::NodeConfig& config,
                                                NodeTuning tuning, NodeStart start,
                                                std::function<void(wire::Status)> on_stopped) {
  std::unique_ptr<Node> node(new Node(std::move(world), config, std::move(on_stopped)));
  BIB_TRY_VOID(node->assemble(std::move(tuning), std::move(start)));
  return node;
}

Node::Node(NodeWorld world, const wire::NodeConfig& config,
           std::function<void(wire::Status)> on_stopped)
    : parts_(std::move(world), config),
      disk_watch_(std::chrono::milliseconds(config.raft.disk_stall_timeout_ms)),
      on_stopped_(std::move(on_stopped)) {
  parts_.fail = [this](const wire::Error& error) { fail(error); };
  parts_.give_way = [this](const wire::Error& error) { give_way(error); };
}

Node::~Node() = default;

wire::Status Node::assemble(NodeTuning tuning, NodeStart start) {
  NodeWorld& world = parts_.world;
  parts_.cluster = start.cluster;
  parts_.log_id = start.log_id;
  parts_.store = &start.store;
  parts_.projector_options = start.projector_options;
  parts_.projector = std::move(start.projector);
  tuning.raft.self = parts_.config.node_id;
  tuning.raft.own_log = start.log_id;
  tuning.raft.seed = world.entropy.next();
  BIB_TRY_VOID(consensus::check_restored(tuning.raft, start.restored));
  state_ = std::make_unique<StateKeeper>(parts_);
  peer_side_ = std::make_unique<PeerSide>(parts_);
  client_side_ = std::make_unique<ClientSide>(parts_, *peer_side_);
  commit_notes_ = std::make_unique<CommitNotes>(parts_);
  parts_.conflicts = std::make_unique<Conflicts>(parts_);

  parts_.log = std::make_unique<LogOutbox>(world.log);
  tuning.snapshots.data_directory = parts_.config.data_dir;
  tuning.snapshots.cluster = start.cluster;
  tuning.snapshots.node = parts_.config.node_id;
  parts_.snapshots =
      std::make_unique<Snapshots>(std::move(tuning.snapshots), std::move(start.snapshots),
                                  world.files, world.pool, world.peers, *state_, world.clock);
  tuning.driver.cluster = start.cluster;
  tuning.driver.run_base = world.entropy.next();
  parts_.driver = std::make_unique<RaftDriver>(tuning.raft, start.restored, tuning.driver, *this,
                                               world.peers, *this, *parts_.snapshots, world.clock);
  parts_.snapshots->attach(*parts_.driver);
  parts_.guard = std::make_unique<MemberGuard>(parts_.driver->raft());
  parts_.rows = std::make_unique<RowsGuard>(parts_);
  for (const consensus::MembershipAt& known : start.restored.memberships) {
    // What names this node counts even if it is not known to be committed yet: it is one that
    // others know.
    const bool named = peer_side_->names_this_node(known.membership);
    if (named || known.index <= start.restored.known_committed()) peer_side_->learn_own_part(known);
  }
  make_services(tuning, start.log_reader);
  const std::vector<wire::Member>& members = parts_.driver->members();
  world.peers.set_members(members.empty() ? start.first_members : members);
  return {};
}

void Node::make_services(const NodeTuning& tuning, const std::shared_ptr<LogReader>& reader) {
  NodeWorld& world = parts_.world;
  CommandsOptions commands = tuning.commands;
  commands.cluster = parts_.cluster;
  parts_.commands = std::make_unique<Commands>(commands, *parts_.driver, *parts_.projector,
                                               world.clients, world.clock);
  parts_.queries =
      std::make_unique<Queries>(world.turns, world.pool, tuning.queries, *parts_.driver,
                                *parts_.projector, world.clients, *parts_.commands);
  parts_.feed = std::make_unique<EventFeed>(tuning.feed, world.pool, world.clients, reader);
  parts_.feed->on_applied(parts_.projector->applied_index());
  parts_.joins =
      std::make_unique<Joins>(parts_.config.cluster_name, parts_.cluster, *parts_.driver,
                              *parts_.projector, *parts_.commands, world.clock, world.logger);
  parts_.changes = std::make_unique<MembershipChanges>(MembershipChangesOptions{}, world.turns,
                                                       world.peers, *parts_.driver, world.clients,
                                                       *parts_.commands, world.logger);
}

// ---- turns

void Node::on_turn() {
  if (finished_) return;
  NodeWorld& world = parts_.world;
  RaftDriver& driver = *parts_.driver;
  parts_.commands->decide_parked();
  parts_.commands->propose_open_batch();
  if (const auto status = driver.run_effects(); !status) return fail(status.error());
  parts_.conflicts->on_turn();
  parts_.rows->step();
  parts_.feed->on_turn(driver.readable_index());
  parts_.joins->answer_committed();
  if (parts_.changes->step()) world.turns.continue_soon();
  issue_first_token();
  world.peers.flush();  // before the disk: the peers' disks work at the same time
  parts_.log->flush();
  state_->step();
  world.clients.flush();
  check_failures();
  if (finished_) return;
  if (driver.has_more_work() || parts_.commands->has_parked_work()) world.turns.continue_soon();
  if (driver.awaits_answer()) world.turns.poll_soon();
  const bool leads = driver.raft().role() == consensus::Role::kLeader;
  if (stopping_ && (!leads || world.turns.now_ms() >= stop_deadline_ms_)) finish();
}

void Node::on_tick() {
  if (finished_) return;
  parts_.commands->propose_open_batch();
  if (NodeObserver* observer = parts_.world.observer) observer->before_tick();
  parts_.driver->tick();
  parts_.rows->on_tick();
  parts_.snapshots->on_tick();
}

void Node::look_at_disk() {
  if (finished_) return;
  const auto stalled = disk_watch_.look(parts_.world.log.append_running());
  if (!stalled) return;
  if (*stalled) {
    parts_.world.logger.warn("log", "a write has taken more than {} ms: the disk has stalled",
                             parts_.config.raft.disk_stall_timeout_ms);
  } else {
    parts_.world.logger.info("log", "the disk takes writes again");
  }
  parts_.driver->on_disk_stalled(*stalled);
}

void Node::on_housekeeping() {
  if (finished_) return;
  parts_.queries->sweep();
  state_->on_housekeeping();
  commit_notes_->on_housekeeping();
  parts_.conflicts->on_housekeeping();
  look_at_space();
}

// What there is no news of is as it was.
void Node::look_at_space() {
  NodeWorld& world = parts_.world;
  if (parts_.space.reserve() == 0 || looks_at_space_) return;
  if (world.turns.now_ms() < next_space_look_ms_) return;
  next_space_look_ms_ = world.turns.now_ms() + world.pace.space_ms;
  looks_at_space_ = true;
  auto free = std::make_shared<wire::Result<std::uint64_t>>();
  world.pool.run([&files = world.files, directory = parts_.config.data_dir,
                  free] { *free = files.free_bytes(directory); },
                 lifetime_.guarded([free](Node& self) {
                   self.looks_at_space_ = false;
                   if (*free && !self.finished_) self.on_space(**free);
                 }));
}

// A node that is short of room follows and answers reads as long as it can; only commands, which
// make every disk fuller, are refused, and by their leader's disk.
void Node::on_space(std::uint64_t free) {
  const DiskSpace& space = parts_.space;
  const auto news = parts_.space.look(free);
  if (!news) return;
  Logger& logger = parts_.world.logger;
  if (!*news) {
    parts_.commands->refuse_all(std::nullopt);
    return logger.info("disk", "{} bytes are free in {}: there is room for writes again", free,
                       parts_.config.data_dir);
  }
  const std::string what = fmt::format(
      "the disk of node {} is nearly full: {} bytes are free in {}, less than limits.disk_reserve "
      "({}). Make room there: from {} free bytes on writes are taken again",
      to_string(parts_.config.node_id), free, parts_.config.data_dir,
      wire::format_size(space.reserve()), space.enough());
  logger.warn("disk",
              "{}. Until then this node refuses writes when it leads; reads and the log go on",
              what);
  parts_.commands->refuse_all(wire::Error{wire::ErrorCode::kOverloaded, what});
}

// The founder's first join token: issued once, by the first leader that knows its secret.
void Node::issue_first_token() {
  const wire::NodeConfig& config = parts_.config;
  if (first_token_done_ || !config.founds_cluster() || config.join_token.empty()) return;
  if (!parts_.driver->is_ready_to_decide()) return;
  first_token_done_ = true;
  const auto token = wire::decode_join_token(config.join_token);
  if (!token) return fail(token.error());
  const auto hash = wire::sha256(wire::as_bytes(token->token));
  const auto known =
      projections::find_join_token(parts_.projector->applied_rows(), wire::ByteView(hash));
  if (!known) return fail(known.error());
  if (*known) return;
  const bool decided = parts_.commands->decide_own(
      wire::IssueJoinToken{wire::ByteView(hash), parts_.world.clock.now_us() + kTokenLifeUs});
  if (!decided) return;
  parts_.joins->set_first_token_entry(parts_.driver->raft().next_index());
  parts_.world.turns.continue_soon();
}

// ---- the log

void Node::submit(const consensus::LogWrite& write, std::vector<wire::Bytes> entries) {
  if (NodeObserver* observer = parts_.world.observer) observer->on_written(write, entries);
  parts_.log->submit(write, std::move(entries));
}

void Node::on_log_durable(std::uint64_t append_sequence) {
  if (finished_) return;
  parts_.log->flush();
  parts_.driver->on_durable(append_sequence);
}

void Node::on_log_read(std::uint64_t token, wire::Result<std::vector<wire::Bytes>> entries) {
  if (!finished_) parts_.driver->on_log_read(token, std::move(entries));
}

wire::Status Node::apply(const wire::Bytes& entry) {
  if (parts_.commands->failure()) return tl::unexpected(*parts_.commands->failure());
  // Own and received entries were both checked before they came here.
  BIB_TRY(const projections::Applied applied, parts_.projector->apply(entry, true));
  if (NodeObserver* observer = parts_.world.observer) {
    observer->on_applied(entry, parts_.projector->mark());
  }
  parts_.rows->on_applied(applied.index);
  parts_.commands->on_outcomes(applied.outcomes);
  parts_.feed->on_applied(applied.index);
  return {};
}

void Node::on_role(const consensus::RoleChange& change) {
  if (NodeObserver* observer = parts_.world.observer) observer->on_role(change);
  const bool leads = change.role == consensus::Role::kLeader;
  if (leading_ && !leads) {
    parts_.commands->on_leadership_lost();
    parts_.joins->on_leadership_lost();
    parts_.changes->on_leadership_lost();
    first_token_done_ = false;  // it may have been on its way: the next time it leads will tell
  }
  if (leads && !leading_) parts_.rows->on_leadership_begins();
  leading_ = leads;
  parts_.world.logger.info("raft", "{} in term {}; leader: {}", client_side_->role_name(),
                           change.term.value(),
                           change.leader == wire::NodeId() ? "none" : to_string(change.leader));
}

void Node::on_membership(const wire::Membership& membership) {
  if (NodeObserver* observer = parts_.world.observer) observer->on_membership(membership);
  parts_.world.peers.set_members(membership.members);
  parts_.conflicts->on_membership(membership);
  parts_.world.logger.info("raft", "members: voters {}, non-voters {}{}", membership.voters.size(),
                           membership.learners.size(), membership.is_joint() ? ", changing" : "");
}

void Node::on_membership_committed(const consensus::MembershipAt& committed) {
  peer_side_->learn_own_part(committed);
}

void Node::on_read_ready(ReadAsker asker, std::uint64_t token) {
  switch (asker) {
    case ReadAsker::kQueries:
      return parts_.queries->on_read_ready(token);
    case ReadAsker::kCommands:
      return parts_.commands->on_read_ready(token);
    case ReadAsker::kMembershipChanges:
      return parts_.changes->on_read_ready(token);
  }
}

void Node::on_read_refused(ReadAsker asker, std::uint64_t token, consensus::ReadRefusal reason) {
  switch (asker) {
    case ReadAsker::kQueries:
      return parts_.queries->on_read_refused(token, reason);
    case ReadAsker::kCommands:
      return parts_.commands->on_read_refused(token, reason);
    case ReadAsker::kMembershipChanges:
      return parts_.changes->on_read_refused(token, reason);
  }
}

// ---- the end

void Node::stop() {
  if (stopping_) return;
  stopping_ = true;
  NodeWorld& world = parts_.world;
  stop_deadline_ms_ = world.turns.now_ms() + world.pace.hand_over_ms;
  world.clients.stop_listening();
  parts_.commands->propose_open_batch();
  const auto successor = parts_.driver->transfer_leadership(parts_.rows->successor());
  if (successor) {
    world.logger.info("node", "stopping; handing the leadership to {}", to_string(*successor));
  } else {
    world.logger.info("node", "stopping");
    stop_deadline_ms_ = 0;
  }
}

void Node::fail(const wire::Error& error) {
  if (finished_) return;
  failure_ = error;
  finish();
}

void Node::give_way(const wire::Error& error) {
  if (finished_ || failure_) return;
  failure_ = error;
  parts_.world.logger.error("node", "{}", error.message);
  stop();
  parts_.world.turns.continue_soon();
}

void Node::check_failures() {
  if (parts_.commands->failure()) return fail(*parts_.commands->failure());
  if (parts_.queries->failure()) give_way(*parts_.queries->failure());
}

// Rows that are damaged are not opened again: the next start restores them.
void Node::note_damage() {
  std::optional<wire::Error> damage = parts_.state_damage;
  if (!damage) damage = parts_.store->damage();
  if (!damage) return;
  const InstallPlaces places(parts_.config.data_dir);
  const auto noted = note_state_damage(parts_.world.files, places, damage->message);
  if (!failure_) failure_ = damage;
  while (failure_->message.ends_with('.')) failure_->message.pop_back();
  failure_->message += fmt::format(
      ". The rows follow from the log: {}start the node again, and it takes them from a snapshot "
      "that is whole, or from the log. Where it cannot, it says what is whole and what to do",
      noted ? std::string()
            : fmt::format("move {} away ({}), ", places.state, noted.error().message));
}

void Node::finish() {
  finished_ = true;
  if (!failure_) parts_.commands->on_leadership_lost();  // those who still wait ask another node
  if (!failure_) failure_ = parts_.commands->failure();
  parts_.world.clients.flush();
  wire::Status status = parts_.log->stop();
  // Rows may only go to the store if the log that they come from is durable.
  const wire::Status stored = state_->finish(status.has_value() && !failure_);
  if (status && !stored) status = stored;
  note_damage();
  if (failure_) status = tl::unexpected(*failure_);
  on_stopped_(status);
}

}  // namespace bib::engine
