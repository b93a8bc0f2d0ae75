// Projection: one kind of state, made of events: its rules (decide), its rows (evolve), its lists
// (query). Pure: all that it knows comes in through its arguments, so a projection has no members
// and may be used on any thread.
//
// decide() runs on the leader only and answers with events, with "unchanged", or with a refusal; a
// command that changes nothing or is refused is not logged. Its order: names are well formed
// (kInvalid), the stream is at the expected revision (kRevisionConflict), then the rules.
// evolve() runs on every node and has no opinion: it turns a fact into rows. It must depend on the
// event, its stamp and the rows alone. An error from evolve() means divergence or a bug, and the
// node stops. A change of what evolve() writes is a new version in state/family.h: states of other
// versions are rebuilt by replay.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "projections/state/state.h"
#include "wire/base/result.h"
#include "wire/client/client_message.h"
#include "wire/model/event.h"
#include "wire/model/row.h"

namespace bib::projections {

struct Unchanged {
  wire::Revision revision;
};
struct Refusal {
  wire::Error error;
  wire::Revision current_revision;  // with kRevisionConflict
};
// Events: what Draft holds.
struct Events {
  wire::Revision revision;  // of the stream that the command names, after the last event
};
using Ruling = std::variant<Events, Unchanged, Refusal>;

// The events of one command in the making. What they view must live as long as the draft: the
// command, or a row kept here.
class Draft {
 public:
  void add(wire::Revision revision, wire::EventBody body);
  // The row's bytes stay until clear().
  const StoredRow& keep(RowPtr row);

  std::vector<wire::Event>& events() { return events_; }
  void clear();

 private:
  std::vector<wire::Event> events_;
  std::vector<RowPtr> kept_;
};

struct DecideInput {
  const wire::CommandBody& command;
  std::optional<wire::Revision> expected_revision;
  std::int64_t now_us = 0;
  const RowReader& state;
};

// The event's place and time in the log.
struct EventStamp {
  wire::Position position;
  std::int64_t time_us = 0;
};

// The rows that evolve() puts. find() sees what was put before, by this event too.
class RowWriter : public RowReader {
 public:
  using RowReader::find;
  // `known_new`: there is certainly no row of this key, which saves looking for it.
  virtual wire::Status put(Family family, std::string_view key, wire::ByteView value,
                           bool known_new = false) = 0;
  // Nothing happens when there is no such row.
  virtual wire::Status erase(Family family, std::string_view key) = 0;
  wire::Status put_row(Family family, std::string_view key, const wire::Row& row) {
    return put(family, key, encoder_.encode(row));
  }

 private:
  wire::RowEncoder encoder_;
};

// A query's rows are below `base` in `family`; a row's key for the client is what follows.
struct QueryPlan {
  Family family = Family::kMeta;
  std::string base;
};

class Projection {
 public:
  virtual ~Projection() = default;
  virtual Family family() const = 0;  // the only one that evolve() writes
  std::string_view name() const { return family_name(family()); }

  // Precondition of decide and evolve: the body belongs to this projection (see owner_of).
  virtual wire::Result<Ruling> decide(const DecideInput& input, Draft& draft) const = 0;
  virtual wire::Status evolve(const wire::Event& event, const EventStamp& stamp,
                              RowWriter& rows) const = 0;
  // The hash of the row that evolve() will look at first, so that it can be fetched from memory
  // while other events are applied; 0: not worth it. A hint, which evolve() does not lean on.
  virtual std::uint64_t foresee(const wire::Event&) const { return 0; }
  // kInvalid when the scope is not what the table needs.
  virtual wire::Result<QueryPlan> plan(const wire::Query& query) const = 0;
  // The row as the client sees it: `value`, or another encoded into `encoder`.
  virtual wire::Result<wire::ByteView> present(wire::ByteView value, const RowReader& state,
                                               wire::RowEncoder& encoder) const;
};

std::unique_ptr<Projection> make_topics();
std::unique_ptr<Projection> make_catalog();
std::unique_ptr<Projection> make_tasks();
std::unique_ptr<Projection> make_jobs();
std::unique_ptr<Projection> make_config();

// All of them, by family; sessions (sessions.h) is the projector's own and not among them.
class Projections {
 public:
  Projections();
  const Projection& of(Family family) const;
  const Projection& owner_of(const wire::CommandBody& command) const;
  // Null for SessionsExpired.
  const Projection* owner_of(const wire::EventBody& body) const;
  const Projection& owner_of(wire::QueryTable table) const;

 private:
  std::array<std::unique_ptr<Projection>, kFamilyCount> by_family_;
};

}  // namespace bib::projections
