// UvLog: the raft driver's LogSink in a real node: the log thread for writing, libuv's pool for
// reading, and the way back to the node loop.
//
// Lives on the node loop. Writes collect here and go to the log thread with flush(), once per turn
// and after the frames for the peers have left. What its queue does not take at once waits, in
// order; the core's limits on uncommitted bytes and on messages in flight bound it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "engine/ports/node_ports.h"
#include "engine/storage/log_reader.h"
#include "engine/storage/log_store.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/log_thread.h"
#include "engine/uv/mailbox.h"

namespace bib::engine {

class UvLog final : public LogSink {
 public:
  struct Handler {
    virtual ~Handler() = default;
    virtual void on_log_durable(std::uint64_t append_sequence) = 0;
    virtual void on_log_read(std::uint64_t token,
                             wire::Result<std::vector<wire::Bytes>> entries) = 0;
    // The log's files begin behind `base` now.
    virtual void on_log_compacted(wire::LogIndex base) = 0;
    // The disk failed: the node must stop.
    virtual void on_log_failed(const wire::Error& error) = 0;
  };

  UvLog(EventLoop& loop, FileSystem& files, std::unique_ptr<LogStore> store, Handler* handler);
  ~UvLog() override;

  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes> entries) override;
  void read(std::uint64_t token, wire::LogIndex first, wire::LogIndex last,
            std::size_t bytes_max) override;
  void flush();
  void compact(wire::LogIndex index) { thread_->compact(index); }

  // Shared with jobs on the pool, which may outlive the node's interest in them.
  std::shared_ptr<LogReader> reader() const { return reader_; }
  LogThreadMetrics metrics() const { return thread_->metrics(); }

  // Makes everything durable, closes the log and ends its thread.
  wire::Status stop();

 private:
  using Letter = std::variant<LogDurable, wire::LogPosition, wire::Error>;
  void on_letter(Letter&& letter);

  EventLoop& loop_;
  Handler* handler_;
  std::shared_ptr<LogReader> reader_;
  // Expires when this does: a read that comes back later is dropped.
  std::shared_ptr<UvLog*> alive_;
  Mailbox<Letter> mailbox_;
  std::deque<LogStoreWrite> waiting_;
  std::unique_ptr<LogThread> thread_;  // ends before the mailbox
};

}  // namespace bib::engine
