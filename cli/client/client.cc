#include "cli/client/client.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "wire/base/check.h"
#include "wire/base/secret.h"

namespace bib::cli {

using wire::ErrorCode;
using wire::FrameKind;

namespace {

constexpr std::size_t kQueuedBytesMax = 4U
                                        << 20;  // beyond, requests wait in memory once, not twice
constexpr std::size_t kWindowFactor = 64;       // answered requests that wait for an older one
constexpr std::chrono::milliseconds kOverloadPauseMin{20};
constexpr unsigned kOverloadDoublingsMax = 5;  // to 640 ms
// So long without an answer, and the other nodes are asked who leads.
constexpr std::chrono::milliseconds kDoubtAfter{150};

wire::ClientId random_client_id() {
  wire::ClientId id;
  wire::random_bytes(id.bytes);
  return id;
}

std::string seconds_text(std::chrono::milliseconds time) {
  return fmt::format("{:g} s", static_cast<double>(time.count()) / 1000);
}

wire::Error no_problem() {
  return {ErrorCode::kTimeout, "no answer"};
}

FrameKind answer_to(FrameKind request) {
  switch (request) {
    case FrameKind::kCommand:
      return FrameKind::kCommandReply;
    case FrameKind::kQuery:
      return FrameKind::kQueryReply;
    case FrameKind::kChangeMembership:
      return FrameKind::kChangeMembershipReply;
    case FrameKind::kTransferLeadership:
      return FrameKind::kTransferReply;
    case FrameKind::kSnapshots:
      return FrameKind::kSnapshotsReply;
    default:
      return FrameKind::kStatusReply;
  }
}

bool is_read(FrameKind request) {
  return request == FrameKind::kQuery || request == FrameKind::kStatus ||
         request == FrameKind::kSnapshots;
}

// A node would close the connection, again and again.
tl::unexpected<wire::Error> too_large(std::size_t size) {
  return wire::fail(ErrorCode::kInvalid, "a request of {} bytes is more than a node takes ({})",
                    size, wire::kClientFrameBodyMax);
}

}  // namespace

Client::Client(ClientOptions options)
    : options_(std::move(options)),
      id_(random_client_id()),
      finder_({options_.servers, id_, options_.to_leader, options_.try_timeout}),
      last_problem_(no_problem()) {}

Client::~Client() = default;

bool Client::can_submit() const {
  return inflight_ < options_.inflight_max &&
         pending_.size() < options_.inflight_max * kWindowFactor;
}

std::uint64_t Client::enqueue(FrameKind kind, wire::ByteView body) {
  Pending& pending = pending_.emplace_back();
  pending.ticket = first_ticket_ + pending_.size() - 1;
  pending.kind = kind;
  if (!spare_bodies_.empty()) {
    pending.body = std::move(spare_bodies_.back());
    spare_bodies_.pop_back();
  }
  pending.body.assign(body.begin(), body.end());
  pending.submitted = Clock::now();
  ++inflight_;
  return pending.ticket;
}

std::uint64_t Client::submit(const wire::CommandBody& body,
                             std::optional<wire::Revision> expected_revision) {
  wire::Command command;
  command.client = id_;
  command.sequence = wire::RequestSequence(first_ticket_ + pending_.size());
  command.acknowledged_below = wire::RequestSequence(first_ticket_);
  command.expected_revision = expected_revision;
  command.body = body;
  return enqueue(FrameKind::kCommand, encoder_.encode(command));
}

std::uint64_t Client::submit(const wire::Query& query) {
  return enqueue(FrameKind::kQuery, encoder_.encode(query));
}

std::uint64_t Client::submit_status() {
  return enqueue(FrameKind::kStatus, {});
}

Client::Pending* Client::find(std::uint64_t ticket) {
  if (ticket < first_ticket_ || ticket - first_ticket_ >= pending_.size()) return nullptr;
  Pending& pending = pending_[ticket - first_ticket_];
  return pending.state == Pending::State::kDone ? nullptr : &pending;
}

void Client::complete(Pending& pending, wire::Result<wire::Frame> reply,
                      std::vector<Completion>& completions) {
  completions.push_back({pending.ticket, std::move(reply), pending.submitted});
  pending.state = Pending::State::kDone;
  if (spare_bodies_.size() < options_.inflight_max) {
    spare_bodies_.push_back(std::move(pending.body));
  }
  pending.body = {};
  --inflight_;
  while (!pending_.empty() && pending_.front().state == Pending::State::kDone) {
    pending_.pop_front();
    ++first_ticket_;
  }
  first_waiting_ = std::max(first_waiting_, first_ticket_);
}

void Client::poll(Clock::time_point deadline, std::vector<Completion>& completions) {
  const std::size_t before = completions.size();
  while (inflight_ > 0) {
    turn(deadline, completions);
    if (completions.size() > before || Clock::now() >= deadline) return;
  }
}

// One round: connect if need be, send, receive; then wait until something can happen.
void Client::turn(Clock::time_point deadline, std::vector<Completion>& completions) {
  if (!connection_ && !connect(deadline, completions)) return;
  const std::size_t before = completions.size();
  send_waiting(Clock::now(), completions);
  const auto status = exchange(completions);
  if (!status && connection_) {
    if (status.error().code == ErrorCode::kIo) lose_reads(completions);
    disconnect(status.error());
  }
  const Clock::time_point now = Clock::now();
  expire(now, completions);
  if (connection_ && look_around(now)) return;
  if (completions.size() > before || !connection_ || deadline <= now) return;
  const Pending& oldest = pending_.front();
  if (oldest.state == Pending::State::kSent && now >= oldest.sent + patience(oldest)) {
    return disconnect({ErrorCode::kTimeout,
                       fmt::format("{} does not answer", to_string(connection_->address()))});
  }
  if (const auto waited = wait(wake_up_at(deadline)); !waited) disconnect(waited.error());
}

wire::Status Client::wait(Clock::time_point until) const {
  std::vector<pollfd> items{{connection_->fd(), connection_->events(), 0}};
  if (finder_.is_searching_besides()) finder_.append_polls(items);
  if (::poll(items.data(), items.size(), poll_timeout(until)) >= 0 || errno == EINTR) return {};
  return wire::fail(ErrorCode::kIo, "poll: {}", wire::errno_text(errno));
}

// A leader that hangs, or whose packets vanish, does not close the connection. True: there is a
// later leader, and what is unanswered has to be sent to it.
bool Client::look_around(Clock::time_point now) {
  if (!options_.to_leader) return false;
  const bool in_doubt = inflight_ > 0 && pending_.front().state == Pending::State::kSent &&
                        now >= std::max(pending_.front().sent, heard_at_) + kDoubtAfter;
  if (!in_doubt) {
    if (finder_.is_searching_besides()) finder_.search_besides(nullptr);
    return false;
  }
  if (!finder_.is_searching_besides()) finder_.search_besides(connection_.get());
  auto later_leader = finder_.turn();
  if (!later_leader) return false;
  connection_ = std::move(later_leader);
  heard_at_ = now;
  requeue_sent();
  return true;
}

// False: not connected yet; time has passed or requests have expired.
bool Client::connect(Clock::time_point deadline, std::vector<Completion>& completions) {
  const Clock::time_point now = Clock::now();
  expire(now, completions);
  if (inflight_ == 0) return false;
  const Clock::time_point limit = std::min(deadline, pending_.front().submitted + options_.timeout);
  connection_ = finder_.search(limit);
  if (connection_) {
    heard_at_ = Clock::now();
    return true;
  }
  // That a node was reached and knows no leader says more than that another one is down.
  const std::optional<wire::Error>& problem = finder_.problem();
  if (problem && (last_problem_.code != ErrorCode::kNoQuorum || problem->code != ErrorCode::kIo)) {
    last_problem_ = *problem;
  }
  if (finder_.unreachable()) {
    ErrorCode code =
        last_problem_.code == ErrorCode::kTimeout ? ErrorCode::kIo : last_problem_.code;
    const wire::Error error{code, fmt::format("no node can be reached: {}", finder_.failures())};
    while (!pending_.empty()) {
      Pending& oldest = pending_.front();
      complete(oldest, tl::unexpected(oldest.lost.said().value_or(error)), completions);
    }
    finder_.start_over();
  }
  return false;
}

void Client::disconnect(wire::Error why) {
  last_problem_ = std::move(why);
  connection_.reset();
  finder_.step_back();
  requeue_sent();
}

void Client::requeue_sent() {
  for (Pending& pending : pending_) {
    if (pending.state != Pending::State::kSent) continue;
    pending.state = Pending::State::kWaiting;
    pending.in_doubt = true;
  }
  first_waiting_ = first_ticket_;
}

// The connection has broken.
void Client::lose_reads(std::vector<Completion>& completions) {
  if (connection_->queued_bytes() > 0 || !finder_.server()) return;  // they may not be there yet
  std::vector<std::uint64_t> given_up;
  for (Pending& pending : pending_) {
    if (pending.state != Pending::State::kSent || !is_read(pending.kind)) continue;
    if (!pending.lost.add(*finder_.server())) given_up.push_back(pending.ticket);
  }
  for (const std::uint64_t ticket : given_up) {
    Pending& pending = *find(ticket);
    complete(pending, tl::unexpected(pending.lost.error()), completions);
  }
}

void Client::send_waiting(Clock::time_point now, std::vector<Completion>& completions) {
  const std::uint64_t end = first_ticket_ + pending_.size();
  while (first_waiting_ < end) {
    Pending& pending = pending_[first_waiting_ - first_ticket_];
    if (pending.state == Pending::State::kWaiting) {
      if (pending.not_before > now || connection_->queued_bytes() > kQueuedBytesMax) return;
      if (pending.body.size() > wire::kClientFrameBodyMax) {
        ++first_waiting_;
        complete(pending, too_large(pending.body.size()), completions);
        continue;
      }
      connection_->queue(pending.kind, pending.ticket, pending.body);
      pending.state = Pending::State::kSent;
      pending.sent = now;
    }
    ++first_waiting_;
  }
}

wire::Status Client::exchange(std::vector<Completion>& completions) {
  BIB_TRY_VOID(connection_->flush());
  BIB_TRY_VOID(connection_->receive());
  while (connection_) {
    BIB_TRY(std::optional<wire::Frame> frame, connection_->next());
    if (!frame) return {};
    on_frame(std::move(*frame), completions);
  }
  return {};
}

void Client::on_frame(wire::Frame frame, std::vector<Completion>& completions) {
  Pending* pending = find(frame.id);
  if (pending == nullptr || pending->state != Pending::State::kSent) return;  // an old answer
  if (frame.kind == FrameKind::kErrorReply) return on_error_reply(*pending, frame, completions);
  heard_at_ = Clock::now();
  if (frame.kind != answer_to(pending->kind)) {
    return disconnect({ErrorCode::kUnsupported, "the node answered with another kind of message"});
  }
  finder_.settled();
  if (last_problem_.code != ErrorCode::kTimeout) last_problem_ = no_problem();
  complete(*pending, std::move(frame), completions);
}

void Client::on_error_reply(Pending& pending, const wire::Frame& frame,
                            std::vector<Completion>& completions) {
  const auto reply = wire::decode_error_reply(frame.body.view());
  if (!reply) return disconnect({ErrorCode::kUnsupported, reply.error().message});
  const wire::Error error{reply->code, std::string(reply->message)};
  switch (reply->code) {
    case ErrorCode::kNotLeader:
      finder_.suggest(reply->leader_api_address);
      return disconnect(std::move(error));
    case ErrorCode::kNoQuorum:
    case ErrorCode::kShuttingDown:
    case ErrorCode::kTimeout:
      return disconnect(std::move(error));
    case ErrorCode::kOverloaded:
      last_problem_ = std::move(error);
      pending.state = Pending::State::kWaiting;
      pending.not_before =
          Clock::now() +
          kOverloadPauseMin * (1U << std::min(pending.overloads++, kOverloadDoublingsMax));
      first_waiting_ = std::min(first_waiting_, pending.ticket);
      return;
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
      // That node's rows or disk: each node has its own.
      if (pending.kind == FrameKind::kQuery && finder_.server() &&
          pending.lost.add(*finder_.server(), error)) {
        return disconnect(std::move(error));
      }
      [[fallthrough]];
    default:
      complete(pending, tl::unexpected(std::move(error)), completions);
      completions.back().current_revision = reply->current_revision;
  }
}

// Requests expire in the order in which they were submitted.
void Client::expire(Clock::time_point now, std::vector<Completion>& completions) {
  while (!pending_.empty() && pending_.front().submitted + options_.timeout <= now) {
    complete(pending_.front(), tl::unexpected(expired_error(pending_.front())), completions);
  }
}

// A snapshot may take its time, and one of another node is no answer.
std::chrono::milliseconds Client::patience(const Pending& pending) const {
  return pending.kind == FrameKind::kSnapshots ? options_.timeout : options_.try_timeout;
}

wire::Error Client::expired_error(const Pending& pending) const {
  if (pending.lost.said()) return *pending.lost.said();
  const std::string time = seconds_text(options_.timeout);
  // A command that was sent once may have been executed, whatever came afterwards.
  const bool unknown = pending.kind == FrameKind::kCommand && pending.sent != Clock::time_point();
  switch (last_problem_.code) {
    case ErrorCode::kNotLeader:
    case ErrorCode::kNoQuorum:
      return {ErrorCode::kNoQuorum,
              fmt::format("no leader within {}{}: {}", time,
                          unknown ? ", so the outcome is unknown" : "", last_problem_.message)};
    case ErrorCode::kOverloaded:
      return {
          ErrorCode::kOverloaded,
          fmt::format(
              "refused for {}{}: {}", time,
              unknown && pending.in_doubt ? ", but an earlier try may have been carried out" : "",
              last_problem_.message)};
    default:
      return {ErrorCode::kTimeout,
              fmt::format("no answer within {}{}; the last problem: {}", time,
                          unknown ? ", so the outcome is unknown" : "", last_problem_.message)};
  }
}

Clock::time_point Client::wake_up_at(Clock::time_point deadline) const {
  const Pending& oldest = pending_.front();
  Clock::time_point at = std::min(deadline, oldest.submitted + options_.timeout);
  if (oldest.state == Pending::State::kSent) {
    at = std::min(at, oldest.sent + patience(oldest));
    if (finder_.is_searching_besides()) {
      at = std::min(at, finder_.wake_up_at());
    } else if (options_.to_leader) {
      at = std::min(at, std::max(oldest.sent, heard_at_) + kDoubtAfter);
    }
  }
  if (first_waiting_ < first_ticket_ + pending_.size()) {
    const Pending& waiting = pending_[first_waiting_ - first_ticket_];
    if (waiting.state == Pending::State::kWaiting && waiting.not_before > Clock::now()) {
      at = std::min(at, waiting.not_before);
    }
  }
  return at;
}

Completion Client::wait_for(std::uint64_t ticket) {
  std::vector<Completion> completions;
  while (completions.empty()) poll(Clock::now() + options_.timeout, completions);
  BIB_CHECK(completions.size() == 1 && completions.front().ticket == ticket,
            "call() while other requests are in flight");
  return std::move(completions.front());
}

Completion Client::call(const wire::CommandBody& body,
                        std::optional<wire::Revision> expected_revision) {
  return wait_for(submit(body, expected_revision));
}

Completion Client::call(const wire::Query& query) {
  return wait_for(submit(query));
}

Completion Client::call_status() {
  return wait_for(submit_status());
}

Completion Client::call(const wire::ListSnapshots& request) {
  return wait_for(enqueue(FrameKind::kSnapshots, encoder_.encode(request)));
}

Completion Client::call(const wire::ChangeMembership& request) {
  return wait_for(enqueue(FrameKind::kChangeMembership, encoder_.encode(request)));
}

Completion Client::call(const wire::TransferLeadership& request) {
  return wait_for(enqueue(FrameKind::kTransferLeadership, encoder_.encode(request)));
}

}  // namespace bib::cli
