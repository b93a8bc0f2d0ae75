#include "engine/node/commands.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "wire/base/check.h"
#include "wire/base/mutant.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::FrameKind;

Commands::Commands(CommandsOptions options, RaftDriver& driver, projections::Projector& projector,
                   ClientPort& clients, Clock& clock)
    : options_(options), driver_(driver), projector_(projector), clients_(clients), clock_(clock) {}

void Commands::on_command(Asker asker, const wire::Command& command) {
  const bool leads = driver_.raft().role() == consensus::Role::kLeader;
  if (!leads || driver_.stands_back()) return answer_not_leader(asker);
  if (!driver_.is_ready_to_decide() || !parked_.empty()) return park(asker, command);
  decide(asker, command);
}

void Commands::park(Asker asker, const wire::Command& command) {
  const wire::ByteView body = encoder_.encode(command);
  if (parked_.size() >= options_.parked_max ||
      parked_bytes_ + body.size() > options_.parked_bytes_max) {
    ++overloaded_;
    return answer_error(
        asker, {ErrorCode::kOverloaded, "the new leader is not ready yet; try again in a moment"});
  }
  parked_bytes_ += body.size();
  parked_.push_back(Parked{asker, command.digest, {body.begin(), body.end()}});
}

void Commands::decide_parked() {
  if (parked_.empty() || !driver_.is_ready_to_decide()) return;
  const std::uint64_t began = clock_.monotonic_us();
  // At least one: a turn that has no time left would never end.
  do {
    const Parked one = std::move(parked_.front());
    parked_.pop_front();
    parked_bytes_ -= one.body.size();
    auto command = wire::decode_command(one.body);
    BIB_CHECK(command.has_value(), "a parked command was checked before");
    command->digest = one.digest;
    decide(one.asker, *command);
  } while (!parked_.empty() && driver_.is_ready_to_decide() &&
           clock_.monotonic_us() - began < options_.parked_turn_us);
}

void Commands::begin_turn() {
  if (projector_.has_open_batch()) return;
  batch_index_ = driver_.raft().next_index();
  projector_.begin_turn(batch_index_, clock_.now_us());
}

void Commands::decide(Asker asker, const wire::Command& command) {
  if (failure_) return;  // the node is about to stop
  if (const auto why = takes_none_now()) return decline(asker, command, *why);
  begin_turn();
  auto decision = projector_.decide(command, clock_.now_us(), options_.sessions);
  if (!decision) {
    failure_ = decision.error();
    return;
  }
  if (std::holds_alternative<projections::Accepted>(*decision) ||
      std::holds_alternative<projections::InFlight>(*decision)) {
    waiting_.emplace(Request{command.client, command.sequence}, asker);
    if (projector_.open_batch_full()) propose_open_batch();
    return;
  }
  if (const auto* answered = std::get_if<projections::Answered>(&*decision)) {
    const wire::ByteView body = encoder_.encode(answered->reply);
    // The answer of an earlier try is in an applied row: that is certain.
    if (answered->reply.replayed) return clients_.answer(asker, FrameKind::kCommandReply, body);
    return hold(asker, FrameKind::kCommandReply, body);
  }
  const auto& refused = std::get<projections::Refused>(*decision);
  hold(asker, FrameKind::kErrorReply, encode_error(refused.error, refused.current_revision));
}

std::optional<wire::Error> Commands::takes_none_now() const {
  if (refusal_) return refusal_;
  const std::uint64_t under_way = driver_.raft().bytes_under_way() + projector_.open_batch_bytes();
  if (under_way <= options_.uncommitted_bytes_max / 2 &&
      projector_.sizes().unwritten_bytes() <= options_.unwritten_bytes_max &&
      waiting() < options_.waiting_max) {
    return std::nullopt;
  }
  return wire::Error{ErrorCode::kOverloaded,
                     "too much is under way on the leader; try again in a moment"};
}

// What an earlier try has done is not called refused.
void Commands::decline(Asker asker, const wire::Command& command, const wire::Error& why) {
  const auto answered = projector_.find_answer(command);
  if (!answered) {
    failure_ = answered.error();
    return;
  }
  if (*answered) {
    return clients_.answer(asker, FrameKind::kCommandReply, encoder_.encode((*answered)->reply));
  }
  ++overloaded_;
  answer_error(asker, why);
}

// All that one turn decides shares one read: its question leaves after the turn.
void Commands::hold(Asker asker, FrameKind kind, wire::ByteView body) {
  const consensus::Raft& raft = driver_.raft();
  Held held{asker, kind, {body.begin(), body.end()}, raft.next_index() - 1, 0};
  if (projector_.has_open_batch()) held.decided_after = batch_index_;
  // The open batch leaves after now, so that what commits it confirms this leader just as well.
  // Acknowledgements of an entry that has left already may be older than the request.
  const bool confirmed_by_commit = BIB_MUTANT(kHoldsOnOldAcks) ? held.decided_after > raft.commit()
                                                               : projector_.has_open_batch();
  if (!confirmed_by_commit && !BIB_MUTANT(kUnconfirmedRefusals)) {
    if (turn_token_ == 0) turn_token_ = driver_.request_read(ReadAsker::kCommands);
    held.read_token = turn_token_;
  }
  held_.push_back(std::move(held));
}

