#include "projections/apply/projector.h"

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "projections/apply/replay.h"
#include "projections/state/keys.h"
#include "wire/base/check.h"
#include "wire/base/mutant.h"

namespace bib::projections {

using wire::ErrorCode;
using wire::fail;
using wire::LogIndex;
using wire::RequestSequence;
using wire::Result;
using wire::Status;
using wire::Term;

namespace {

// Well below an entry's limits, so that one more command always fits.
constexpr std::size_t kOpenBatchBytesMax = 1U << 20;
constexpr std::uint32_t kOpenBatchEventsMax = 4096;

// Events of an entry that are read ahead of the one that is applied (evolve_entry).
constexpr std::size_t kReadAhead = 8;

// An entry of this leader's that is on its way, or the open batch (without a term).
struct OwnEntry {
  LogIndex index;
  Term term;
  ChangeSet changes;
  std::vector<Outcome> outcomes;
  std::vector<wire::ClientId> finished;  // clients whose floor its SessionsExpired erase
  std::vector<wire::ClientId> marked;    // clients of its marks, which have no outcome

  void clear() {
    changes.clear();
    outcomes.clear();
    finished.clear();
    marked.clear();
  }
};

// The rows as decide() sees them, and where its events' rows go.
class PendingRows final : public RowWriter {
 public:
  explicit PendingRows(Layers& layers) : layers_(layers) {}
  using RowWriter::find;
  Result<RowPtr> find(const RowKey& key) const override { return layers_.find(key); }
  Status put(Family family, std::string_view key, wire::ByteView value, bool known_new) override {
    return layers_.change_pending(StoredRow::make(make_row_key(family, key), value), *changes_,
                                  known_new);
  }
  Status erase(Family family, std::string_view key) override {
    return layers_.change_pending(StoredRow::make_tombstone(make_row_key(family, key)), *changes_);
  }
  void into(ChangeSet& changes) { changes_ = &changes; }

 private:
  Layers& layers_;
  ChangeSet* changes_ = nullptr;
};

// The same for entries that were not sealed here; nothing is pending then.
class EvolvedRows final : public RowWriter {
 public:
  explicit EvolvedRows(Layers& layers) : layers_(layers) {}
  using RowWriter::find;
  Result<RowPtr> find(const RowKey& key) const override { return layers_.find(key); }
  Status put(Family family, std::string_view key, wire::ByteView value, bool known_new) override {
    return layers_.change_applied(StoredRow::make(make_row_key(family, key), value), known_new);
  }
  Status erase(Family family, std::string_view key) override {
    return layers_.change_applied(StoredRow::make_tombstone(make_row_key(family, key)));
  }

 private:
  Layers& layers_;
};

// The rows as queries see them.
class AppliedRows final : public RowReader {
 public:
  explicit AppliedRows(const Layers& layers) : layers_(layers) {}
  using RowReader::find;
  Result<RowPtr> find(const RowKey& key) const override { return layers_.find_applied(key); }

 private:
  const Layers& layers_;
};

}  // namespace

class Projector::Impl {
 public:
  Impl(Store& store, const StateMark& mark, const ProjectorOptions& options)
      : layers(store, mark, options.cache_bytes),
        pending(layers),
        evolved(layers),
        applied(layers) {}

  // ---- deciding
  Result<Decision> decide(const wire::CommandBody& body,
                          std::optional<wire::Revision> expected_revision,
                          const wire::Command* client_command, std::int64_t now_us);
  Result<std::optional<Decision>> find_repeated(const wire::Command& command);
  Result<std::optional<Decision>> decide_repeated(const wire::Command& command,
                                                  const SessionBounds& bounds);
  std::uint64_t session_rows() const;
  Status mark_answered(const wire::Command& command);
  wire::Origin make_origin(const wire::Command& command);
  Result<wire::Position> append(const wire::Event& event);

  // ---- applying
  Result<Applied> apply_own();
  Result<Applied> apply_entry(const wire::EntryReader& entry);
  Status evolve(const wire::Event& event, const EventStamp& stamp, bool known_new,
                RowWriter& rows) const;
  Status evolve_entry(const wire::EntryReader& entry);
  Status evolve_event(const Result<wire::Event>& event, const EventStamp& stamp);
  Status check_next(const wire::EntryHeader& header) const;
  bool is_own(const wire::EntryHeader& header) const {
    return !sealed.empty() && sealed.front().index == header.index &&
           sealed.front().term == header.term;
  }
  Status drop_pending();
  OwnEntry take_spare();

