#include "engine/bibd/bibd.h"

#include <array>
#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/node/node.h"
#include "engine/ports/clock.h"
#include "engine/ports/entropy.h"
#include "engine/ports/file.h"
#include "engine/ports/logger.h"
#include "engine/storage/log_recovery.h"
#include "engine/storage/log_store.h"
#include "engine/storage/state_recovery.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/file_posix.h"
#include "engine/uv/joiner.h"
#include "engine/uv/listeners.h"
#include "engine/uv/stderr_logger.h"
#include "engine/uv/system_clock.h"
#include "engine/uv/system_entropy.h"
#include "wire/base/check.h"
#include "wire/log/entry.h"
#include "wire/model/event.h"
#include "wire/peer/join_token.h"

namespace bib::engine {

using wire::ErrorCode;

namespace {

constexpr char kJoiningName[] = "JOINING";

wire::ClusterId random_cluster_id(Entropy& entropy) {
  wire::ClusterId id;
  for (std::size_t i = 0; i < id.bytes.size(); i += 8) {
    const std::uint64_t chance = entropy.next();
    for (std::size_t j = 0; j < 8; ++j) {
      id.bytes[i + j] = static_cast<std::uint8_t>(chance >> (8 * j));
    }
  }
  return id;
}

}  // namespace

struct Bibd::Impl {
  explicit Impl(NodeConfig node_config)
      : config(std::move(node_config)),
        logger(parse_log_level(config.log_level).value_or(LogLevel::kInfo)) {}

  NodeConfig config;
  StderrLogger logger;
  SystemClock clock;
  SystemEntropy entropy;
  FileSystem& files = posix_file_system();
  std::unique_ptr<DirectoryLock> lock;
  std::unique_ptr<projections::DurableStore> store;  // outlives the loop's last turn
  EventLoop loop;
  Listeners listeners;  // until Node has them
  std::unique_ptr<Joiner> joiner;
  std::unique_ptr<Node> running;
  std::vector<uv_signal_t*> signals;
  wire::Status outcome;
  bool ended = false;
  std::uint64_t joining_log_id = 0;  // of the log to begin once the cluster says welcome

  // ---- before the loop turns
  wire::Status prepare();
  wire::Member self() const;
  wire::Status open_and_start(wire::ClusterId cluster, std::vector<wire::Member> first_members);
  wire::Result<LogStore::Recovered> open_log(wire::ClusterId cluster);
  wire::Status found_cluster(LogStore::Recovered& log, wire::ClusterId cluster);
  wire::Status begin_joining();
  wire::Result<std::uint64_t> choose_log_id();
  wire::Status forget_joining();
  std::string joining_path() const { return join_path(config.data_dir, kJoiningName); }
  wire::Result<std::vector<std::string>> join_addresses(std::string& secret) const;

  // ---- while it turns
  void watch_signals();
  void on_signal();
  void on_turn();
  void on_joined(wire::Result<wire::JoinReply> reply);
  void end(wire::Status status);

