// Bibd: one bibd, assembled and running. Owns every loop, thread, file and socket of the process.
//
// create() takes the data directory and the listening sockets, in this order, and then recovers or
// founds what is in the directory; run() turns the node loop on the calling thread until the node
// was asked to stop or must stop (failed sync, full disk, a committed event that cannot be
// evolved), and shuts down in stages. SIGINT and SIGTERM ask it to stop.
#pragma once

#include <memory>

#include "wire/base/result.h"
#include "wire/config/node_config.h"

namespace bib::engine {

class Bibd {
 public:
  static wire::Result<std::unique_ptr<Bibd>> create(wire::NodeConfig config);
  ~Bibd();
  Bibd(const Bibd&) = delete;
  Bibd& operator=(const Bibd&) = delete;

  // Returns when the node has stopped; an error says why it had to.
  wire::Status run();

 private:
  struct Impl;
  explicit Bibd(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bib::engine
