// SnapshotPort: the way to other nodes for what snapshot_transfer.h says. May drop any message.
#pragma once

#include "wire/peer/snapshot_message.h"

namespace bib::engine {

class SnapshotPort {
 public:
  virtual ~SnapshotPort() = default;
  // The envelope and the sender are the port's to fill in.
  virtual void send(const wire::SnapshotRequest& request) = 0;
  virtual void send(const wire::SnapshotPart& part) = 0;
};

}  // namespace bib::engine
