// A simulated node's start: the real Startup over the simulated disk, and what must hold of what it
// finds there; or asking to join first.
#include <algorithm>
#include <utility>

#include "engine/storage/snapshot_files.h"
#include "engine/storage/state_install.h"
#include "sim_node.h"
#include "violation.h"
#include "wire/log/entry.h"
#include "wire/peer/join_token.h"

namespace bib::sim {

using wire::ErrorCode;
using wire::LogIndex;
using wire::Status;

namespace {

constexpr char kClusterName[] = "sim";
constexpr char kTokenSecret[] = "0123456789abcdef0123456789abcdef";

std::string api_address(NodeIndex node) {
  return fmt::format("127.0.0.{}:7001", node + 1);
}

}  // namespace

wire::Member member_of(NodeIndex node, std::uint64_t log_id) {
  wire::Member member;
  member.id = id_of(node);
  member.raft_address = peer_address(node);
  member.api_address = api_address(node);
  member.log_id = log_id;
  return member;
}

// ---- configuration

wire::NodeConfig SimNode::node_config() const {
  const Plan& plan = world_.plan;
  wire::NodeConfig config;
  config.node_id = id();
  config.cluster_name = kClusterName;
  config.data_dir = kDataDirectory;
  config.listen_addr = peer_address(index_);
  config.api_listen_addr = api_address(index_);
  config.bootstrap = founds_alone_ || !joins_;
  wire::JoinToken token;
  token.cluster_name = kClusterName;
  token.leader_addr = peer_address(0);
  token.token = kTokenSecret;
  token.expires_at = 4'102'444'800'000'000;  // 2100
  config.join_token = wire::encode_join_token(token);
  config.raft.disk_stall_timeout_ms = static_cast<std::uint32_t>(plan.disk.stall_limit / 1000);
  config.limits.uncommitted_bytes = plan.raft.uncommitted_bytes_max;
  // A third of the nodes has room for few rows.
  if (index_ % 3 == 1) {
    config.limits.unwritten_bytes = 32U << 10;
  }
  // Every other node takes commands until its disk is full.
  config.limits.disk_reserve = index_ % 2 == 0 ? 0 : 60'000;
  config.limits.sessions_max = plan.work.sessions_max == 0 ? UINT32_MAX : plan.work.sessions_max;
  config.limits.session_window = 1024;
  config.limits.session_retention_ms =
      plan.work.session_retention == 0 ? UINT32_MAX : plan.work.session_retention / kMillisecond;
  config.log.segment_bytes = plan.disk.segment_bytes;
  return config;
}

engine::NodeTuning SimNode::tuning() const {
  const Plan& plan = world_.plan;
  engine::NodeTuning tuning;
  tuning.raft = plan.raft;
  tuning.driver = plan.driver;
  tuning.commands = engine::Node::tuning_of(node_config()).commands;
  tuning.feed.reply_bytes_max = plan.work.reply_bytes_max;
  engine::SnapshotsOptions& snapshots = tuning.snapshots;
  const SnapshotPlan& drawn = plan.snapshots;
  snapshots.threshold = drawn.exist ? drawn.threshold : UINT64_MAX / 2;
  snapshots.interval_ticks = drawn.exist ? drawn.interval_ticks : UINT64_MAX / 2;
  // A node that keeps its log sends entries to a node that another one has offered a snapshot.
  snapshots.trailing_logs = drawn.some_keep_all && index_ % 2 == 0 ? 100'000 : drawn.trailing_logs;
  snapshots.retain_count = drawn.retain_count;
  if (drawn.exist) {
    snapshots.retry_ticks = drawn.retry_ticks;
    snapshots.fetch_pause_ticks_min = drawn.retry_ticks;
    snapshots.fetch_pause_ticks_max = 2 * drawn.retry_ticks;
    snapshots.sender.silent_ticks = drawn.give_up_ticks;
    snapshots.fetcher.chunk_bytes = drawn.chunk_bytes;
    snapshots.fetcher.chunks_ahead = drawn.chunks_ahead;
    snapshots.fetcher.retry_ticks = drawn.repeat_ticks;
    snapshots.fetcher.give_up_ticks = drawn.give_up_ticks;
    snapshots.fetcher.still_busy_ticks = drawn.repeat_ticks;
  }
  snapshots.verify_table = [this](const std::string& path) {
    return const_cast<SimNode*>(this)->state_.verify_table(path);
  };
  snapshots.fetcher.verify_rows = [this](const std::string& directory, const wire::ClusterId&) {
    return const_cast<SimNode*>(this)->verify_rows(directory);
  };
  return tuning;
}

wire::Result<projections::StateMark> SimNode::verify_rows(const std::string& directory) {
  auto mark = state_.verify(directory);
  if (!mark && mark.error().code == ErrorCode::kCorrupt) {
    violated("snapshot", "{} fetched rows that are not whole: {}", name_, mark.error().message);
  }
  if (mark) world_.oracle.check_rows_at(*this, *mark);
  return mark;
}

// ---- life

// A disk image that was made before the simulation begins.
void SimNode::found(const wire::Membership& membership) {
  engine::LogStoreOptions options;
  options.cluster = world_.cluster;
  options.node = id();
  options.segment_bytes = world_.plan.disk.segment_bytes;
  options.block_bytes_max = world_.plan.disk.block_bytes_max;
  options.schema = wire::event_schema();
  options.random = [this] { return log_id_; };
  options.now_us = [this] { return now_us(); };
  const std::string directory = engine::join_path(kDataDirectory, "log");
  BIB_CHECK(disk_.make_directories(directory).has_value());
  auto log = engine::LogStore::open(disk_, directory, options);
  BIB_CHECK(log.has_value(), "a log cannot be made: {}", log ? "" : log.error().message);
  const wire::EntryStamp stamp{world_.cluster, wire::Term(1), LogIndex(1), 1};
  const wire::Bytes entry = wire::make_membership_entry(stamp, wire::encode_membership(membership));
  world_.oracle.on_founded(entry, membership);
  engine::LogStoreWrite write;
  write.hard_state = wire::HardState{wire::Term(1), wire::NodeId()};
  write.entries = {entry};
  BIB_CHECK(log->store->append(std::span<const engine::LogStoreWrite>(&write, 1)).has_value());
  BIB_CHECK(log->store->close().has_value());
}

void SimNode::start() {
  if (process_ || is_lost_) return;
  ++boot_;
  disk_.restart();
  if (world_.faults_are_on && world_.random.chance_ppm(world_.plan.faults.die_in_start_ppm)) {
    disk_.crash_after(world_.random.between(1, 20));
  }
  process_ = std::make_unique<SimProcess>(*this, node_config());
  if (const Status status = begin_process(); !status) return refuse_to_start(status.error());
  if (disk_.crashed()) dying_ = Death::kPower;
  end_step();
}

Status SimNode::begin_process() {
  engine::Startup& startup = process_->startup;
  startup.log_options().block_bytes_max = world_.plan.disk.block_bytes_max;
  engine::StateRecoveryOptions& rows = startup.state_options();
  rows.projector.cache_bytes = world_.plan.row_cache_bytes;
  rows.verify_rows = [this](const std::string& directory) { return state_.verify(directory); };
  rows.open_store = [this](const std::string& directory) { return state_.open(directory); };
  BIB_TRY_VOID(files_.make_directories(kDataDirectory));
  BIB_TRY_VOID(change_rows(engine::InstallPlaces(kDataDirectory).state));
  BIB_TRY(const engine::Startup::Standing standing, startup.look());
  if (standing.verdict != wire::DirectoryVerdict::kJoin) return open_and_run(world_.cluster, {});
  // It dies while it notes its log's id: what the next run finds there need not be durable.
  if (world_.faults_are_on && world_.random.below(6) == 0) {
    disk_.crash_after(world_.random.between(1, 4));
  }
  BIB_TRY(process_->joining, startup.plan_join());
  log_id_ = process_->joining->request.node.log_id;
  world_.trace.line(name_, "asks to join with the log {:016x}", log_id_);
  ask_to_join();
  return {};
}

Status SimNode::change_rows(const std::string& directory) {
  if (std::exchange(rows_fault_.loses_all, false)) return engine::remove_tree(files_, directory);
  if (!rows_fault_.digest_too) return {};
  BIB_TRY(rows_fault_.changed_key,
          state_.change_row(directory, *rows_fault_.digest_too, world_.random));
  rows_fault_.digest_too.reset();
  return {};
}

Status SimNode::open_and_run(wire::ClusterId cluster, std::vector<wire::Member> first_members) {
  SimProcess& process = *process_;
  if (!joins_) process.startup.log_options().random = [this] { return log_id_; };
  // A disk that was emptied comes back under its old id, and waits for those that know it.
  process.config.bootstrap = founds_alone_ && lost_logs_.empty();
  const engine::InstallPlaces places(kDataDirectory);
  const auto decided = engine::find_install(files_, places);
  if (decided && *decided) cut_ = LogIndex();  // the log may be reset now
  BIB_TRY(engine::OpenedState state, process.startup.open(cluster));
  process.config.bootstrap = !joins_;
  check_recovered(state);
  note_founding(state);
  const wire::LogIdentity identity = state.log->identity();
  durable_log_ = state.log->locations();
  durable_hard_state_ = state.restored.hard_state;
  decided_ = LogIndex();
  cut_ = kNoCut;
  maybe_cut_to_ = LogIndex();
  process.store = std::move(state.store);
  appends_.syncs = state.log->counters().syncs;
  process.log = std::make_unique<SimLog>(*this, *this, std::move(state.log), state.log_reader);
  process.log->stall(disk_stalls_until_);
  process.store_thread = std::make_unique<SimStoreThread>(*this, *process.store);
  process.pace.carry_ms = 0;
  process.pace.flush_ms = 500;
  process.pace.note_ms = 20;
  process.pace.carry_bytes = SIZE_MAX;
  const WorkloadPlan& work = world_.plan.work;
  const bool expires =
      work.session_retention != 0 && (world_.faults_are_on || work.sessions_max != 0);
  process.pace.expiry_ms = expires ? 1000 : UINT64_MAX / 2;
  process.pace.keep_ms = process.config.limits.session_retention_ms;
  process.pace.expire_max = world_.random.between(1, 20);
  engine::NodeWorld ports{process.turns,         *process.log,   process.peers, process.sessions,
                          *process.store_thread, process.pool,   files_,        *this,
                          process.entropy,       process.logger, process.pace,  this};
  engine::NodeStart start{.cluster = cluster,
                          .log_id = identity.log_id,
                          .restored = std::move(state.restored),
                          .log_reader = state.log_reader,
                          .store = *process.store,
                          .projector_options = process.startup.state_options().projector,
                          .projector = std::move(state.projector),
                          .snapshots = std::move(state.snapshots),
                          .first_members = std::move(first_members)};
  const wire::HardState hard_state = durable_hard_state_;
  auto node = engine::Node::start(std::move(ports), process.config, tuning(), std::move(start),
                                  [this](Status status) { on_stopped(status); });
  if (!node) violated("durability", "{}: {}", name_, node.error().message);
  process.node = *std::move(node);
  process.log->attach(*process.node);
  process.peers.attach(process.node->peers());
  process.sessions.attach(process.node->clients());
  process.joining.reset();
  world_.oracle.on_boot(*this, hard_state);
  started();
  return {};
}

void SimNode::started() {
  const consensus::Raft& raft = *this->raft();
  world_.trace.note(index_, boot_, raft.term().value(), raft.last_index().value(),
                    raft.applied().value());
  world_.trace.line(name_, "started: boot {}, term {}, log {} to {}, applied {}", boot_,
                    raft.term().value(), raft.log().first_index().value(),
                    raft.last_index().value(), raft.applied().value());
  world_.network.started(index_);
  after(world_.random.below(tick_), [this] { tick(); });
  every(world_.plan.housekeeping, &SimNode::housekeeping);
  process_->peers.start();
}

// ---- joining

void SimNode::ask_to_join() {
  if (!process_ || !process_->joining) return;
  after(world_.random.between(50 * kMillisecond, 500 * kMillisecond), [this] { ask_to_join(); });
  const std::uint32_t boot = boot_;
  world_.network.ask_to_join(index_, process_->joining->request,
                             [this, boot](const wire::JoinReply& reply) {
                               if (boot == boot_ && process_)
                                 happen([this, reply] { on_join_reply(reply); });
                             });
}

void SimNode::on_join_reply(const wire::JoinReply& reply) {
  if (!process_->joining) return;
  if (reply.error.code != ErrorCode::kNone) {
    world_.trace.line(name_, "may not join: {}", reply.error.message);
    if (reply.error.code == ErrorCode::kRefused) {
      violated("join", "{} lost nothing and may not join: {}", name_, reply.error.message);
    }
    return;
  }
  world_.trace.line(name_, "is welcome");
  world_.oracle.on_welcomed(*this);
  // Power goes before there is a log: what it told the others is in its note alone.
  if (world_.faults_are_on && world_.random.below(6) == 0) disk_.crash_after(0);
  const Status status = open_and_run(reply.cluster, reply.membership.members);
  if (status) return;
  if (!disk_.crashed() && status.error().code != ErrorCode::kIo) {
    violated("durability", "{} does not start: {}", name_, status.error().message);
  }
  die_after_step(disk_.crashed() ? Death::kPower : Death::kKilled);
}

// ---- what a start finds

// The founder's first entry is its own: the oracle has not seen it on its way to the disk.
void SimNode::note_founding(const engine::OpenedState& state) {
  if (!founds_alone_ || state.restored.base.index != LogIndex()) return;
  const auto entries = state.log_reader->read(LogIndex(1), LogIndex(1), 1);
  if (!entries) return;  // the start goes on to say so
  world_.oracle.on_founded(entries->front(), state.restored.memberships.front().membership);
}

// What anybody was told to be durable is there. (A write under way may have truncated since.) The
// rows are the committed log's, and what the log lacks is in a snapshot that is whole.
void SimNode::check_recovered(const engine::OpenedState& state) {
  if (damage_.of_log) {
    violated("durability", "{}: damage in what was durable was not noticed", name_);
  }
  const wire::HardState found = state.restored.hard_state;
  const wire::HardState known = durable_hard_state_;
  const bool forgets_vote =
      found.term == known.term && known.vote != wire::NodeId() && found.vote != known.vote;
  if (found.term < known.term || forgets_vote) {
    violated("durability", "{}: term {} and vote {} were durable, found are {} and {}", name_,
             known.term.value(), known.vote.value(), found.term.value(), found.vote.value());
  }
  const engine::LogLocations& log = *state.log->locations();
  if (durable_log_) {
    const wire::LogPosition last = durable_log_->last();
    LogIndex index = std::max(durable_log_->base().index, log.base().index);
    for (; index <= last.index && index < cut_; ++index) {
      if (log.term_at(index) == durable_log_->term_at(index)) continue;
      violated("durability", "{}: entry {} was durable and is not there after a crash", name_,
               index.value());
    }
  }
  world_.oracle.check_rows_at(*this, state.projector->mark());
  for (const wire::SnapshotManifest& snapshot : state.snapshots.snapshots) {
    world_.oracle.check_snapshot(*this, snapshot);
  }
  check_cut(log.base().index, state.snapshots.snapshots);
  damage_.of_rows = false;
}

void SimNode::check_cut(LogIndex base, const std::vector<wire::SnapshotManifest>& snapshots) {
  if (base == LogIndex()) return;
  for (const wire::SnapshotManifest& snapshot : snapshots) {
    if (snapshot.index < base || is_damaged(snapshot.position())) continue;
    const std::string root = engine::InstallPlaces(kDataDirectory).snapshots;
    const Status whole = engine::verify_snapshot_files(files_, root, snapshot);
    if (whole || disk_.crashed()) return;  // crashed: in the middle of the start
    violated("snapshot", "{}: {}", name_, whole.error().message);
  }
  if (!damage_.of_snapshots.empty()) return;
  violated("snapshot", "{}: the log starts after entry {}, and no snapshot goes that far", name_,
           base.value());
}

void SimNode::refuse_to_start(const wire::Error& error) {
  world_.trace.note(index_, boot_, static_cast<int>(error.code));
  world_.trace.line(name_, "does not start: {}", error.message);
  process_.reset();
  if (disk_.crashed()) {
    if (world_.random.below(2) == 0) disk_.lose_power(world_.random);
    return start_later(world_.random.between(kMillisecond, 500 * kMillisecond));
  }
  if (error.code == ErrorCode::kIo) {  // the disk is full, or a sync failed
    disk_.crash_after(0);
    return start_later(500 * kMillisecond);
  }
  if ((damage_.of_log || damage_.of_rows) && error.code == ErrorCode::kCorrupt) {
    is_lost_ = true;
    return;
  }
  violated("durability", "{} does not start: {}", name_, error.message);
}

}  // namespace bib::sim
