// UvLog: the log in a process: the log thread for writing, libuv's pool for reading, and the way
// back to the node loop.
//
// Lives on the node loop. Answers come through a mailbox, to the LogEvents that attach() named.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "engine/ports/lifetime.h"
#include "engine/ports/log_port.h"
#include "engine/storage/log_reader.h"
#include "engine/storage/log_store.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/log_thread.h"
#include "engine/uv/mailbox.h"

namespace bib::engine {

class UvLog final : public LogPort {
 public:
  // `reader` reads what `store` has written; it is shared with jobs on the pool, which may outlive
  // the node's interest in them.
  UvLog(EventLoop& loop, std::shared_ptr<LogReader> reader, std::unique_ptr<LogStore> store);
  ~UvLog() override;
  // Before the loop turns.
  void attach(LogEvents& events) { events_ = &events; }

  [[nodiscard]] bool submit(LogStoreWrite&& write) override {
    return thread_->submit(std::move(write));
  }
  void read(std::uint64_t token, wire::LogIndex first, wire::LogIndex last,
            std::size_t bytes_max) override;
  void compact(wire::LogIndex index) override { thread_->compact(index); }
  std::chrono::microseconds append_running() const override {
    return thread_->metrics().append_running;
  }
  wire::Status stop(std::vector<LogStoreWrite> rest) override {
    return thread_->stop(std::move(rest));
  }

 private:
  using Letter = std::variant<LogDurable, wire::LogPosition, wire::Error>;
  void on_letter(Letter&& letter);

  EventLoop& loop_;
  LogEvents* events_ = nullptr;
  std::shared_ptr<LogReader> reader_;
  Lifetime<UvLog> lifetime_{this};  // a read that comes back later is dropped
  Mailbox<Letter> mailbox_;
  std::unique_ptr<LogThread> thread_;  // ends before the mailbox
};

}  // namespace bib::engine
