#include "engine/bibd/bibd.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/bibd/descriptors.h"
#include "engine/bibd/machine.h"
#include "engine/bibd/options.h"
#include "engine/bibd/uv_node.h"
#include "engine/node/startup.h"
#include "engine/ports/file.h"
#include "engine/storage/patient_files.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/file_posix.h"
#include "engine/uv/joiner.h"
#include "engine/uv/listeners.h"
#include "engine/uv/stderr_logger.h"
#include "engine/uv/system_clock.h"
#include "engine/uv/system_entropy.h"
#include "wire/base/check.h"

namespace bib::engine {

using wire::ErrorCode;

namespace {

constexpr std::chrono::seconds kLastLinesTime{1};
constexpr std::chrono::milliseconds kDescriptorWait{20};  // between two tries
constexpr unsigned kDescriptorWaits = 1500;               // 30 s

// What would end a process that does not expect it. SIGHUP is asked for by hand or by a log's
// rotation, and comes when a terminal closes; a socket whose peer is gone and a file at the limit
// of its size (SIGXFSZ) are reported by the call that meets them.
void ignore_what_would_end_the_node() {
  for (const int number : {SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ}) {
    std::signal(number, SIG_IGN);
  }
}

// Those that a person sends in hope of an effect.
std::string_view ignored_signal(int number) {
  switch (number) {
    case SIGHUP:
      return "SIGHUP is ignored: a running node cannot read its configuration again yet. To change "
             "it, restart the node";
    case SIGUSR1:
      return "SIGUSR1 is ignored: it has no meaning for a node";
    case SIGUSR2:
      return "SIGUSR2 is ignored: it has no meaning for a node";
    default:
      return {};
  }
}

}  // namespace

struct Bibd::Impl {
  explicit Impl(wire::NodeConfig node_config)
      : config(std::move(node_config)),
        logger(parse_log_level(config.log_level).value_or(LogLevel::kInfo),
               logger_options(config)) {}

  wire::NodeConfig config;
  StderrLogger logger;
  SystemClock clock;
  SystemEntropy entropy;
  PatientFiles files{posix_file_system(),
                     [this](unsigned attempt) { return wait_for_descriptor(attempt); }};
  Startup startup{{files, clock, entropy, logger}, config};
  std::unique_ptr<DirectoryLock> lock;
  std::unique_ptr<projections::DurableStore> store;  // outlives the loop's last turn
  EventLoop loop;
  Listeners listeners;  // until UvNode has them
  std::unique_ptr<Joiner> joiner;
  std::unique_ptr<UvNode> running;
  std::vector<uv_signal_t*> signals;
  wire::Status outcome;
  bool ended = false;

  // Any thread that may block: no descriptor is left.
  bool wait_for_descriptor(unsigned attempt);

  // ---- before the loop turns
  wire::Status prepare();
  wire::Status open_and_start(wire::ClusterId cluster, std::vector<wire::Member> first_members);
  wire::Status begin_joining();

  // ---- while it turns
  void watch_signals();
  void on_signal(int number);
  void on_turn();
  void on_joined(wire::Result<wire::JoinReply> reply);
  void end(wire::Status status);
};

bool Bibd::Impl::wait_for_descriptor(unsigned attempt) {
  if (attempt == 1) {
    logger.warn("files", "no descriptor is left to open a file with; waiting for one");
  }
  if (attempt > kDescriptorWaits) return false;
  std::this_thread::sleep_for(kDescriptorWait);
  return true;
}

wire::Status Bibd::Impl::prepare() {
  BIB_TRY_VOID(wire::validate(config));
  projections::RocksOptions rocks;
  rocks.block_cache_bytes = block_cache_bytes(config.store.block_cache_bytes, memory_limit());
  BIB_TRY(rocks.files_open_max, store_files(config, raise_descriptor_limit()));
  rocks.on_warning = [this](const std::string& line) { logger.warn("store", "RocksDB: {}", line); };
  startup.state_options().open_store = [rocks](const std::string& directory) {
    return projections::RocksStore::open(directory, rocks);
  };
  BIB_TRY_VOID(files.make_directories(config.data_dir));
  std::error_code ignored;  // a directory of somebody else's keeps its mode
  std::filesystem::permissions(config.data_dir, std::filesystem::perms::owner_all, ignored);
  BIB_TRY(lock, files.lock(config.data_dir));
  BIB_TRY(const Startup::Standing standing, startup.look());
  // Before anything is written and anybody is asked, and under the lock: a second start of the same
  // node is told of that, and a socket file in the directory is this node's to replace.
  BIB_TRY(listeners, open_listeners(loop, config));
  switch (standing.verdict) {
    case wire::DirectoryVerdict::kFound:
      return open_and_start(startup.draw_cluster_id(), {});
    case wire::DirectoryVerdict::kJoin:
      return begin_joining();
    default:
      return open_and_start(standing.cluster, {});
  }
}

wire::Status Bibd::Impl::open_and_start(wire::ClusterId cluster,
                                        std::vector<wire::Member> first_members) {
  BIB_TRY(OpenedState state, startup.open(cluster));
  store = std::move(state.store);
  BIB_TRY(running,
          UvNode::start({loop, files, clock, entropy, logger}, config, std::move(listeners),
                        std::move(state), *store, std::move(first_members),
                        [this](wire::Status status) { end(std::move(status)); }));
  return {};
}

wire::Status Bibd::Impl::begin_joining() {
  BIB_TRY(JoinPlan plan, startup.plan_join());
  logger.info("join", "asking {} to let node {} join cluster '{}'", plan.addresses.front(),
              to_string(config.node_id), config.cluster_name);
  joiner = std::make_unique<Joiner>(
      loop, logger, std::move(plan.request), std::move(plan.addresses),
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
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2}) {
    auto* handle = new uv_signal_t;
    BIB_CHECK(uv_signal_init(loop.raw(), handle) == 0);
    handle->data = this;
    uv_signal_start(
        handle,
        [](uv_signal_t* signal, int received) {
          static_cast<Impl*>(signal->data)->on_signal(received);
        },
        number);
    signals.push_back(handle);
  }
}

void Bibd::Impl::on_signal(int number) {
  if (const std::string_view line = ignored_signal(number); !line.empty()) {
    return logger.info("node", "{}", line);
  }
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

wire::Result<std::unique_ptr<Bibd>> Bibd::create(wire::NodeConfig config) {
  ignore_what_would_end_the_node();
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
  ignore_what_would_end_the_node();  // the loop has given its handlers back; the store closes yet
  impl_->logger.flush(kLastLinesTime);  // what comes after it is about why the node has stopped
  if (impl_->outcome && !closed) return closed;
  return impl_->outcome;
}

}  // namespace bib::engine