  std::string log_directory() const { return join_path(config.data_dir, "log"); }
};

wire::Status Bibd::Impl::prepare() {
  BIB_TRY_VOID(validate(config));
  if (config.api_socket.empty()) config.api_socket = join_path(config.data_dir, "bibd.sock");
  BIB_TRY_VOID(files.make_directories(config.data_dir));
  std::error_code ignored;  // a directory of somebody else's keeps its mode
  std::filesystem::permissions(config.data_dir, std::filesystem::perms::owner_all, ignored);
  BIB_TRY(lock, files.lock(config.data_dir));
  BIB_TRY(const std::optional<LogIdentity> identity, read_identity(files, log_directory()));
  if (identity) {
    if (identity->node != config.node_id) {
      return wire::fail(ErrorCode::kConfig,
                        "{} belongs to node {}, but cluster.node_id says {}: correct node_id, or "
                        "use another data_dir",
                        config.data_dir, to_string(identity->node), to_string(config.node_id));
    }
  }
  // Before anything is written and anybody is asked. Behind the lock: a second start of the same
  // node is told of that, and a socket file in the directory is this node's to replace.
  BIB_TRY(listeners, open_listeners(loop, config));
  if (identity) return open_and_start(identity->cluster, {});
  if (config.bootstrap) return open_and_start(random_cluster_id(entropy), {});
  return begin_joining();
}

wire::Member Bibd::Impl::self() const {
  wire::Member member;
  member.id = config.node_id;
  member.raft_address = config.raft_address();
  member.api_address = config.api_address();
  member.wants_vote = config.is_voter;
  return member;
}

wire::Result<LogStore::Recovered> Bibd::Impl::open_log(wire::ClusterId cluster) {
  BIB_TRY_VOID(files.make_directories(log_directory()));
  LogStoreOptions options;
  options.cluster = cluster;
  options.node = config.node_id;
  options.segment_bytes = config.log.segment_bytes;
  options.schema = wire::event_schema();
  options.random = [this] { return joining_log_id != 0 ? joining_log_id : entropy.next(); };
  options.now_us = [this] { return clock.now_us(); };
  return LogStore::open(files, log_directory(), options);
}

// The founder's log begins with the membership of itself alone, in term 1.
wire::Status Bibd::Impl::found_cluster(LogStore::Recovered& log, wire::ClusterId cluster) {
  wire::Membership membership;
  membership.voters = {config.node_id};
  membership.members = {self()};
  membership.members.front().log_id = log.store->identity().log_id;
  const wire::EntryStamp stamp{cluster, wire::Term(1), wire::LogIndex(1), clock.now_us()};
  const wire::Bytes entry = wire::make_membership_entry(stamp, wire::encode_membership(membership));
  LogStoreWrite write;
  write.hard_state = wire::HardState{wire::Term(1), wire::NodeId()};
  write.entries = {entry};
  BIB_TRY_VOID(log.store->append(std::span<const LogStoreWrite>(&write, 1)));
  log.hard_state = *write.hard_state;
  log.log.append(wire::Term(1), static_cast<std::uint32_t>(entry.size()));
  log.memberships = {LoggedMembership{wire::LogIndex(1), membership, {}}};
  logger.info("node", "founded cluster '{}' ({})", config.cluster_name, to_string(cluster));
  return {};
}

wire::Status Bibd::Impl::open_and_start(wire::ClusterId cluster,
                                        std::vector<wire::Member> first_members) {
  BIB_TRY(LogStore::Recovered log, open_log(cluster));
  BIB_TRY_VOID(forget_joining());
  if (!log.torn.empty()) logger.warn("log", "{}", log.torn);
  const bool empty = log.log.last_index() == wire::LogIndex() && log.memberships.empty();
  if (empty && config.bootstrap) BIB_TRY_VOID(found_cluster(log, cluster));
  OpenedState state;
  state.cluster = cluster;
  StateRecoveryOptions recovery;
  recovery.data_directory = config.data_dir;
  recovery.cluster = cluster;
  recovery.on_news = [this](const std::string& news) { logger.warn("store", "{}", news); };
  BIB_TRY(RecoveredState recovered, recover_state(files, recovery, log));
  store = std::move(recovered.store);
  state.projector = std::move(recovered.projector);
  state.snapshots = std::move(recovered.snapshots);
  state.store = store.get();
  if (!empty) {
    logger.info("node", "log: entries {} to {}, {}; rows stand at {}",
                log.log.first_index().value(), log.log.last_index().value(),
                log.closed_cleanly ? "closed cleanly" : "not closed cleanly",
                state.projector->applied_index().value());
  }
  state.log = std::move(log);
  BIB_TRY(running, Node::start({loop, files, clock, entropy, logger}, config, std::move(listeners),
                               std::move(state), std::move(first_members),
                               [this](wire::Status status) { end(std::move(status)); }));
  return {};
}

wire::Result<std::vector<std::string>> Bibd::Impl::join_addresses(std::string& secret) const {
  std::vector<std::string> addresses = config.join_addrs;
  if (config.join_token.empty()) {
    return wire::fail(ErrorCode::kConfig,
                      "{} holds no log yet, and the configuration says neither how to found a "
                      "cluster nor how to join one: run `bib setup --daemon --cluster` or `bib "
                      "setup --daemon --cluster-join <token>`",
                      config.data_dir);
  }
  BIB_TRY(const wire::JoinToken token, wire::decode_join_token(config.join_token));
  if (wire::is_expired(token, const_cast<Impl*>(this)->clock.now_us())) {
    return wire::fail(ErrorCode::kUnauthenticated,
                      "the join token has expired: make a new one with `bib cluster token create` "
                      "on a member and run `bib setup --daemon --cluster-join <token> --force`");
  }
  secret = token.token;
  addresses.insert(addresses.begin(), token.leader_addr);
  return addresses;
}

// The cluster is told of the log's id before there is a log, and must hear the same one again if
// this node is stopped in between: the file lasts until the log does.
wire::Result<std::uint64_t> Bibd::Impl::choose_log_id() {
  constexpr std::size_t kDigits = 16;
  BIB_TRY(const bool is_there, has_name(files, config.data_dir, kJoiningName));
  if (is_there) {
    BIB_TRY(const auto file, files.open(joining_path(), {OpenMode::kRead, false}));
    std::array<std::uint8_t, kDigits> text{};
    BIB_TRY(const std::size_t size, file->read(0, text));
    const auto known = wire::parse_node_id(wire::as_text(wire::ByteView(text).first(size)));
    if (size == kDigits && known) return known->value();
    BIB_TRY_VOID(files.remove(joining_path()));  // torn: nobody was told of it
  }
  const std::uint64_t id = entropy.next() | 1;
  BIB_TRY(const auto file, files.open(joining_path(), {OpenMode::kCreate, false}));
  BIB_TRY_VOID(file->write_durably(0, wire::as_bytes(to_string(wire::NodeId(id)))));
  BIB_TRY_VOID(files.sync_directory(config.data_dir));
  return id;
}

// There is a log: if it is lost, its id must not be used again.
wire::Status Bibd::Impl::forget_joining() {
  BIB_TRY(const bool is_there, has_name(files, config.data_dir, kJoiningName));
  if (!is_there) return {};
  BIB_TRY_VOID(files.remove(joining_path()));
  return files.sync_directory(config.data_dir);
}

wire::Status Bibd::Impl::begin_joining() {
  wire::JoinRequest request;
  request.cluster_name = config.cluster_name;
  request.node = self();
  BIB_TRY(std::vector<std::string> addresses, join_addresses(request.token));
  BIB_TRY(joining_log_id, choose_log_id());
  request.node.log_id = joining_log_id;
  logger.info("join", "asking {} to let node {} join cluster '{}'", addresses.front(),
              to_string(config.node_id), config.cluster_name);
  joiner = std::make_unique<Joiner>(
      loop, logger, std::move(request), std::move(addresses),
      [this](wire::Result<wire::JoinReply> reply) { on_joined(std::move(reply)); });
  return {};
}

void Bibd::Impl::on_joined(wire::Result<wire::JoinReply> reply) {
  joiner.reset();
  if (!reply) {
    return end(
        wire::fail(reply.error().code, "the cluster refused this node: {}", reply.error().message));
  }
  logger.info("join", "joined cluster {}", to_string(reply->cluster));
  if (auto status = open_and_start(reply->cluster, reply->membership.members); !status) {
    running.reset();
    end(std::move(status));
  }
}

void Bibd::Impl::watch_signals() {
  for (const int number : {SIGINT, SIGTERM}) {
    auto* handle = new uv_signal_t;
    BIB_CHECK(uv_signal_init(loop.raw(), handle) == 0);
    handle->data = this;
    uv_signal_start(
        handle, [](uv_signal_t* signal, int) { static_cast<Impl*>(signal->data)->on_signal(); },
        number);
    signals.push_back(handle);
  }
}

void Bibd::Impl::on_signal() {
  if (running) {
    running->stop();
    return loop.continue_soon();
  }
  joiner.reset();
  end({});
}

void Bibd::Impl::end(wire::Status status) {
  outcome = std::move(status);
  ended = true;
  loop.continue_soon();
}

void Bibd::Impl::on_turn() {
  if (running && !ended) running->on_turn();
  if (!ended) return;
  running.reset();
  joiner.reset();
  listeners = {};
  for (uv_signal_t* signal : signals) close_and_delete(signal);
  signals.clear();
  loop.stop();
}

wire::Result<std::unique_ptr<Bibd>> Bibd::create(NodeConfig config) {
  auto impl = std::make_unique<Impl>(std::move(config));
  if (auto status = impl->prepare(); !status) {
    // What was opened on the loop has to be given back before the loop goes.
    impl->running.reset();
    impl->joiner.reset();
    impl->listeners = {};
    impl->loop.stop();
    (void)impl->loop.run();
    return tl::unexpected(status.error());
  }
  return std::unique_ptr<Bibd>(new Bibd(std::move(impl)));
}

Bibd::Bibd(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Bibd::~Bibd() = default;

wire::Status Bibd::run() {
  impl_->watch_signals();
  impl_->loop.set_turn_handler([this] { impl_->on_turn(); });
  const wire::Status closed = impl_->loop.run();
  if (impl_->outcome && !closed) return closed;
  return impl_->outcome;
}

}  // namespace bib::engine
