#include "machine.h"

#include <utility>

#include "engine/uv/file_posix.h"
#include "lan.h"
#include "ports.h"

namespace bib::damage {

using wire::ErrorCode;
using wire::Status;

namespace {

constexpr std::int64_t kEpochUs = 1'800'000'000'000'000;
constexpr Time kAskAgain = 500 * kMillisecond;

// As engine/uv/joiner.cc.
bool is_final(ErrorCode code) {
  return code == ErrorCode::kUnauthenticated || code == ErrorCode::kForbidden ||
         code == ErrorCode::kRefused || code == ErrorCode::kInvalid ||
         code == ErrorCode::kUnsupported;
}

}  // namespace

struct Machine::Process {
  explicit Process(Machine& machine)
      : logger(machine),
        entropy(machine),
        turns(machine),
        startup({files, machine, entropy, logger}, machine.config_),
        store_thread(machine),
        pool(machine),
        peers(machine),
        sessions(machine) {
    pace.carry_ms = 300;
  }

  engine::FileSystem& files = engine::posix_file_system();
  std::unique_ptr<engine::DirectoryLock> lock;
  std::unique_ptr<projections::DurableStore> store;
  LogLines logger;
  Chance entropy;
  VirtualTurns turns;
  engine::NodePace pace;
  engine::Startup startup;
  StoreQueue store_thread;
  Pool pool;
  Peers peers;
  Sessions sessions;
  std::unique_ptr<FileLog> log;
  std::unique_ptr<engine::Node> node;
  std::optional<engine::JoinPlan> joining;
};

Machine::Machine(Timeline& timeline, Lan& lan, wire::NodeConfig config, std::uint64_t seed)
    : timeline_(timeline), lan_(lan), config_(std::move(config)), random_(seed) {
  lan.add(*this);
}

Machine::~Machine() = default;

std::int64_t Machine::now_us() const {
  return kEpochUs + static_cast<std::int64_t>(timeline_.now());
}

bool Machine::is_running() const {
  return process_ && process_->node && !stopped_;
}
bool Machine::is_joining() const {
  return process_ && process_->joining;
}
engine::Node& Machine::node() {
  return *process_->node;
}
bool Machine::leads() {
  return is_running() && raft().role() == consensus::Role::kLeader &&
         process_->node->parts().driver->is_ready_to_decide();
}

// ---- a run (as engine/bibd/bibd.cc)

void Machine::start() {
  ++boot_;
  ended_.reset();
  stopped_.reset();
  process_ = std::make_unique<Process>(*this);
  if (auto status = begin(); !status) end(std::move(status));
}

Status Machine::begin() {
  Process& process = *process_;
  BIB_TRY_VOID(process.files.make_directories(config_.data_dir));
  BIB_TRY(process.lock, process.files.lock(config_.data_dir));
  BIB_TRY(const engine::Startup::Standing standing, process.startup.look());
  switch (standing.verdict) {
    case wire::DirectoryVerdict::kFound:
      return open_and_run(process.startup.draw_cluster_id(), {});
    case wire::DirectoryVerdict::kJoin: {
      BIB_TRY(process.joining, process.startup.plan_join());
      ask_to_join();
      return {};
    }
    default:
      return open_and_run(standing.cluster, {});
  }
}

Status Machine::open_and_run(wire::ClusterId cluster, std::vector<wire::Member> first_members) {
  Process& process = *process_;
  process.joining.reset();
  BIB_TRY(engine::OpenedState state, process.startup.open(cluster));
  const std::uint64_t log_id = state.log->identity().log_id;
  process.store = std::move(state.store);
  process.log = std::make_unique<FileLog>(*this, std::move(state.log), state.log_reader);
  engine::NodeWorld ports{process.turns,        *process.log,   process.peers, process.sessions,
                          process.store_thread, process.pool,   process.files, *this,
                          process.entropy,      process.logger, process.pace};
  engine::NodeStart start{.cluster = cluster,
                          .log_id = log_id,
                          .restored = std::move(state.restored),
                          .log_reader = state.log_reader,
                          .store = *process.store,
                          .projector_options = process.startup.state_options().projector,
                          .projector = std::move(state.projector),
                          .snapshots = std::move(state.snapshots),
                          .first_members = std::move(first_members)};
  BIB_TRY(process.node,
          engine::Node::start(std::move(ports), config_, engine::Node::tuning_of(config_),
                              std::move(start),
                              [this](Status status) { stopped_ = std::move(status); }));
  process.log->attach(*process.node);
  every(engine::Node::kTickMs * kMillisecond, &engine::Node::on_tick);
  every(engine::Node::kDiskLookMs * kMillisecond, &engine::Node::look_at_disk);
  every(engine::Node::kHousekeepingMs * kMillisecond, &engine::Node::on_housekeeping);
  return {};
}

void Machine::every(Time period, void (engine::Node::*what)()) {
  after(period, [this, period, what] {
    every(period, what);
    (node().*what)();
  });
}

void Machine::ask_to_join() {
  if (!is_joining()) return;
  after(kAskAgain, [this] { ask_to_join(); });
  const auto reply = [this, boot = boot_](const wire::JoinReply& answer) {
    timeline_.after(kMillisecond, [this, boot, answer] {
      if (boot == boot_ && is_joining()) happen([&] { on_joined(answer); });
    });
  };
  for (std::size_t tries = 0; tries < lan_.machines().size(); ++tries) {
    if (lan_.ask_to_join(next_to_ask_++, process_->joining->request, reply)) return;
  }
}

void Machine::on_joined(const wire::JoinReply& reply) {
  if (reply.error.code == ErrorCode::kNone) {
    const Status status = open_and_run(reply.cluster, reply.membership.members);
    if (!status) stopped_ = status;
  } else if (is_final(reply.error.code)) {
    stopped_ = Status(
        wire::fail(reply.error.code, "the cluster refused this node: {}", reply.error.message));
  }
}

void Machine::after(Time delay, std::function<void()> what) {
  timeline_.after(delay, [this, boot = boot_, what = std::move(what)] {
    if (boot == boot_ && process_) happen(what);
  });
}

void Machine::happen(const std::function<void()>& what) {
  if (in_step_ || stopped_) return;
  in_step_ = true;
  what();
  if (process_->node && !stopped_) process_->node->on_turn();
  in_step_ = false;
  end_step();
}

void Machine::end_step() {
  if (stopped_) end(*std::exchange(stopped_, std::nullopt));
}

void Machine::end(Status status) {
  if (!status) note(fmt::format("  {} has ended: {}", to_string(id()), status.error().message));
  process_.reset();
  ended_ = std::move(status);
  lan_.stopped(*this);
}

void Machine::stop() {
  if (is_joining()) return end({});
  if (is_running()) happen([this] { node().stop(); });
}

void Machine::kill() {
  ++boot_;
  process_.reset();
  lan_.stopped(*this);
}

// ---- clients

void Machine::request(std::uint64_t number, wire::FrameKind kind, wire::ByteView body) {
  happen([&] {
    const engine::Asker asker{engine::SessionId(1), number};
    const auto status = engine::deliver_request(node().clients(), asker, kind, body);
    BIB_CHECK(status.has_value(), "a request cannot be read");
  });
}

void Machine::answer(std::uint64_t request, wire::FrameKind kind, wire::ByteView body) {
  if (on_answer_) on_answer_(request, kind, body);
}

}  // namespace bib::damage
