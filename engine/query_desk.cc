#include "engine/query_desk.h"

#include <utility>

namespace bib::engine {

using wire::ErrorCode;
using wire::FrameKind;

QueryDesk::Owned::Owned(const wire::Query& query)
    : fields(query),
      key(query.key.value_or("")),
      scope(query.scope),
      prefix(query.prefix),
      after(query.after) {}

wire::Query QueryDesk::Owned::view() const {
  wire::Query query = fields;
  if (fields.key) query.key = key;
  query.scope = scope;
  query.prefix = prefix;
  query.after = after;
  return query;
}

QueryDesk::QueryDesk(EventLoop& loop, QueryDeskOptions options, RaftDriver& driver,
                     projections::Projector& projector, ClientServer& clients,
                     CommandDesk& commands)
    : loop_(loop),
      options_(options),
      driver_(driver),
      projector_(projector),
      clients_(clients),
      commands_(commands),
      alive_(std::make_shared<QueryDesk*>(this)) {}

QueryDesk::~QueryDesk() = default;

void QueryDesk::on_query(ClientServer::Asker asker, const wire::Query& query) {
  if (query.consistency != wire::Consistency::kLinearizable) {
    if (may_answer_at_once(asker, query.consistency)) run(asker, query);
    return;
  }
  confirm(asker, [this, asker, owned = std::make_shared<const Owned>(query)] {
    run(asker, owned->view());
  });
}

void QueryDesk::when_consistent(ClientServer::Asker asker, wire::Consistency consistency,
                                std::function<void()> read) {
  if (consistency == wire::Consistency::kLinearizable) return confirm(asker, std::move(read));
  if (may_answer_at_once(asker, consistency)) read();
}

bool QueryDesk::may_answer_at_once(ClientServer::Asker asker, wire::Consistency consistency) {
  const bool leads = driver_.raft().role() == consensus::Role::kLeader;
  if (consistency != wire::Consistency::kLeader || leads) return true;
  commands_.answer_not_leader(asker);
  return false;
}

void QueryDesk::confirm(ClientServer::Asker asker, std::function<void()> read) {
  if (waiting_.size() >= options_.waiting_max) {
    return answer(asker, wire::fail(ErrorCode::kOverloaded,
                                    "too many reads are waiting; try again in a moment"));
  }
  const std::uint64_t token = next_token_++;
  waiting_.emplace(token, Waiting{asker, std::move(read), loop_.now_ms() + options_.wait_ms});
  driver_.request_read(token);
}

void QueryDesk::on_read_ready(std::uint64_t token) {
  const auto found = waiting_.find(token);
  if (found == waiting_.end()) return;
  const Waiting waiting = std::move(found->second);
  waiting_.erase(found);
  waiting.read();
}

void QueryDesk::on_read_refused(std::uint64_t token, consensus::ReadRefusal reason) {
  const auto found = waiting_.find(token);
  if (found == waiting_.end()) return;
  const ClientServer::Asker asker = found->second.asker;
  waiting_.erase(found);
  if (reason == consensus::ReadRefusal::kOverloaded) {
    return answer(asker, wire::fail(ErrorCode::kOverloaded,
                                    "too many reads are waiting; try again in a moment"));
  }
  answer(asker, wire::fail(ErrorCode::kNoQuorum,
                           "no leader could confirm the read; try again, or read with "
                           "--consistency stale"));
}

void QueryDesk::sweep() {
  while (!waiting_.empty() && waiting_.begin()->second.deadline_ms <= loop_.now_ms()) {
    on_read_refused(waiting_.begin()->first, consensus::ReadRefusal::kNoLeader);
  }
}

void QueryDesk::run(ClientServer::Asker asker, const wire::Query& query) {
  if (suspended_) {
    return answer(asker, wire::fail(ErrorCode::kOverloaded,
                                    "this node is putting a snapshot in place; try again in a "
                                    "moment, or ask another node"));
  }
  if (!query.key) return run_page(asker, query);
  answer(asker, projector_.query(query));
}

void QueryDesk::run_page(ClientServer::Asker asker, const wire::Query& query) {
  auto frozen = projector_.view();
  if (!frozen) return answer(asker, tl::unexpected(frozen.error()));
  auto view = std::make_shared<projections::QueryView>(std::move(*frozen));
  using Page = wire::Result<std::vector<std::uint8_t>>;
  auto page = std::make_shared<Page>();
  ++pages_under_way_;
  run_on_pool(
      loop_,
      [view = std::move(view), query = std::make_shared<const Owned>(query), page]() mutable {
        const auto result = view->run(query->view());
        view.reset();  // before anybody is told: the store may be closed then
        if (!result) {
          *page = tl::unexpected(result.error());
          return;
        }
        wire::ClientEncoder encoder;
        const wire::ByteView body = encoder.encode(result->reply());
        *page = std::vector<std::uint8_t>(body.begin(), body.end());
      },
      [self = std::weak_ptr<QueryDesk*>(alive_), asker, page] {
        const auto alive = self.lock();
        if (!alive) return;
        QueryDesk& desk = **alive;
        --desk.pages_under_way_;
        if (*page) return desk.clients_.answer(asker, FrameKind::kQueryReply, **page);
        desk.answer(asker, tl::unexpected(page->error()));
      });
}

void QueryDesk::answer(ClientServer::Asker asker,
                       const wire::Result<projections::QueryResult>& result) {
  if (result) {
    return clients_.answer(asker, FrameKind::kQueryReply, encoder_.encode(result->reply()));
  }
  if (result.error().code == ErrorCode::kIo || result.error().code == ErrorCode::kCorrupt) {
    failure_ = result.error();
  }
  wire::ErrorReply reply;
  reply.code = result.error().code;
  reply.message = result.error().message;
  clients_.answer(asker, FrameKind::kErrorReply, encoder_.encode(reply));
}

}  // namespace bib::engine
