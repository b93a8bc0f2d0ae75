#include "engine/node/startup.h"

#include <array>
#include <span>
#include <utility>

#include "engine/storage/data_directory.h"
#include "wire/base/mutant.h"
#include "wire/log/entry.h"
#include "wire/model/event.h"
#include "wire/peer/join_token.h"

namespace bib::engine {

using wire::ErrorCode;

Startup::Startup(World world, const wire::NodeConfig& config) : world_(world), config_(config) {
  log_options_.node = config_.node_id;
  log_options_.segment_bytes = config_.log.segment_bytes;
  log_options_.schema = wire::event_schema();
  log_options_.random = [this] {
    return joining_log_id_ != 0 ? joining_log_id_ : world_.entropy.next();
  };
  log_options_.now_us = [this] { return world_.clock.now_us(); };
  state_options_.data_directory = config_.data_dir;
  state_options_.projector.cache_bytes = config_.store.row_cache_bytes;
  state_options_.on_news = [this](const std::string& news) {
    world_.logger.warn("store", "{}", news);
  };
}

wire::ClusterId Startup::draw_cluster_id() {
  wire::ClusterId id;
  for (std::size_t i = 0; i < id.bytes.size(); i += 8) {
    const std::uint64_t chance = world_.entropy.next();
    for (std::size_t j = 0; j < 8; ++j) {
      id.bytes[i + j] = static_cast<std::uint8_t>(chance >> (8 * j));
    }
  }
  return id;
}

wire::Result<Startup::Standing> Startup::look() const {
  BIB_TRY(const wire::DirectoryFacts facts, look_at_directory(world_.files, config_.data_dir));
  const auto standing =
      wire::judge_directory(facts, {.node = config_.node_id, .founds = config_.founds_cluster()});
  if (standing.verdict == wire::DirectoryVerdict::kRefuse) {
    return tl::unexpected(wire::refusal_of(standing));
  }
  return Standing{standing.verdict, facts.log.value_or(wire::LogIdentity()).cluster};
}

wire::Member Startup::self() const {
  wire::Member member;
  member.id = config_.node_id;
  member.raft_address = config_.raft_address();
  member.api_address = config_.api_address();
  member.wants_vote = config_.is_voter;
  return member;
}

wire::Result<LogStore::Recovered> Startup::open_log(wire::ClusterId cluster) {
  BIB_TRY_VOID(world_.files.make_directories(log_directory()));
  log_options_.cluster = cluster;
  return LogStore::open(world_.files, log_directory(), log_options_);
}

// The founder's log begins with the membership of itself alone, in term 1.
wire::Status Startup::found_cluster(LogStore::Recovered& log, wire::ClusterId cluster) {
  wire::Membership membership;
  membership.voters = {config_.node_id};
  membership.members = {self()};
  membership.members.front().log_id = log.store->identity().log_id;
  const wire::EntryStamp stamp{cluster, wire::Term(1), wire::LogIndex(1), world_.clock.now_us()};
  const wire::Bytes entry = wire::make_membership_entry(stamp, wire::encode_membership(membership));
  LogStoreWrite write;
  write.hard_state = wire::HardState{wire::Term(1), wire::NodeId()};
  write.entries = {entry};
  BIB_TRY_VOID(log.store->append(std::span<const LogStoreWrite>(&write, 1)));
  log.hard_state = *write.hard_state;
  log.log.append(wire::Term(1), static_cast<std::uint32_t>(entry.size()));
  log.memberships = {wire::LoggedMembership{wire::LogIndex(1), membership, {}}};
  world_.logger.info("node", "founded cluster '{}' ({})", config_.cluster_name, to_string(cluster));
  return {};
}

wire::Result<OpenedState> Startup::open(wire::ClusterId cluster) {
  BIB_TRY(LogStore::Recovered log, open_log(cluster));
  BIB_TRY_VOID(forget_joining());
  if (!log.torn.empty()) world_.logger.warn("log", "{}", log.torn);
  if (!log.note_problem.empty()) world_.logger.warn("log", "{}", log.note_problem);
  const bool empty = log.log.last_index() == wire::LogIndex() && log.memberships.empty();
  if (empty && config_.founds_cluster()) BIB_TRY_VOID(found_cluster(log, cluster));
  state_options_.cluster = cluster;
  BIB_TRY(RecoveredState recovered, recover_state(world_.files, state_options_, log));
  if (!empty) {
    world_.logger.info("node", "log: entries {} to {}, {}; rows are at {}",
                       log.log.first_index().value(), log.log.last_index().value(),
                       log.closed_cleanly ? "closed cleanly" : "not closed cleanly",
                       recovered.projector->applied_index().value());
  }
  OpenedState state;
  state.cluster = cluster;
  state.restored = restored_from(log, recovered.projector->applied_index());
  state.log_reader =
      std::make_shared<LogReader>(world_.files, log_directory(), log.store->locations());
  state.log = std::move(log.store);
  state.store = std::move(recovered.store);
  state.projector = std::move(recovered.projector);
  state.snapshots = std::move(recovered.snapshots);
  return state;
}

// ---- joining

std::string Startup::joining_path() const {
  return join_path(config_.data_dir, wire::kJoiningName);
}

wire::Result<std::vector<std::string>> Startup::join_addresses(std::string& secret) const {
  std::vector<std::string> addresses = config_.join_addrs;
  if (config_.join_token.empty()) {
    return wire::fail(ErrorCode::kConfig,
                      "{} holds no log yet, and the configuration says neither how to found a "
                      "cluster nor how to join one: run `bib setup --daemon --cluster` or `bib "
                      "setup --daemon --cluster-join <token>`",
                      config_.data_dir);
  }
  BIB_TRY(const wire::JoinToken token, wire::decode_join_token(config_.join_token));
  if (wire::is_expired(token, world_.clock.now_us())) {
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
wire::Result<std::uint64_t> Startup::choose_log_id() {
  constexpr std::size_t kDigits = 16;
  BIB_TRY(const bool is_there, has_name(world_.files, config_.data_dir, wire::kJoiningName));
  if (is_there) {
    BIB_TRY(const auto file, world_.files.open(joining_path(), {OpenMode::kReadWrite, false}));
    std::array<std::uint8_t, kDigits> text{};
    BIB_TRY(const std::size_t size, file->read(0, text));
    const auto known = wire::parse_node_id(wire::as_text(wire::ByteView(text).first(size)));
    if (size == kDigits && known && !BIB_MUTANT(kForgetsJoining)) {
      // The run that wrote it may have been killed before it was durable.
      if (BIB_MUTANT(kBelievesUnsyncedNote)) return known->value();
      BIB_TRY_VOID(file->sync());
      BIB_TRY_VOID(world_.files.sync_directory(config_.data_dir));
      return known->value();
    }
    BIB_TRY_VOID(world_.files.remove(joining_path()));  // torn: it was never relied on
  }
  const std::uint64_t id = world_.entropy.next() | 1;
  BIB_TRY(const auto file, world_.files.open(joining_path(), {OpenMode::kCreate, false}));
  BIB_TRY_VOID(file->write_durably(0, wire::as_bytes(to_string(wire::NodeId(id)))));
  BIB_TRY_VOID(world_.files.sync_directory(config_.data_dir));
  return id;
}

// There is a log: if it is lost, its id must not be used again.
wire::Status Startup::forget_joining() {
  BIB_TRY(const bool is_there, has_name(world_.files, config_.data_dir, wire::kJoiningName));
  if (!is_there) return {};
  BIB_TRY_VOID(world_.files.remove(joining_path()));
  return world_.files.sync_directory(config_.data_dir);
}

wire::Result<JoinPlan> Startup::plan_join() {
  JoinPlan plan;
  plan.request.cluster_name = config_.cluster_name;
  plan.request.node = self();
  BIB_TRY(plan.addresses, join_addresses(plan.request.token));
  BIB_TRY(joining_log_id_, choose_log_id());
  plan.request.node.log_id = joining_log_id_;
  return plan;
}

}  // namespace bib::engine