  std::shared_ptr<const Projections> projections = std::make_shared<const Projections>();
  Layers layers;
  PendingRows pending;
  EvolvedRows evolved;
  AppliedRows applied;
  ClientTable clients;

  // The turn.
  LogIndex turn_index;
  std::int64_t turn_time_us = 0;
  Draft draft;
  wire::EventEncoder encoder;
  wire::EntryBuilder builder;
  OwnEntry open;
  std::deque<OwnEntry> sealed;   // in order of index
  std::vector<OwnEntry> spares;  // their memory, used again
  std::vector<Outcome> outcomes;
};

Result<std::unique_ptr<Projector>> Projector::open(Store& store, const ProjectorOptions& options) {
  BIB_TRY(const StateMark mark, read_mark(store));
  auto impl = std::make_unique<Impl>(store, mark, options);
  BIB_TRY_VOID(impl->clients.load(*store.view(), mark.applied_index));
  return std::unique_ptr<Projector>(new Projector(std::move(impl)));
}

Projector::Projector(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Projector::~Projector() = default;

void Projector::replace_with(std::unique_ptr<Projector> other) {
  impl_ = std::move(other->impl_);
}

LogIndex Projector::applied_index() const {
  return impl_->layers.mark().applied_index;
}
Term Projector::applied_term() const {
  return impl_->layers.mark().applied_term;
}
const StateMark& Projector::mark() const {
  return impl_->layers.mark();
}

// ---- leader

void Projector::begin_turn(LogIndex index, std::int64_t time_us) {
  if (has_open_batch()) {
    BIB_CHECK(index == impl_->turn_index, "the open batch is for index {}, not {}",
              impl_->turn_index.value(), index.value());
    return;
  }
  BIB_CHECK(
      index > applied_index() && (impl_->sealed.empty() || index > impl_->sealed.back().index),
      "a turn for index {}, which is taken", index.value());
  impl_->turn_index = index;
  impl_->turn_time_us = time_us;
}

Result<Decision> Projector::decide(const wire::Command& command, std::int64_t now_us,
                                   const SessionBounds& bounds) {
  if (command.client.is_none() || command.sequence == RequestSequence()) {
    return Refused{{ErrorCode::kInvalid,
                    "The command has no client id or no sequence: both must be other than zero."},
                   {}};
  }
  BIB_TRY(auto repeated, impl_->decide_repeated(command, bounds));
  if (repeated) return *std::move(repeated);
  return impl_->decide(command.body, command.expected_revision, &command, now_us);
}

Result<Decision> Projector::decide_own(const wire::CommandBody& command, std::int64_t now_us) {
  return impl_->decide(command, std::nullopt, nullptr, now_us);
}

Result<std::optional<Answered>> Projector::find_answer(const wire::Command& command) {
  if (command.client.is_none() || command.sequence == RequestSequence()) return std::nullopt;
  BIB_TRY(const auto repeated, impl_->find_repeated(command));
  if (!repeated || !std::holds_alternative<Answered>(*repeated)) return std::nullopt;
  return std::get<Answered>(*repeated);
}

// What its record says.
Result<std::optional<Decision>> Projector::Impl::find_repeated(const wire::Command& command) {
  if (clients.find(command.client) == nullptr ||
      !clients.may_have_record(command.client, command.sequence)) {
    return std::nullopt;
  }
  const std::string key = keys::session(command.client, command.sequence);
  const RowKey row_key = make_row_key(Family::kSessions, key);
  BIB_TRY(const RowPtr row, layers.find(row_key));
  if (!row) return std::nullopt;
  BIB_TRY(const SessionRecord record, SessionRecord::decode(row->value()));
  if (record.digest == 0) return Refused{too_late(command.sequence, command.sequence + 1), {}};
  if (record.digest != command.digest && !BIB_MUTANT(kAnswersOtherBytes)) {
    return Refused{other_command(command.sequence), {}};
  }
  if (layers.is_pending(row_key)) return InFlight{record.position};
  return Answered{{record.position, record.revision, false, true}};
}

// The answer when the request was seen before; what is new is passed to the rules.
Result<std::optional<Decision>> Projector::Impl::decide_repeated(const wire::Command& command,
                                                                 const SessionBounds& bounds) {
  BIB_TRY(auto repeated, find_repeated(command));
  if (repeated) return repeated;
  ClientState* client = clients.find(command.client);
  const std::uint64_t rows = client == nullptr ? session_rows() : 0;
  if (auto refusal = beyond_bounds(client, command, bounds, rows)) {
    return Refused{*std::move(refusal), {}};
  }
  if (client == nullptr) return std::nullopt;
  client->acknowledged =
      std::max(client->acknowledged, std::min(command.acknowledged_below, command.sequence));
  return std::nullopt;
}

// With those of entries that are on their way.
std::uint64_t Projector::Impl::session_rows() const {
  std::uint64_t rows = layers.mark().digests[family_index(Family::kSessions)].rows;
  for (const OwnEntry& entry : sealed) rows += entry.outcomes.size() + entry.marked.size();
  return rows + open.outcomes.size() + open.marked.size();
}

Result<Decision> Projector::Impl::decide(const wire::CommandBody& body,
                                         std::optional<wire::Revision> expected_revision,
                                         const wire::Command* client_command, std::int64_t now_us) {
  draft.clear();
  const bool looks_back = expected_revision && BIB_MUTANT(kExpectsAppliedRevision);
  const RowReader& rows = looks_back ? static_cast<const RowReader&>(applied) : pending;
  BIB_TRY(auto ruling,
          projections->owner_of(body).decide({body, expected_revision, now_us, rows}, draft));
  if (client_command != nullptr && !std::holds_alternative<Events>(ruling)) {
    BIB_TRY_VOID(mark_answered(*client_command));
  }
  if (auto* refusal = std::get_if<Refusal>(&ruling)) {
    return Refused{std::move(refusal->error), refusal->current_revision};
  }
  if (const auto* unchanged = std::get_if<Unchanged>(&ruling)) {
    return Answered{{{}, unchanged->revision, true, false}};
  }
  std::vector<wire::Event>& events = draft.events();
  BIB_CHECK(!events.empty(), "a ruling without events");
  if (client_command != nullptr) events.back().origin = make_origin(*client_command);
  wire::Position position;
  for (const wire::Event& event : events) {
    BIB_TRY(position, append(event));
  }
  const wire::Revision revision = std::get<Events>(ruling).revision;
  if (client_command != nullptr) {
    open.outcomes.push_back({client_command->client, client_command->sequence, position, revision});
  }
  return Accepted{position, revision};
}

// What the client has acknowledged, where neither a record nor the floor says so.
Status Projector::Impl::mark_answered(const wire::Command& command) {
  wire::Event event;
  event.origin = mark_for(clients.find(command.client), command);
  if (!event.origin) return {};
  event.body = wire::SessionsExpired{};
  BIB_TRY_VOID(append(event).map([](const wire::Position&) {}));
  open.marked.push_back(command.client);
  return {};
}

wire::Origin Projector::Impl::make_origin(const wire::Command& command) {
  const ForgetRange forget =
      forget_range(clients.find(command.client), command.sequence, command.acknowledged_below);
  return {command.client, command.sequence, command.digest, forget.from, forget.to};
}

// Encodes the event into the open batch and makes its rows visible to what is decided next.
Result<wire::Position> Projector::Impl::append(const wire::Event& event) {
  if (builder.empty()) {
    BIB_CHECK(turn_index > layers.mark().applied_index, "decide before begin_turn");
    open = take_spare();
    open.index = turn_index;
    pending.into(open.changes);
  }
  const wire::Position position{turn_index, builder.add_event(encoder.encode(event))};
  const bool known_new =
      event.origin && !clients.may_have_record(event.origin->client, event.origin->sequence);
  BIB_TRY_VOID(evolve(event, {position, turn_time_us}, known_new, pending));
  if (event.origin) clients.record(*event.origin, turn_index, false);
  return position;
}

Result<bool> Projector::expire_sessions(const ExpiredSessions& expired) {
  wire::SessionsExpired body;
  body.records.assign(expired.records.begin(), expired.records.end());
  std::vector<wire::ClientId> finished;
  for (const wire::ClientId& client : expired.finished) {
    const ClientState* state = impl_->clients.find(client);
    if (state != nullptr && state->last_index > expired.as_of) continue;
    body.records.push_back({client, RequestSequence()});
    finished.push_back(client);
  }
  if (body.records.empty()) return false;
  wire::Event event;
  event.body = std::move(body);
  BIB_TRY_VOID(impl_->append(event).map([](const wire::Position&) {}));
  impl_->open.finished.insert(impl_->open.finished.end(), finished.begin(), finished.end());
  return true;
}

bool Projector::has_open_batch() const {
  return !impl_->builder.empty();
}
std::size_t Projector::open_batch_bytes() const {
  return impl_->builder.body_size();
}
std::size_t Projector::open_batch_events() const {
  return impl_->builder.event_count();
}
bool Projector::open_batch_full() const {
  return impl_->builder.body_size() >= kOpenBatchBytesMax ||
         impl_->builder.event_count() >= kOpenBatchEventsMax;
}

wire::Bytes Projector::seal(const wire::ClusterId& cluster, Term term) {
  BIB_CHECK(has_open_batch(), "seal without an open batch");
  impl_->open.term = term;
  wire::Bytes entry = impl_->builder.seal({cluster, term, impl_->open.index, impl_->turn_time_us});
  impl_->sealed.push_back(std::move(impl_->open));
  impl_->turn_index = LogIndex();
  return entry;
}

Status Projector::drop_pending() {
  return impl_->drop_pending();
}

OwnEntry Projector::Impl::take_spare() {
  if (spares.empty()) return {};
  OwnEntry entry = std::move(spares.back());
  spares.pop_back();
  return entry;
}

// ---- every node

Status Projector::Impl::check_next(const wire::EntryHeader& header) const {
  const StateMark& mark = layers.mark();
  if (header.index == mark.applied_index + 1 && header.term >= mark.applied_term) return {};
  return fail(ErrorCode::kCorrupt,
              "Entry {} of term {} cannot follow entry {} of term {} in the state: the log has a "
              "gap or belongs to another state. Rebuild the state from the log or a snapshot.",
              header.index.value(), header.term.value(), mark.applied_index.value(),
              mark.applied_term.value());
}

Result<Applied> Projector::apply(const wire::Bytes& entry, bool checksum_known_good) {
  BIB_TRY(const wire::EntryHeader header, wire::read_entry_header(entry.view()));
  BIB_TRY_VOID(impl_->check_next(header));
  if (impl_->is_own(header)) return impl_->apply_own();
  BIB_TRY(const auto reader, wire::EntryReader::open(entry, checksum_known_good));
  return impl_->apply_entry(reader);
}

Result<Applied> Projector::apply(const wire::EntryReader& entry) {
  BIB_TRY_VOID(impl_->check_next(entry.header()));
  if (impl_->is_own(entry.header())) return impl_->apply_own();
  return impl_->apply_entry(entry);
}

Result<Applied> Projector::Impl::apply_own() {
  OwnEntry own = std::move(sealed.front());
  sealed.pop_front();
  layers.apply_pending(own.changes);
  layers.set_applied(own.index, own.term);
  std::swap(outcomes, own.outcomes);
  for (const Outcome& outcome : outcomes) clients.confirm(outcome.client);
  for (const wire::ClientId& client : own.marked) clients.confirm(client);
  for (const wire::ClientId& client : own.finished) clients.finish(client, own.index);
  const Applied result{own.index, own.term, wire::EntryKind::kEvents, true, outcomes};
  own.clear();
  if (spares.size() < 4) spares.push_back(std::move(own));
  return result;
}

Result<Applied> Projector::Impl::apply_entry(const wire::EntryReader& entry) {
  const wire::EntryHeader& header = entry.header();
  outcomes.clear();
  if (header.kind == wire::EntryKind::kEvents) {
    // Another leader's events: what was decided here was decided against another prefix.
    if (!sealed.empty() || !builder.empty()) BIB_TRY_VOID(drop_pending());
    BIB_TRY_VOID(evolve_entry(entry));
  }
  layers.set_applied(header.index, header.term);
  return Applied{header.index, header.term, header.kind, false, outcomes};
}

Status Projector::Impl::evolve_entry(const wire::EntryReader& entry) {
  const wire::EntryHeader& header = entry.header();
  const std::size_t count = entry.event_count();
  // Events are read some places ahead of the one that is applied, and the rows that they will look
  // at fetched from memory meanwhile: the first half of the way their places, the second the rows.
  struct Upcoming {
    Result<wire::Event> event{wire::Event{}};
    const Projection* owner = nullptr;
    std::uint64_t hash = 0;  // 0: nothing to fetch
  };
  std::array<Upcoming, kReadAhead> upcoming;
  const auto read = [&](std::size_t i) {
    Upcoming& next = upcoming[i % kReadAhead];
    next.event = wire::read_event(entry.event(i));
    next.owner = next.event ? projections->owner_of(next.event->body) : nullptr;
    next.hash = next.owner == nullptr ? 0 : next.owner->foresee(*next.event);
    if (next.hash != 0) layers.prefetch_places(next.owner->family(), next.hash);
  };
  const auto fetch_row = [&](std::size_t i) {
    const Upcoming& next = upcoming[i % kReadAhead];
    if (next.hash != 0) layers.prefetch_rows(next.owner->family(), next.hash);
  };
  for (std::size_t i = 0; i < std::min(count, kReadAhead - 1); ++i) read(i);
  for (std::size_t i = 0; i < count; ++i) {
    if (BIB_MUTANT(kFreezesInsideEntry) && i > 0) layers.freeze();
    if (i + kReadAhead - 1 < count) read(i + kReadAhead - 1);
    if (i + kReadAhead / 2 < count) fetch_row(i + kReadAhead / 2);
    const EventStamp stamp{{header.index, static_cast<std::uint32_t>(i)}, header.time_us};
    BIB_TRY_VOID(evolve_event(upcoming[i % kReadAhead].event, stamp));
  }
  return {};
}

Status Projector::Impl::evolve_event(const Result<wire::Event>& event, const EventStamp& stamp) {
  bool known_new = false;
  Status status;
  if (event) {
    known_new =
        event->origin && !clients.may_have_record(event->origin->client, event->origin->sequence);
    status = evolve(*event, stamp, known_new, evolved);
  } else {
    status = tl::unexpected(event.error());
  }
  if (!status) {
    return fail(status.error().code,
                "Event {} is committed but cannot be applied: {}. The node stops, because going "
                "on would let it diverge from the others. Compare its digests and its log with "
                "theirs (raft-inspect).",
                to_string(stamp.position), status.error().message);
  }
  const LogIndex index = stamp.position.index;
  if (event->origin) {
    if (!BIB_MUTANT(kForgetsRequests)) clients.record(*event->origin, index, true);
    if (is_mark(*event)) return {};
    outcomes.push_back(
        {event->origin->client, event->origin->sequence, stamp.position, event->revision});
  } else if (const auto* expired = std::get_if<wire::SessionsExpired>(&event->body)) {
    for (const wire::SessionKey& key : expired->records) {
      if (key.sequence == RequestSequence()) clients.finish(key.client, index);
    }
  }
  return {};
}

Status Projector::Impl::evolve(const wire::Event& event, const EventStamp& stamp, bool known_new,
                               RowWriter& rows) const {
  if (const Projection* projection = projections->owner_of(event.body)) {
    BIB_TRY_VOID(projection->evolve(event, stamp, rows));
  } else {
    BIB_TRY_VOID(evolve_expired(std::get<wire::SessionsExpired>(event.body), rows));
  }
  if (!event.origin) return {};
  return evolve_origin(*event.origin, event.revision, stamp, known_new, rows);
}

Status Projector::Impl::drop_pending() {
  layers.drop_pending();
  if (!builder.empty()) {
    sealed.push_back(std::move(open));
    builder = wire::EntryBuilder();
  }
  const auto roll_back = [this](const wire::ClientId& client) -> Status {
    BIB_TRY(const RequestSequence floor, find_floor(applied, client));
    clients.roll_back(client, floor);
    return {};
  };
  for (const OwnEntry& entry : sealed) {
    for (const Outcome& outcome : entry.outcomes) BIB_TRY_VOID(roll_back(outcome.client));
    for (const wire::ClientId& client : entry.marked) BIB_TRY_VOID(roll_back(client));
  }
  sealed.clear();
  turn_index = LogIndex();
  return {};
}

Result<QueryResult> Projector::query(const wire::Query& query) const {
  return run_point_query(query, *impl_->projections, impl_->applied, applied_index());
}

Result<QueryView> Projector::view() {
  return QueryView(impl_->layers.view(), impl_->projections);
}

const RowReader& Projector::applied_rows() const {
  return impl_->applied;
}

// ---- store

std::vector<DeltaPtr> Projector::take_for_store() {
  return impl_->layers.take_for_store();
}
void Projector::written(LogIndex index) {
  impl_->layers.drop_written(index);
}
LayerSizes Projector::sizes() const {
  return impl_->layers.sizes();
}

std::vector<wire::ProjectionStatus> Projector::status() const {
  std::vector<wire::ProjectionStatus> all;
  for (const Family family : kFamilies) {
    if (family == Family::kMeta) continue;
    const Digest& digest = mark().digests[family_index(family)];
    all.push_back(
        {family_name(family), projection_version(family), digest.rows, digest.low, digest.high});
  }
  return all;
}

}  // namespace bib::projections
