#include "engine/node/queries.h"

#include <memory>
#include <utility>

#include "wire/base/mutant.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::FrameKind;

namespace {

wire::QueryReply with_age(wire::QueryReply reply, std::optional<std::uint64_t> age) {
  reply.age_known = age.has_value();
  reply.age_us = age.value_or(0);
  return reply;
}

}  // namespace

Queries::Owned::Owned(const wire::Query& query)
    : fields(query),
      key(query.key.value_or("")),
      scope(query.scope),
      prefix(query.prefix),
      after(query.after) {}

wire::Query Queries::Owned::view() const {
  wire::Query query = fields;
  if (fields.key) query.key = key;
  query.scope = scope;
  query.prefix = prefix;
  query.after = after;
  return query;
}

Queries::Queries(Turns& turns, Executor& pool, QueriesOptions options, RaftDriver& driver,
                 projections::Projector& projector, ClientPort& clients, Commands& commands)
    : turns_(turns),
      pool_(pool),
      options_(options),
      driver_(driver),
      projector_(projector),
      clients_(clients),
      commands_(commands) {}

Queries::~Queries() = default;

void Queries::on_query(Asker asker, const wire::Query& query) {
  if (is_refused(asker, Distrust::kLog) || is_refused(asker, Distrust::kRows)) return;
  switch (query.consistency) {
    case wire::Consistency::kStale:
      return run_stale(asker, query);
    case wire::Consistency::kLeader:
      if (must_confirm(query.consistency)) return confirm(asker, query);
      if (may_answer_at_once(asker, query.consistency)) run(asker, query, driver_.age_us());
      return;
    case wire::Consistency::kLinearizable:
      return confirm(asker, query);
  }
}

// A new leader may not have applied yet what the last one, or its own earlier run, has
// acknowledged.
bool Queries::must_confirm(wire::Consistency consistency) const {
  if (consistency == wire::Consistency::kLinearizable) return true;
  if (consistency != wire::Consistency::kLeader) return false;
  return driver_.raft().role() == consensus::Role::kLeader && !driver_.is_ready_to_decide() &&
         !BIB_MUTANT(kLeaderReadsUnapplied);
}

void Queries::when_consistent(Asker asker, wire::Consistency consistency,
                              std::function<void()> read) {
  if (is_refused(asker, Distrust::kLog)) return;
  const bool must = must_confirm(consistency) && !BIB_MUTANT(kListsAtOnce);
  if (must) {
    return confirm(asker, sizeof(Waiting), [this, asker, read = std::move(read)] {
      if (!is_refused(asker, Distrust::kLog)) read();
    });
  }
  if (may_answer_at_once(asker, consistency)) read();
}

bool Queries::may_answer_at_once(Asker asker, wire::Consistency consistency) {
  const bool leads = driver_.raft().role() == consensus::Role::kLeader;
  if (consistency != wire::Consistency::kLeader || leads) return true;
  if (BIB_MUTANT(kLeaderReadsAnywhere)) return true;
  commands_.answer_not_leader(asker);
  return false;
}

void Queries::run_stale(Asker asker, const wire::Query& query) {
  const Age age = driver_.age_us();
  const bool any_will_do = query.max_age_us == 0 || BIB_MUTANT(kTakesAnyAge);
  if (any_will_do || (age && *age <= query.max_age_us)) return run(asker, query, age);
  if (driver_.raft().role() == consensus::Role::kLeader) return confirm(asker, query);
  answer_too_old(asker, query.max_age_us, age);
}

// Answered once the leader has been confirmed after now: as new as can be.
void Queries::confirm(Asker asker, const wire::Query& query) {
  auto owned = std::make_shared<const Owned>(query);
  const std::size_t bytes = owned->bytes();
  confirm(asker, bytes, [this, asker, owned = std::move(owned)] { run(asker, owned->view(), 0); });
}

void Queries::confirm(Asker asker, std::size_t bytes, std::function<void()> read) {
  if (waiting_.size() >= options_.waiting_max ||
      waiting_bytes_ + bytes > options_.waiting_bytes_max) {
    return answer_overloaded(asker, "too many reads are waiting");
  }
  if (BIB_MUTANT(kLinearizableAtOnce)) return read();
  waiting_bytes_ += bytes;
  waiting_.emplace(driver_.request_read(ReadAsker::kQueries),
                   Waiting{asker, std::move(read), bytes, turns_.now_ms() + options_.wait_ms});
}

void Queries::forget(std::uint64_t token) {
  const auto found = waiting_.find(token);
  waiting_bytes_ -= found->second.bytes;
  waiting_.erase(found);
}

void Queries::on_read_ready(std::uint64_t token) {
  const auto found = BIB_MUTANT(kAnswersAllReads) ? waiting_.begin() : waiting_.find(token);
  if (found == waiting_.end()) return;
  const std::function<void()> read = std::move(found->second.read);
  forget(found->first);
  read();
}

