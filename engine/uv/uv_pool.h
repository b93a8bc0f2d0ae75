// UvPool: libuv's pool as an executor. Lives on the loop, which gets the answers.
#pragma once

#include <utility>

#include "engine/ports/executor.h"
#include "engine/uv/event_loop.h"

namespace bib::engine {

class UvPool final : public Executor {
 public:
  explicit UvPool(EventLoop& loop) : loop_(loop) {}
  void run(std::function<void()> work, std::function<void()> done) override {
    run_on_pool(loop_, std::move(work), std::move(done));
  }

 private:
  EventLoop& loop_;
};

}  // namespace bib::engine
