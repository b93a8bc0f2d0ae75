#include "cli/commands/event_stream.h"

#include <optional>
#include <utility>

#include "cli/client/lost_answers.h"
#include "cli/client/node_finder.h"
#include "wire/base/secret.h"

namespace bib::cli {
namespace {

using wire::ErrorCode;
using wire::FrameKind;

constexpr std::uint64_t kRequestId = 1;

class EventStream {
 public:
  EventStream(const Context& context, wire::ReadEvents request, const EventVisitor& visit,
              NodeFinder::Options options)
      : context_(context), request_(request), visit_(visit), finder_(std::move(options)) {}

  wire::Result<wire::Position> run() {
    while (!finished_) {
      BIB_TRY(const auto connection, connect());
      const Clock::time_point began = Clock::now();
      const auto status = read(*connection);
      if (finished_ || status) continue;
      if (!can_retry(status.error().code)) return tl::unexpected(status.error());
      if (status.error().code == ErrorCode::kIo && !may_ask_another(*connection)) {
        return tl::unexpected(lost_.error());
      }
      remember(status.error());
      // A follower may have waited for days: this trouble is a new one.
      if (Clock::now() - began >= context_.timeout) give_up_at_.reset();
      if (!give_up_at_) give_up_at_ = Clock::now() + context_.timeout;
      if (Clock::now() >= *give_up_at_) return tl::unexpected(no_leader_.value_or(status.error()));
      finder_.step_back();
    }
    return request_.from;
  }

 private:
  static bool can_retry(ErrorCode code) {
    return code == ErrorCode::kIo || code == ErrorCode::kShuttingDown ||
           code == ErrorCode::kOverloaded || code == ErrorCode::kNoQuorum ||
           code == ErrorCode::kNotLeader;
  }

  // The connection has broken. A node that had sent everything there was did not die of the
  // request.
  bool may_ask_another(const Connection& connection) {
    if (refused_) return true;  // an answer
    const bool had_all = caught_up_ || Clock::now() - heard_at_ >= context_.timeout;
    if (had_all || request_.from != lost_from_) lost_.clear();
    lost_from_ = request_.from;
    if (had_all || connection.queued_bytes() > 0) return true;
    return lost_.add(*finder_.server());
  }

  // That a node was reached and knows no leader says more than that another one is down.
  void remember(const wire::Error& error) {
    if (error.code == ErrorCode::kNoQuorum) no_leader_ = error;
  }

  wire::Result<std::unique_ptr<Connection>> connect() {
    const Clock::time_point deadline = give_up_at_.value_or(Clock::now() + context_.timeout);
    for (;;) {
      if (auto connection = finder_.search(deadline)) return connection;
      if (finder_.problem()) remember(*finder_.problem());
      if (!finder_.unreachable() && Clock::now() < deadline) continue;
      if (no_leader_) return tl::unexpected(*no_leader_);
      return wire::fail(ErrorCode::kIo, "no node can be reached: {}", finder_.failures());
    }
  }

  wire::Status read(Connection& connection) {
    wire::ClientEncoder encoder;
    connection.queue(FrameKind::kReadEvents, kRequestId, encoder.encode(request_));
    caught_up_ = refused_ = false;
    heard_at_ = Clock::now();
    while (!finished_) {
      // Who follows waits for as long as nothing happens.
      const auto patience = request_.follow
                                ? std::chrono::milliseconds(std::chrono::hours(24 * 365))
                                : context_.timeout;
      BIB_TRY(const wire::Frame frame, connection.receive_frame(Clock::now() + patience));
      if (frame.id != kRequestId) continue;
      BIB_TRY_VOID(on_frame(frame));
      heard_at_ = Clock::now();
      finder_.settled();
      give_up_at_.reset();
      no_leader_.reset();
    }
    return {};
  }

  wire::Status on_frame(const wire::Frame& frame) {
    if (frame.kind == FrameKind::kErrorReply) {
      refused_ = true;
      BIB_TRY(const wire::ErrorReply reply, wire::decode_error_reply(frame.body.view()));
      if (reply.code == ErrorCode::kNotLeader) finder_.suggest(reply.leader_api_address);
      return wire::fail(reply.code, "{}", reply.message);
    }
    if (frame.kind != FrameKind::kEventsReply) {
      return wire::fail(ErrorCode::kUnsupported, "the node answered with another kind of message");
    }
    const auto reply = wire::decode_events_reply(frame.body.view());
    if (!reply) {
      return wire::fail(ErrorCode::kUnsupported, "the events cannot be read: {}",
                        reply.error().message);
    }
    for (const wire::LoggedEvent& event : reply->events) {
      request_.from = {event.position.index, event.position.offset + 1};
      const bool last = request_.limit != 0 && --request_.limit == 0;
      if (!visit_(event) || last) {
        finished_ = true;
        return {};
      }
    }
    request_.from = reply->next;
    finished_ = reply->end;
    caught_up_ = reply->events.empty();
    return {};
  }

  const Context& context_;
  wire::ReadEvents request_;  // what is still to come
  const EventVisitor& visit_;
  NodeFinder finder_;
  std::optional<Clock::time_point> give_up_at_;  // since a connection was lost; a frame ends that
  std::optional<wire::Error> no_leader_;         // what a node said since then
  // Of the present connection.
  bool caught_up_ = false;  // there was nothing more yet
  bool refused_ = false;    // the node said no
  Clock::time_point heard_at_;
  LostAnswers lost_;
  wire::Position lost_from_;  // what was asked for then
  bool finished_ = false;
};

}  // namespace

wire::Result<wire::Position> stream_events(const Context& context, wire::ReadEvents request,
                                           const EventVisitor& visit) {
  NodeFinder::Options options;
  BIB_TRY(options.servers, context.server_addresses());
  wire::random_bytes(options.client.bytes);
  options.to_leader = request.consistency == wire::Consistency::kLeader;
  return EventStream(context, request, visit, std::move(options)).run();
}

}  // namespace bib::cli
