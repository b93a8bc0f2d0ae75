// UvNode: a node in a process: Node over libuv's loop, sockets and timers, the log's thread and the
// store's.
//
// Lives on the loop. The loop's owner calls on_turn() once per turn, and gives this up once
// `on_stopped` was called; the store must outlive the loop's last turn.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "engine/node/node.h"
#include "engine/node/startup.h"
#include "engine/uv/client_server.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/listeners.h"
#include "engine/uv/peer_network.h"
#include "engine/uv/store_thread.h"
#include "engine/uv/uv_log.h"
#include "engine/uv/uv_pool.h"

namespace bib::engine {

class UvNode {
 public:
  struct World {
    EventLoop& loop;
    FileSystem& files;
    Clock& clock;
    Entropy& entropy;
    Logger& logger;
  };

  // `state.store` has been taken out by the owner, who keeps it: `store`.
  static wire::Result<std::unique_ptr<UvNode>> start(World world, const wire::NodeConfig& config,
                                                     Listeners listeners, OpenedState state,
                                                     projections::DurableStore& store,
                                                     std::vector<wire::Member> first_members,
                                                     std::function<void(wire::Status)> on_stopped);

  void on_turn() { node_->on_turn(); }
  void stop() { node_->stop(); }

 private:
  UvNode(World world, const wire::NodeConfig& config, Listeners listeners, OpenedState& state);
  void start_timers();

  World world_;
  UvLog log_;
  PeerNetwork peers_;
  ClientServer clients_;
  StoreThread store_thread_;
  UvPool pool_;
  NodePace pace_;
  std::unique_ptr<Node> node_;
  std::vector<std::unique_ptr<Timer>> timers_;
};

}  // namespace bib::engine
