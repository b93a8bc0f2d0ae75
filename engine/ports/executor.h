// Executor: runs blocking work somewhere else, and what follows it back here.
//
// In a node: libuv's pool, or the store thread. In a simulation: at once or later, as the seed
// says.
#pragma once

#include <functional>

namespace bib::engine {

class Executor {
 public:
  virtual ~Executor() = default;
  // `work` runs where it may block, beside others, and must own what it touches. `done` runs on the
  // caller's loop, after it and never from inside run(); it may find its owner gone.
  virtual void run(std::function<void()> work, std::function<void()> done) = 0;
};

}  // namespace bib::engine
