// SnapshotSender: answers other nodes' requests for the parts of a snapshot.
//
// Lives on the node loop; parts are read on an executor, a few at a time, so its memory is bounded
// whatever is asked. It keeps nothing of a transfer but who was last heard when, in order to hold
// the snapshot's files for as long as somebody fetches them, and to tell consensus how it ended.
//
// Who says that it is busy and gets no further (its disk hangs) is served no longer than
// `stuck_ticks`. A transfer that was ended here is over: what its other side still asks for is
// gone, until it is offered a snapshot again. What cannot be read, or is said to have come wrong,
// is doubted (snapshot_audit.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "engine/node/snapshot_audit.h"
#include "engine/node/snapshot_store.h"
#include "engine/ports/executor.h"
#include "engine/ports/lifetime.h"
#include "engine/ports/peer_port.h"
#include "wire/base/ids.h"
#include "wire/peer/snapshot_message.h"

namespace bib::engine {

struct SnapshotSenderOptions {
  std::uint32_t reads_max = 8;   // at once, for all who ask
  std::uint32_t peers_max = 64;  // who are served at once
  unsigned silent_ticks = 1000;  // after so long without a request the transfer has ended
  unsigned stuck_ticks = 60000;  // after so long without a new part, busy or not; checking is less
};

class SnapshotSender {
 public:
  // `on_ended`: the transfer to this node is over; true: it has the snapshot in place.
  // `on_doubt`: this one could not be read, or not be used by who fetched it.
  SnapshotSender(SnapshotSenderOptions options, SnapshotStore& store, Executor& executor,
                 SnapshotPort& port, std::function<void(wire::NodeId to, bool ok)> on_ended,
                 std::function<void(const SnapshotPtr&, const SnapshotDoubt&)> on_doubt);
  ~SnapshotSender();

  // It is being offered this one: its files stay from now on.
  void offered(wire::NodeId to, const SnapshotPtr& snapshot);
  void on_request(const wire::SnapshotRequest& request);
  // Who is no member gets nothing.
  void refuse_stranger(const wire::SnapshotRequest& request) {
    refuse(request, wire::SnapshotPartStatus::kGone);
  }
  void on_peer_disconnected(wire::NodeId peer);
  void on_tick();
  // Those transfers end, without success.
  void end_if(const std::function<bool(wire::NodeId, const wire::SnapshotManifest&)>& must_end);

  // The lowest index that is being fetched now: the log after it must stay.
  std::optional<wire::LogIndex> lowest_under_way() const;

 private:
  struct Transfer {
    SnapshotPtr snapshot;
    SnapshotStore::Pin pin;
    unsigned ticks_silent = 0;
    unsigned ticks_stuck = 0;
    std::pair<std::uint32_t, std::uint64_t> furthest;  // file and offset asked for
  };

  void read_part(const wire::SnapshotRequest& request, const SnapshotPtr& snapshot);
  void answer(const wire::SnapshotRequest& request, const SnapshotPtr& snapshot,
              const wire::Result<wire::Bytes>& read);
  void refuse(const wire::SnapshotRequest& request, wire::SnapshotPartStatus status);
  void end(wire::NodeId peer, bool ok);
  void put_an_end_to(wire::NodeId peer);

  const SnapshotSenderOptions options_;
  SnapshotStore& store_;
  Executor& executor_;
  SnapshotPort& port_;
  std::function<void(wire::NodeId, bool)> on_ended_;
  std::function<void(const SnapshotPtr&, const SnapshotDoubt&)> on_doubt_;
  std::map<wire::NodeId, Transfer> transfers_;
  std::map<wire::NodeId, wire::LogPosition> ended_;  // put an end to; not offered again since
  std::uint32_t reads_ = 0;
  Lifetime<SnapshotSender> lifetime_{this};
};

}  // namespace bib::engine
