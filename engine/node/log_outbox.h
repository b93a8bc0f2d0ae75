// LogOutbox: the raft driver's LogSink over the log's port.
//
// Lives on the node loop. Writes collect here and go to the port with flush(), once per turn and
// after the frames for the peers have left. What the port does not take at once waits, in order;
// the core's limits on uncommitted bytes and on messages in flight bound it.
#pragma once

#include <deque>
#include <vector>

#include "engine/node/raft_driver.h"
#include "engine/ports/log_port.h"

namespace bib::engine {

class LogOutbox final : public LogSink {
 public:
  explicit LogOutbox(LogPort& port) : port_(port) {}

  void submit(const consensus::LogWrite& write, std::vector<wire::Bytes> entries) override;
  void read(std::uint64_t token, wire::LogIndex first, wire::LogIndex last,
            std::size_t bytes_max) override {
    port_.read(token, first, last, bytes_max);
  }
  // Also after each answer of the port: then there is room again.
  void flush();
  // Makes everything durable and closes the log. Blocks.
  wire::Status stop();

 private:
  LogPort& port_;
  std::deque<LogStoreWrite> waiting_;
};

}  // namespace bib::engine