void Commands::release_held() {
  while (!held_.empty()) {
    const Held& held = held_.front();
    if (held.read_token != 0 || held.decided_after > projector_.applied_index()) return;
    clients_.answer(held.asker, held.kind, held.body);
    held_.pop_front();
  }
}

void Commands::on_read_ready(std::uint64_t token) {
  for (Held& held : held_) {
    if (held.read_token > token) break;
    if (held.read_token == token) held.read_token = 0;
  }
  release_held();
}

void Commands::on_read_refused(std::uint64_t token, consensus::ReadRefusal reason) {
  std::deque<Held> kept;
  for (Held& held : held_) {
    if (held.read_token != token) {
      kept.push_back(std::move(held));
    } else if (reason == consensus::ReadRefusal::kOverloaded) {
      answer_error(held.asker,
                   {ErrorCode::kOverloaded, "too many reads are waiting; try again in a moment"});
    } else {
      answer_not_leader(held.asker);
    }
  }
  held_ = std::move(kept);
  release_held();
}

bool Commands::decide_own(const wire::CommandBody& body) {
  if (failure_ || !driver_.is_ready_to_decide()) return false;
  begin_turn();
  const auto decision = projector_.decide_own(body, clock_.now_us());
  if (!decision) failure_ = decision.error();
  return decision.has_value();
}

void Commands::expire_sessions(const projections::ExpiredSessions& expired) {
  if (failure_ || !driver_.is_ready_to_decide() || projector_.open_batch_full()) return;
  begin_turn();
  const auto logged = projector_.expire_sessions(expired);
  if (!logged) failure_ = logged.error();
}

bool Commands::has_enough_for_a_turn() const {
  return projector_.open_batch_events() >=
         std::max(options_.turn_events_min, waiting_lately_ / options_.parts_under_way);
}

void Commands::propose_open_batch() {
  turn_token_ = 0;
  if (!projector_.has_open_batch()) return;
  const consensus::Raft& raft = driver_.raft();
  const bool is_next = raft.role() == consensus::Role::kLeader && raft.next_index() == batch_index_;
  // Too large beside what is under way: it leaves when enough of that is committed.
  const std::uint64_t under_way = raft.bytes_under_way();
  const std::uint64_t size = wire::kEntryHeaderSize + projector_.open_batch_bytes();
  if (is_next && under_way > 0 && under_way + size > options_.uncommitted_bytes_max) return;
  waiting_lately_ = std::max(waiting_.size(), waiting_lately_ - waiting_lately_ / 8);
  if (is_next && driver_.propose(projector_.seal(options_.cluster, raft.term()))) return;
  // Leadership is gone or being handed over: those who wait ask again.
  driver_.decide_only_after_log();
  on_leadership_lost();
}

void Commands::on_outcomes(std::span<const projections::Outcome> outcomes) {
  for (const projections::Outcome& outcome : outcomes) {
    if (waiting_.empty()) break;
    const auto [begin, end] = waiting_.equal_range(Request{outcome.client, outcome.sequence});
    if (begin == end) continue;
    wire::CommandReply reply;
    reply.position = outcome.position;
    reply.revision = outcome.revision;
    const wire::ByteView body = encoder_.encode(reply);
    for (auto waiter = begin; waiter != end; ++waiter) {
      clients_.answer(waiter->second, FrameKind::kCommandReply, body);
    }
    waiting_.erase(begin, end);
  }
  release_held();
}

void Commands::on_leadership_lost() {
  if (const wire::Status dropped = projector_.drop_pending(); !dropped) failure_ = dropped.error();
  auto waiting = std::move(waiting_);
  waiting_.clear();
  for (const auto& [request, asker] : waiting) answer_not_leader(asker);
  auto held = std::move(held_);
  held_.clear();
  for (const Held& one : held) answer_not_leader(one.asker);
  auto parked = std::move(parked_);
  parked_.clear();
  parked_bytes_ = 0;
  for (const Parked& one : parked) answer_not_leader(one.asker);
}

void Commands::answer_not_leader(Asker asker) {
  const consensus::Raft& raft = driver_.raft();
  const wire::Member* leader = raft.membership().find(raft.leader());
  if (leader == nullptr || leader->id == raft.self()) {
    return clients_.refuse(
        asker, {ErrorCode::kNoQuorum,
                "there is no leader at the moment; try again, or look at `bib cluster status`"});
  }
  clients_.refuse(asker,
                  {ErrorCode::kNotLeader, "this node does not lead the cluster; ask the leader"},
                  leader);
}

void Commands::answer_error(Asker asker, const wire::Error& error,
                            wire::Revision current_revision) {
  clients_.answer(asker, FrameKind::kErrorReply, encode_error(error, current_revision));
}

wire::ByteView Commands::encode_error(const wire::Error& error, wire::Revision current_revision) {
  wire::ErrorReply reply;
  reply.code = error.code;
  reply.message = error.message;
  reply.current_revision = current_revision;
  return encoder_.encode(reply);
}

}  // namespace bib::engine
