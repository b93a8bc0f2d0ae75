// Mailbox: the only door between a loop and other threads.
//
// post() may be called from any thread and wakes the loop; the handler runs on the loop's thread
// with everything that has arrived. Bounded: post() refuses when `capacity` letters wait, and the
// sender has to push back. The loop's side (constructor, destructor) belongs to the loop's thread;
// no thread may post once the destructor has begun.
#pragma once

#include <uv.h>

#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/uv/event_loop.h"
#include "wire/base/check.h"

namespace bib::engine {

template <typename Letter>
class Mailbox {
 public:
  Mailbox(EventLoop& loop, std::size_t capacity, std::function<void(Letter&&)> handler)
      : state_(new State{{}, {}, {}, {}, capacity, std::move(handler), false}) {
    BIB_CHECK(uv_async_init(loop.raw(), &state_->async, [](uv_async_t* async) {
                static_cast<State*>(async->data)->drain();
              }) == 0);
    state_->async.data = state_;
  }
  ~Mailbox() {
    state_->closed = true;
    uv_close(reinterpret_cast<uv_handle_t*>(&state_->async),
             [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
  }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // False: full, and the letter was not taken.
  [[nodiscard]] bool post(Letter letter) {
    {
      const std::lock_guard lock(state_->mutex);
      if (state_->waiting.size() >= state_->capacity) return false;
      state_->waiting.push_back(std::move(letter));
      if (state_->waiting.size() > 1) return true;  // a wake-up is already under way
    }
    uv_async_send(&state_->async);
    return true;
  }

 private:
  struct State {
    uv_async_t async;
    std::mutex mutex;
    std::vector<Letter> waiting;
    std::vector<Letter> taken;  // the loop's side; keeps its capacity
    std::size_t capacity;
    std::function<void(Letter&&)> handler;
    bool closed;

    void drain() {
      {
        const std::lock_guard lock(mutex);
        std::swap(waiting, taken);
      }
      for (Letter& letter : taken) {
        if (closed) break;
        handler(std::move(letter));
      }
      taken.clear();
    }
  };
  State* state_;
};

}  // namespace bib::engine
