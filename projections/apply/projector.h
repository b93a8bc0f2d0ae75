// Projector: the state machine that the log feeds, on the node loop.
//
// Leader:  begin_turn(index, time) -> decide(command)* -> seal(cluster, term) -> [consensus] ->
//          apply(entry) -> outcomes. decide() sees applied rows under the rows of its own earlier
//          events (pending), so an event is decided against exactly the prefix that it will follow.
// All:     apply(entry) in order of index, each once. An entry that this projector sealed moves its
//          pending rows over; any other is evolved. Rows, the exactly-once record, the digest and
//          the applied index change together.
// Later:   take_for_store() -> store_deltas() on the store thread -> written(index).
//
// Rules for the caller:
//   * decide() only when this node leads and everything before its own term is applied (its no-op
//     was applied): otherwise the prefix is not complete.
//   * the sealed entry is proposed at once, and gets exactly the turn's index; if the proposal
//     fails, or leadership is lost, drop_pending() before anything else is decided or applied.
//     (apply() of another leader's events drops what is pending by itself.)
//   * one sealed entry for one begin_turn(); after seal() a new begin_turn() may follow at once.
//   * an error from any function here (a Result without a value) is a store that failed or a fact
//     that cannot be evolved: the node stops loudly. Refusals are values.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "projections/apply/query.h"
#include "projections/rules/projection.h"
#include "projections/rules/sessions.h"
#include "projections/state/delta.h"
#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/client/client_message.h"
#include "wire/log/entry.h"
#include "wire/model/event.h"

namespace bib::projections {

struct ProjectorOptions {
  std::size_t cache_bytes = 48U << 20;  // applied rows that are kept at hand
};

// The command became events of the open batch; it is answered when they are applied (Outcome).
struct Accepted {
  wire::Position position;  // of its last event
  wire::Revision revision;
};
// Nothing to log: already as asked, or the answer of an earlier try.
struct Answered {
  wire::CommandReply reply;
};
struct Refused {
  wire::Error error;
  wire::Revision current_revision;  // with kRevisionConflict
};
// The same request is on its way: answer this one with the same outcome.
struct InFlight {
  wire::Position position;
};
using Decision = std::variant<Accepted, Answered, Refused, InFlight>;

// The answer to the request (client, sequence), now that it is applied.
struct Outcome {
  wire::ClientId client;
  wire::RequestSequence sequence;
  wire::Position position;
  wire::Revision revision;
};

struct Applied {
  wire::LogIndex index;
  wire::Term term;
  wire::EntryKind kind = wire::EntryKind::kNoop;
  bool own = false;                   // sealed here: pending rows were moved
  std::span<const Outcome> outcomes;  // valid until the next apply()
};

class Projector {
 public:
  // Restores applied index, term and digests from the store, and the clients' table from its rows.
  // kUnsupported when the rows are of other projection versions: remove the state directory
  // (RocksStore::destroy) and replay. `store` must outlive the projector.
  static wire::Result<std::unique_ptr<Projector>> open(Store& store,
                                                       const ProjectorOptions& options = {});
  ~Projector();

  // Becomes `other`, which was opened on a store at another index (a snapshot was installed):
  // layers, clients and all that was on its way are forgotten.
  void replace_with(std::unique_ptr<Projector> other);

  wire::LogIndex applied_index() const;
  wire::Term applied_term() const;

  // ---- leader
  // The open batch will be the entry `index` and bear this time. With an open batch: the same index
  // only, and the first time stays.
  void begin_turn(wire::LogIndex index, std::int64_t time_us);
  wire::Result<Decision> decide(const wire::Command& command, std::int64_t now_us,
                                const SessionBounds& bounds = {});
  // The answer of an earlier try, where the applied rows have one: a leader that takes no new
  // commands has it, too.
  wire::Result<std::optional<Answered>> find_answer(const wire::Command& command);
  // A command of the leader itself, without a client: no exactly-once record, no outcome.
  wire::Result<Decision> decide_own(const wire::CommandBody& command, std::int64_t now_us);
  // SessionsExpired for what a SessionSweep found; false when there was nothing left to log.
  wire::Result<bool> expire_sessions(const ExpiredSessions& expired);

  bool has_open_batch() const;
  std::size_t open_batch_bytes() const;
  std::size_t open_batch_events() const;
  // Seal before deciding more: the batch is near the limits of an entry.
  bool open_batch_full() const;
  // The entry for (cluster, term, the turn's index and time). Precondition: has_open_batch().
  wire::Bytes seal(const wire::ClusterId& cluster, wire::Term term);
  // Forgets the open batch and all sealed entries that are not applied. Should one of them be
  // committed after all, apply() evolves it like any other node's.
  wire::Status drop_pending();

  // ---- every node
  // Entry `applied_index() + 1`, of any kind. `checksum_known_good`: verified before.
  wire::Result<Applied> apply(const wire::Bytes& entry, bool checksum_known_good = false);
  wire::Result<Applied> apply(const wire::EntryReader& entry);

  // One row, as applied. Precondition: query.key is set.
  wire::Result<QueryResult> query(const wire::Query& query) const;
  // The applied state for a pool thread: pages, a SessionSweep.
  wire::Result<QueryView> view();
  // The applied rows on the node loop, for find_join_token() and the like.
  const RowReader& applied_rows() const;

  // ---- store
  // The rows that the store lacks, as of an entry's end; empty when there is nothing. On the store
  // thread: store_deltas(deltas, store). One such write at a time; then written().
  std::vector<DeltaPtr> take_for_store();
  // The store has everything up to `index`: the newest delta's mark().applied_index.
  void written(wire::LogIndex index);
  // Not yet written: freeze by size, push back when the store cannot follow.
  LayerSizes sizes() const;

  const StateMark& mark() const;
  // Views of static names; in order of family.
  std::vector<wire::ProjectionStatus> status() const;

 private:
  class Impl;
  explicit Projector(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bib::projections
