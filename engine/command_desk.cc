#include "engine/command_desk.h"

#include <utility>
#include <variant>

#include "wire/check.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::FrameKind;

CommandDesk::CommandDesk(CommandDeskOptions options, RaftDriver& driver,
                         projections::Projector& projector, ClientServer& clients, Clock& clock)
    : options_(options), driver_(driver), projector_(projector), clients_(clients), clock_(clock) {}

void CommandDesk::on_command(ClientServer::Asker asker, const wire::Command& command) {
  if (driver_.raft().role() != consensus::Role::kLeader) return answer_not_leader(asker);
  if (!driver_.is_ready_to_decide() || !parked_.empty()) return park(asker, command);
  decide(asker, command);
}

void CommandDesk::park(ClientServer::Asker asker, const wire::Command& command) {
  const wire::ByteView body = encoder_.encode(command);
  if (parked_.size() >= options_.parked_max ||
      parked_bytes_ + body.size() > options_.parked_bytes_max) {
    return answer_error(
        asker, {ErrorCode::kOverloaded, "the new leader is not ready yet; try again in a moment"});
  }
  parked_bytes_ += body.size();
  parked_.push_back(Parked{asker, {body.begin(), body.end()}});
}

void CommandDesk::decide_parked() {
  if (parked_.empty() || !driver_.is_ready_to_decide()) return;
  std::deque<Parked> parked;
  parked.swap(parked_);
  parked_bytes_ = 0;
  for (const Parked& one : parked) {
    const auto command = wire::decode_command(one.body);
    BIB_CHECK(command.has_value(), "a parked command was checked before");
    decide(one.asker, *command);
  }
}

void CommandDesk::begin_turn() {
  if (projector_.has_open_batch()) return;
  batch_index_ = driver_.raft().next_index();
  projector_.begin_turn(batch_index_, clock_.now_us());
}

void CommandDesk::decide(ClientServer::Asker asker, const wire::Command& command) {
  if (failure_) return;  // the node is about to stop
  const projections::LayerSizes sizes = projector_.sizes();
  if (driver_.raft().uncommitted_bytes() + projector_.open_batch_bytes() >
          options_.uncommitted_bytes_max / 2 ||
      sizes.active_bytes + sizes.frozen_bytes > options_.unwritten_bytes_max) {
    return answer_error(asker, {ErrorCode::kOverloaded,
                                "too much is under way on the leader; try again in a moment"});
  }
  begin_turn();
  auto decision = projector_.decide(command, clock_.now_us());
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
    return clients_.answer(asker, FrameKind::kCommandReply, encoder_.encode(answered->reply));
  }
  const auto& refused = std::get<projections::Refused>(*decision);
  answer_error(asker, refused.error, refused.current_revision);
}

bool CommandDesk::decide_own(const wire::CommandBody& body) {
  if (failure_ || !driver_.is_ready_to_decide()) return false;
  begin_turn();
  const auto decision = projector_.decide_own(body, clock_.now_us());
  if (!decision) failure_ = decision.error();
  return decision.has_value();
}

void CommandDesk::expire_sessions(const projections::ExpiredSessions& expired) {
  if (failure_ || !driver_.is_ready_to_decide()) return;
  begin_turn();
  const auto logged = projector_.expire_sessions(expired);
  if (!logged) failure_ = logged.error();
}

void CommandDesk::propose_open_batch() {
  if (!projector_.has_open_batch()) return;
  const consensus::Raft& raft = driver_.raft();
  const bool fits = raft.role() == consensus::Role::kLeader && raft.next_index() == batch_index_;
  if (fits && driver_.propose(projector_.seal(options_.cluster, raft.term()))) return;
  // Leadership is gone or being handed over: whoever waits asks again.
  driver_.decide_only_after_log();
  on_leadership_lost();
}

void CommandDesk::on_outcomes(std::span<const projections::Outcome> outcomes) {
  if (waiting_.empty()) return;
  for (const projections::Outcome& outcome : outcomes) {
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
}

void CommandDesk::on_leadership_lost() {
  if (const wire::Status dropped = projector_.drop_pending(); !dropped) failure_ = dropped.error();
  auto waiting = std::move(waiting_);
  waiting_.clear();
  for (const auto& [request, asker] : waiting) answer_not_leader(asker);
  auto parked = std::move(parked_);
  parked_.clear();
  parked_bytes_ = 0;
  for (const Parked& one : parked) answer_not_leader(one.asker);
}

void CommandDesk::answer_not_leader(ClientServer::Asker asker) {
  const consensus::Raft& raft = driver_.raft();
  wire::ErrorReply reply;
  const wire::Member* leader = raft.membership().find(raft.leader());
  if (leader == nullptr || leader->id == raft.self()) {
    reply.code = ErrorCode::kNoQuorum;
    reply.message = "there is no leader at the moment; try again, or look at `bib cluster status`";
  } else {
    reply.code = ErrorCode::kNotLeader;
    reply.message = "this node does not lead the cluster; ask the leader";
    reply.leader = leader->id;
    reply.leader_api_address = leader->api_address;
  }
  clients_.answer(asker, FrameKind::kErrorReply, encoder_.encode(reply));
}

void CommandDesk::answer_error(ClientServer::Asker asker, const wire::Error& error,
                               wire::Revision current_revision) {
  wire::ErrorReply reply;
  reply.code = error.code;
  reply.message = error.message;
  reply.current_revision = current_revision;
  clients_.answer(asker, FrameKind::kErrorReply, encoder_.encode(reply));
}

}  // namespace bib::engine