void Queries::on_read_refused(std::uint64_t token, consensus::ReadRefusal reason) {
  const auto found = waiting_.find(token);
  if (found == waiting_.end()) return;
  const Asker asker = found->second.asker;
  forget(token);
  if (reason == consensus::ReadRefusal::kOverloaded) {
    return answer_overloaded(asker, "too many reads are waiting");
  }
  answer(asker,
         wire::fail(ErrorCode::kNoQuorum,
                    "no leader could confirm the read; try again, or read with --consistency "
                    "stale"),
         std::nullopt);
}

void Queries::sweep() {
  while (!waiting_.empty() && waiting_.begin()->second.deadline_ms <= turns_.now_ms()) {
    on_read_refused(waiting_.begin()->first, consensus::ReadRefusal::kNoLeader);
  }
}

bool Queries::is_refused(Asker asker, Distrust what) {
  const auto& why = refusals_[static_cast<std::size_t>(what)];
  if (!why) return false;
  refuse_and_name_leader(asker, *why);
  return true;
}

void Queries::run(Asker asker, const wire::Query& query, Age age) {
  if (is_refused(asker, Distrust::kLog) || is_refused(asker, Distrust::kRows)) return;
  if (suspended_) {
    return answer(asker,
                  wire::fail(ErrorCode::kOverloaded,
                             "this node is putting a snapshot in place; try again in a moment, or "
                             "ask another node"),
                  std::nullopt);
  }
  if (const char* why = no_room(asker)) return answer_overloaded(asker, why);
  if (!query.key) return run_page(asker, query, age);
  answer(asker, projector_.query(query), age);
}

void Queries::run_page(Asker asker, const wire::Query& query, Age age) {
  if (pages_under_way_ >= options_.pages_max) {
    return answer_overloaded(asker, "too many lists are being read");
  }
  auto frozen = projector_.view();
  if (!frozen) return answer(asker, tl::unexpected(frozen.error()), std::nullopt);
  auto view = std::make_shared<projections::QueryView>(std::move(*frozen));
  using Page = wire::Result<std::vector<std::uint8_t>>;
  auto page = std::make_shared<Page>();
  ++pages_under_way_;
  pool_.run(
      [view = std::move(view), query = std::make_shared<const Owned>(query), page, age]() mutable {
        const auto result = view->run(query->view());
        view.reset();  // before anybody is told: the store may be closed then
        if (!result) {
          *page = tl::unexpected(result.error());
          return;
        }
        wire::ClientEncoder encoder;
        const wire::ByteView body = encoder.encode(with_age(result->reply(), age));
        *page = std::vector<std::uint8_t>(body.begin(), body.end());
      },
      lifetime_.guarded([asker, page](Queries& self) {
        --self.pages_under_way_;
        if (!*page) return self.answer(asker, tl::unexpected(page->error()), std::nullopt);
        // Others that were under way with it may have come first.
        if (const char* why = self.no_room(asker)) return self.answer_overloaded(asker, why);
        self.clients_.answer(asker, FrameKind::kQueryReply, **page);
      }));
}

const char* Queries::no_room(Asker asker) const {
  const std::size_t own = clients_.outgoing_bytes(asker.session);
  if (own > options_.session_bytes_max) {
    return "too much waits for this client already (limits.unread_bytes): read what was answered";
  }
  const std::size_t all = clients_.outgoing_bytes();
  const bool is_crowded = all > options_.outgoing_bytes_max;
  if (is_crowded && (own > 0 || all / 2 > options_.outgoing_bytes_max)) {
    return "too much waits for clients that do not read (limits.outgoing_bytes)";
  }
  return nullptr;
}

void Queries::answer(Asker asker, const wire::Result<projections::QueryResult>& result, Age age) {
  if (result) {
    return clients_.answer(asker, FrameKind::kQueryReply,
                           encoder_.encode(with_age(result->reply(), age)));
  }
  if (result.error().code == ErrorCode::kIo || result.error().code == ErrorCode::kCorrupt) {
    failure_ = result.error();
  }
  clients_.refuse(asker, result.error());
}

void Queries::answer_overloaded(Asker asker, const char* what) {
  ++overloaded_;
  answer(asker, wire::fail(ErrorCode::kOverloaded, "{}; try again in a moment", what),
         std::nullopt);
}

void Queries::answer_too_old(Asker asker, std::uint64_t max_age_us, Age age) {
  const consensus::Raft& raft = driver_.raft();
  const wire::Member* leader = raft.membership().find(raft.leader());
  std::string message = fmt::format(
      "the rows of this node are {}, and not older than {} ms is asked for; {}",
      age ? fmt::format("up to {} ms old", *age / 1000) : std::string("of unknown age"),
      max_age_us / 1000,
      leader != nullptr ? "ask the leader" : "it hears no leader: see `bib cluster status`");
  refuse_and_name_leader(asker, std::move(message));
}

// The client goes on to the leader; where that is not known, or is this node, to any other.
void Queries::refuse_and_name_leader(Asker asker, std::string message) {
  const consensus::Raft& raft = driver_.raft();
  const wire::Member* leader = raft.membership().find(raft.leader());
  if (leader != nullptr && leader->id == raft.self()) leader = nullptr;
  const ErrorCode code = leader != nullptr ? ErrorCode::kNotLeader : ErrorCode::kNoQuorum;
  clients_.refuse(asker, {code, std::move(message)}, leader);
}

}  // namespace bib::engine
