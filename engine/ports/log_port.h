// The log as a node knows it: writes and reads that are answered later.
//
// All calls and answers belong to the node's loop. A port that has reported a failure takes nothing
// more.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::engine {

// A snapshot was installed: the log is empty and starts after `position`. Where that is the log's
// last entry already, the log stays as it is: it is the same up to there (Raft §5.3).
struct LogReset {
  wire::LogPosition position;
  wire::LogIndex membership_index;
  std::vector<std::uint8_t> membership;  // encode_membership's bytes: the snapshot's
};

// One turn's change, done in the order of the fields. All fields may be empty: a barrier.
struct LogStoreWrite {
  std::uint64_t append_sequence = 0;  // the caller's; only reported back
  std::optional<wire::HardState> hard_state;
  std::optional<LogReset> reset;
  std::optional<wire::LogIndex> truncate_from;
  std::vector<wire::Bytes> entries;  // verified, successive, after the log's last
};

class LogPort {
 public:
  virtual ~LogPort() = default;
  // Strictly in order. False: full (an answer comes before there is room) or failed; the write was
  // left as it was.
  [[nodiscard]] virtual bool submit(LogStoreWrite&& write) = 0;
  // Reads durable entries first .. last, at least one and then up to about `bytes_max`.
  virtual void read(std::uint64_t token, wire::LogIndex first, wire::LogIndex last,
                    std::size_t bytes_max) = 0;
  // Lets go of whole segments below `index`. A later call replaces one that waits.
  virtual void compact(wire::LogIndex index) = 0;
  // How long the write under way has taken so far; 0: none.
  virtual std::chrono::microseconds append_running() const = 0;
  // Blocks: makes durable all that was submitted, and then `rest`, which was not taken before;
  // closes the log. Nothing is answered after it.
  virtual wire::Status stop(std::vector<LogStoreWrite> rest) = 0;
};

class LogEvents {
 public:
  virtual ~LogEvents() = default;
  // This write, and every earlier one.
  virtual void on_log_durable(std::uint64_t append_sequence) = 0;
  virtual void on_log_read(std::uint64_t token, wire::Result<std::vector<wire::Bytes>> entries) = 0;
  // The log's files start after `base` now.
  virtual void on_log_compacted(wire::LogIndex base) = 0;
  // The disk failed: the node must stop.
  virtual void on_log_failed(const wire::Error& error) = 0;
};

}  // namespace bib::engine
