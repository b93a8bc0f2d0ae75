// SnapshotAudit: looks whether a snapshot of this node is whole when somebody could not use it, and
// sets it aside when it is not.
//
// Lives on the node loop; files are read on an executor, one snapshot at a time. Another node's
// word costs this one a reading of the snapshot, now and then, and nothing else: what counts is
// what is found here. Each outcome is said once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "engine/node/snapshot_store.h"
#include "engine/ports/executor.h"
#include "engine/ports/lifetime.h"
#include "projections/state/delta.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/peer/snapshot_message.h"

namespace bib::engine {

// What is said to be wrong with a snapshot.
struct SnapshotDoubt {
  wire::NodeId by;  // 0: this node, which could not read it
  wire::SnapshotProblem problem = wire::SnapshotProblem::kNone;
  std::uint32_t file = 0;      // kFile
  std::uint64_t checksum = 0;  // kFile, of another node: what came there; 0: not known
};

struct SnapshotAuditOptions {
  // So long after one was found whole it is not read again, whatever is said of it.
  unsigned pause_ticks = 6000;
  // Reads the rows in a directory, computes their digests, and says where they stand.
  std::function<wire::Result<projections::StateMark>(const std::string&)> verify_rows;
};

class SnapshotAudit {
 public:
  // `on_looked` once for each snapshot that was looked at: true: it is whole. `on_news` is for the
  // node's log.
  SnapshotAudit(SnapshotAuditOptions options, SnapshotStore& store, Executor& executor,
                std::function<void(const SnapshotPtr&, bool whole)> on_looked,
                std::function<void(const std::string&)> on_news);
  ~SnapshotAudit();

  // Not for one that is being put in place: its name is needed.
  void doubt(const SnapshotPtr& snapshot, const SnapshotDoubt& doubt);
  // It is being looked at: nobody should be offered it now.
  bool is_looking_at(const SnapshotPtr& snapshot) const {
    return under_way_ && under_way_ == snapshot;
  }
  void on_tick();

 private:
  void on_looked(const SnapshotDoubt& doubt, const wire::Status& found);
  void set_aside(const SnapshotDoubt& doubt, const wire::Status& found);

  const SnapshotAuditOptions options_;
  SnapshotStore& store_;
  Executor& executor_;
  std::function<void(const SnapshotPtr&, bool)> on_looked_;
  std::function<void(const std::string&)> on_news_;
  SnapshotPtr under_way_;
  SnapshotStore::Pin pin_;
  wire::LogPosition last_whole_;
  unsigned pause_ = 0;  // ticks that are left of it
  std::map<wire::NodeId, wire::LogPosition>
      told_;  // members: whose word was not confirmed, of what
  Lifetime<SnapshotAudit> lifetime_{this};
};

}  // namespace bib::engine
