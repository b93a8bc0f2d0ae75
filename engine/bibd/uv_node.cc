#include "engine/bibd/uv_node.h"

#include <utility>

#include "engine/bibd/machine.h"
#include "engine/bibd/options.h"

namespace bib::engine {
UvNode::UvNode(World world, const wire::NodeConfig& config, Listeners listeners, OpenedState& state)
    : world_(world),
      log_(world.loop, state.log_reader, std::move(state.log)),
      peers_(world.loop, world.logger,
             peer_options(config, state.cluster, wire::BootId(world.entropy.next())),
             std::move(listeners.peers)),
      clients_(world.loop, world.logger, client_options(config), std::move(listeners.clients)),
      store_thread_(world.loop),
      pool_(world.loop) {}

wire::Result<std::unique_ptr<UvNode>> UvNode::start(World world, const wire::NodeConfig& config,
                                                    Listeners listeners, OpenedState state,
                                                    projections::DurableStore& store,
                                                    std::vector<wire::Member> first_members,
                                                    std::function<void(wire::Status)> on_stopped) {
  const std::uint64_t log_id = state.log->identity().log_id;
  std::unique_ptr<UvNode> self(new UvNode(world, config, std::move(listeners), state));
  NodeWorld ports{world.loop,  self->log_,  self->peers_,   self->clients_, self->store_thread_,
                  self->pool_, world.files, world.clock,    world.entropy,  world.logger,
                  self->pace_, nullptr,     &resident_bytes};
  NodeStart start{.cluster = state.cluster,
                  .log_id = log_id,
                  .restored = std::move(state.restored),
                  .log_reader = state.log_reader,
                  .store = store,
                  .projector_options = {.cache_bytes = config.store.row_cache_bytes},
                  .projector = std::move(state.projector),
                  .snapshots = std::move(state.snapshots),
                  .first_members = std::move(first_members)};
  auto stopped = [raw = self.get(), on_stopped = std::move(on_stopped)](wire::Status status) {
    raw->timers_.clear();
    on_stopped(std::move(status));
  };
  BIB_TRY(self->node_, Node::start(ports, config, Node::tuning_of(config), std::move(start),
                                   std::move(stopped)));
  self->log_.attach(*self->node_);
  self->peers_.attach(self->node_->peers());
  self->clients_.attach(self->node_->clients());
  self->start_timers();
  world.logger.info("node", "{} of cluster '{}' listens for peers on {}, for clients on {} and {}",
                    to_string(config.node_id), config.cluster_name, self->peers_.listen_address(),
                    self->clients_.listen_address(), config.socket_path());
  return self;
}

void UvNode::start_timers() {
  const auto every = [this](std::uint32_t period_ms, void (Node::*what)()) {
    timers_.push_back(std::make_unique<Timer>(world_.loop, [this, what] { (*node_.*what)(); }));
    timers_.back()->start(period_ms, period_ms);
  };
  every(Node::kTickMs, &Node::on_tick);
  every(Node::kDiskLookMs, &Node::look_at_disk);
  every(Node::kHousekeepingMs, &Node::on_housekeeping);
}

}  // namespace bib::engine
