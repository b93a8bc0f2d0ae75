// The store's thread as a node knows it: whatever blocks on RocksDB runs there, one job after
// another.
#pragma once

#include "engine/ports/executor.h"

namespace bib::engine {

class StorePort : public Executor {
 public:
  // A job was asked for and its end was not told yet.
  virtual bool is_busy() const = 0;
  // Blocks until the jobs that were asked for have run; their ends are no longer reported.
  virtual void stop() = 0;
};

}  // namespace bib::engine
