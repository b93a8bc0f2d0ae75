#include "sim_sessions.h"

#include "violation.h"
#include "wire/base/frame.h"

namespace bib::sim {

using engine::Asker;
using engine::SessionId;

bool SimSessions::on_request(Asker asker, wire::FrameKind kind, wire::ByteView body) {
  if (!sessions_.contains(asker.session)) {
    if (!listens_) return false;
    sessions_.try_emplace(asker.session);
  }
  const auto delivered = engine::deliver_request(*events_, asker, kind, body);
  if (!delivered) violated("wire", "a request cannot be read: {}", delivered.error().message);
  return true;
}

void SimSessions::end(SessionId session) {
  if (sessions_.erase(session) > 0) events_->on_session_end(session);
}

void SimSessions::answer(Asker asker, wire::FrameKind kind, wire::ByteView body) {
  send(asker, kind, body, false);
}

void SimSessions::answer_partly(Asker asker, wire::FrameKind kind, wire::ByteView body) {
  send(asker, kind, body, true);
}

void SimSessions::send(Asker asker, wire::FrameKind kind, wire::ByteView body, bool more) {
  World& world = machine_.world();
  machine_.maybe_die_here(world.plan.faults.die_in_turn_ppm);
  const auto session = sessions_.find(asker.session);
  if (machine_.is_dying() || session == sessions_.end()) return;
  if (body.size() > wire::kClientFrameBodyMax) {
    violated("frame", "{} answers with {} bytes, and no client takes more than {}", machine_.name(),
             body.size(), wire::kClientFrameBodyMax);
  }
  session->second.outgoing += body.size();
  drain_later(asker.session);
  world.clients.on_answer(machine_.index(), asker, kind, body, more);
}

// Mostly at once; a client that has stopped reading takes a while.
void SimSessions::drain_later(SessionId id) {
  Session& session = sessions_.at(id);
  if (session.drain_is_due) return;
  session.drain_is_due = true;
  World& world = machine_.world();
  const bool is_slow = world.faults_are_on && world.random.chance_ppm(world.plan.work.slow_ppm);
  machine_.after(is_slow ? world.random.below(3 * kSecond) : world.random.below(2 * kMillisecond),
                 [this, id] {
                   const auto found = sessions_.find(id);
                   if (found == sessions_.end()) return;
                   found->second = {};
                   events_->on_session_drained(id);
                 });
}

std::size_t SimSessions::outgoing_bytes(SessionId session) const {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? 0 : found->second.outgoing;
}

std::size_t SimSessions::outgoing_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [id, session] : sessions_) bytes += session.outgoing;
  return bytes;
}

}  // namespace bib::sim
