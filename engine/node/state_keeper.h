// StateKeeper: the rows on their way to the store, and the state as snapshots see it.
//
// Lives on the node loop; what blocks runs on the store's thread, one job at a time. Rows go to the
// store only once the log that they come from is durable: a crash must not take away the log of
// rows that are there. While the state is being exchanged for a snapshot it is not read.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/node/log_age.h"
#include "engine/node/node_parts.h"
#include "engine/node/snapshots.h"
#include "engine/ports/lifetime.h"
#include "projections/rules/session_sweep.h"

namespace bib::engine {

class StateKeeper final : public SnapshotHost {
 public:
  explicit StateKeeper(NodeParts& parts);
  ~StateKeeper() override;

  // There is room for more rows: the store has taken what limits.unwritten_bytes leaves in memory.
  bool takes_more_rows() const;
  // Once per turn: what has grown large goes to the store, and snapshots go on where the store's
  // thread, and all readers of the store, are done with it.
  void step();
  // Now and then: what has waited long goes to the store; records of requests expire.
  void on_housekeeping();
  // The end: the last rows, if their log is durable. Blocks.
  wire::Status finish(bool log_is_durable);

  // ---- SnapshotHost
  void checkpoint(const std::string& directory,
                  std::function<void(wire::Result<projections::StateMark>)> done) override;
  void exchange_state(std::function<wire::Status()> swap,
                      std::function<void(wire::Status)> done) override;
  void compact_log(wire::LogIndex index) override { parts_.world.log.compact(index); }
  void on_snapshot_failure(const wire::Error& error) override { parts_.fail(error); }
  void on_state_damage(const wire::Error& error) override;
  void log_snapshot_event(const std::string& text, bool is_problem) override;

 private:
  struct WantedCheckpoint {
    std::string directory;
    std::function<void(wire::Result<projections::StateMark>)> done;
  };
  struct WantedExchange {
    std::function<wire::Status()> swap;
    std::function<void(wire::Status)> done;
  };

  bool log_has_what_is_applied() const;
  void carry(bool even_if_small);
  void look_for_damage();
  void flush_if_due();
  void begin_checkpoint();
  void begin_exchange();
  void look_for_expired_sessions();
  void on_expired(wire::Result<projections::ExpiredSessions> found);
  void expire_next();
  std::uint64_t expiry_pause_ms() const;

  NodeParts& parts_;
  // Work that waits for the store's thread to be free.
  std::optional<WantedCheckpoint> wanted_checkpoint_;
  std::optional<WantedExchange> wanted_exchange_;
  bool exchanging_ = false;  // the store is closed, or about to be: it must not be read
  LogAge retained_;          // by limits.session_retention
  LogAge kept_;              // by pace.keep_ms
  std::shared_ptr<projections::SessionSweep> sweep_;
  projections::ExpiredSessions expiring_;  // found, and not logged yet
  bool expiry_under_way_ = false;
  bool finished_ = false;
  bool sweep_goes_on_ = false;  // the last look did not end its pass
  bool too_many_ = false;       // records, as of the last look
  std::uint64_t last_expiry_ms_ = 0;
  std::uint64_t last_carry_ms_ = 0;
  std::optional<std::uint64_t> unflushed_since_ms_;  // the store may have rows in memory only
  Lifetime<StateKeeper> lifetime_{this};
};

}  // namespace bib::engine
