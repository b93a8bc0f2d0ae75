// Sessions: exactly once. A record for each request that was logged: (client, sequence) -> answer.
//
// The record is written in the same step as the request's rows, by evolve of the event that carries
// the origin. A client that acknowledges answers lets their records go: the leader puts a range to
// forget into the origin of one of its next events, and evolve erases the records in it and raises
// the client's floor, below which a late duplicate is refused instead of executed again.
//
// A command that changed nothing or was refused is not logged and has no record: until its client
// goes on, repeating it asks again. When the client acknowledges its answer with the next request,
// the leader sees the gap in the records and closes it, so that no later leader carries out what
// comes late: by the floor, if that request is logged, and otherwise by a mark, an event that
// expires nothing and bears the origin of the last answered request, without a digest.
//
// Records expire by age or number: SessionSweep (session_sweep.h) finds them, the leader logs
// SessionsExpired events, and evolve erases them. Sequence 0 among the keys is the client's floor,
// which goes with its last record; a duplicate that comes even later than the retention is executed
// again.
//
// ClientTable is a node's memory of the clients, on the node loop, derived from the rows: it
// answers "never seen" without a look-up.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

#include "projections/rules/projection.h"
#include "projections/state/delta.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/client/client_message.h"
#include "wire/model/event.h"

namespace bib::projections {

// The floor moves in steps of at least kForgetMin: seldom enough that its row costs little, often
// enough that most records are gone before they would reach the store.
inline constexpr std::uint64_t kForgetMin = 16;
inline constexpr std::uint64_t kForgetMax = 1024;

struct SessionRecord {
  std::uint64_t digest = 0;  // of the command; 0: a mark
  wire::Position position;   // of its last event
  wire::Revision revision;   // of the stream after it
  std::int64_t time_us = 0;

  // u64 digest, u64 index, u32 offset, u64 revision, i64 time.
  static constexpr std::size_t kSize = 36;
  std::array<std::uint8_t, kSize> encode() const;
  static wire::Result<SessionRecord> decode(wire::ByteView bytes);
};

// What is known about one client. It covers pending requests too and may be more careful than the
// rows, never less: `largest` may be above the last record, `smallest` below the first.
struct ClientState {
  wire::RequestSequence floor;         // as in the floor's row; 0: none
  wire::RequestSequence acknowledged;  // the same, as heard from the client; not in the rows
  wire::RequestSequence smallest;      // no record below
  wire::RequestSequence largest;       // no record above
  wire::RequestSequence gap_from;      // from here ...
  wire::RequestSequence gap_to;        // ... to below here, records may be missing; empty: none
  wire::LogIndex last_index;           // of the last entry that holds a request of the client
  bool confirmed = false;              // there was an applied one
};

class ClientTable {
 public:
  // Reads the rows of a state that is at `applied`.
  wire::Status load(const StateReader& state, wire::LogIndex applied);

  ClientState* find(const wire::ClientId& client);
  // False: this request has certainly no record. True: ask the rows.
  bool may_have_record(const wire::ClientId& client, wire::RequestSequence sequence);
  // An event with this origin was decided for, or evolved from, the entry `index`.
  void record(const wire::Origin& origin, wire::LogIndex index, bool applied);
  void confirm(const wire::ClientId& client);
  // An event that erases the client's floor was applied with the entry `index`.
  void finish(const wire::ClientId& client, wire::LogIndex index);
  // The client's pending requests were dropped; `floor` is what the applied rows say.
  void roll_back(const wire::ClientId& client, wire::RequestSequence floor);
  std::size_t size() const { return clients_.size(); }

 private:
  struct Hash {
    std::size_t operator()(const wire::ClientId& client) const;
  };
  std::unordered_map<wire::ClientId, ClientState, Hash> clients_;
};

// There is a request from the floor on and below `below` that has no record.
bool has_gap_below(const ClientState* client, wire::RequestSequence below);

// The records that an event for this request lets go, by what the client has acknowledged, and with
// `to` the client's new floor. Both 0 when it is not worth it yet: with a gap it is at once.
struct ForgetRange {
  wire::RequestSequence from;
  wire::RequestSequence to;
};
ForgetRange forget_range(const ClientState* client, wire::RequestSequence sequence,
                         wire::RequestSequence acknowledged_below);

// The mark for a request that is not logged, if one is due.
std::optional<wire::Origin> mark_for(const ClientState* client, const wire::Command& command);
inline bool is_mark(const wire::Event& event) {
  return event.origin && std::holds_alternative<wire::SessionsExpired>(event.body);
}

// Why a request is not carried out: the sequence was another command's, or is acknowledged.
wire::Error other_command(wire::RequestSequence sequence);
wire::Error too_late(wire::RequestSequence sequence, wire::RequestSequence acknowledged_below);

// The rows of an event's origin. `known_new`: there is no record of this request.
wire::Status evolve_origin(const wire::Origin& origin, wire::Revision revision,
                           const EventStamp& stamp, bool known_new, RowWriter& rows);
wire::Status evolve_expired(const wire::SessionsExpired& expired, RowWriter& rows);
wire::Result<wire::RequestSequence> find_floor(const RowReader& rows, const wire::ClientId& client);

struct ExpiredSessions {
  std::vector<wire::SessionKey> records;
  // Clients that have no other record: the floor may go too, if nothing came since `as_of`.
  std::vector<wire::ClientId> finished;
  wire::LogIndex as_of;
  bool more = false;      // not all were looked at
  bool too_many = false;  // more than there should be, as far as is known

  bool is_empty() const { return records.empty() && finished.empty(); }
  // Takes at most `count` out, records before clients.
  ExpiredSessions take(std::size_t count);
};

// What a leader takes of clients that it must remember. It decides by it; who evolves does not ask.
struct SessionBounds {
  std::uint64_t records_max = UINT64_MAX;  // then clients that it does not know are refused
  std::uint64_t window = UINT64_MAX;       // of one client, beyond what it has acknowledged
};
// Why a request without a record cannot be taken, if so. No client: nothing is known of it.
// `records`: how many there are; only needed then.
std::optional<wire::Error> beyond_bounds(const ClientState* client, const wire::Command& command,
                                         const SessionBounds& bounds, std::uint64_t records);

}  // namespace bib::projections
