// Node: one bibd, assembled and running. Owns every loop, thread, file and socket of the process.
//
// create() takes the data directory and the listening sockets, in this order, and then recovers or
// founds what is in the directory; run() turns the node loop on the calling thread until the node
// was asked to stop or must stop (failed sync, full disk, a committed event that cannot be
// evolved), and shuts down in stages. SIGINT and SIGTERM ask it to stop.
#pragma once

#include <memory>

#include "engine/node_config.h"
#include "wire/result.h"

namespace bib::engine {

class Node {
 public:
  static wire::Result<std::unique_ptr<Node>> create(NodeConfig config);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Returns when the node has stopped; an error says why it had to.
  wire::Status run();

 private:
  struct Impl;
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bib::engine
