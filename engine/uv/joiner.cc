#include "engine/uv/joiner.h"

#include <utility>

namespace bib::engine {
namespace {

using wire::ErrorCode;

constexpr std::uint64_t kRetryMs = 500;
constexpr std::uint64_t kAnswerTimeoutMs = 15000;
constexpr unsigned kRedirectsMax = 8;

bool is_final(ErrorCode code) {
  return code == ErrorCode::kUnauthenticated || code == ErrorCode::kForbidden ||
         code == ErrorCode::kRefused || code == ErrorCode::kInvalid ||
         code == ErrorCode::kUnsupported;
}

}  // namespace

Joiner::Joiner(EventLoop& loop, Logger& logger, wire::JoinRequest request,
               std::vector<std::string> addresses,
               std::function<void(wire::Result<wire::JoinReply>)> done)
    : loop_(loop),
      logger_(logger),
      request_(std::move(request)),
      addresses_(std::move(addresses)),
      done_(std::move(done)),
      retry_(loop, [this] { try_next(); }),
      answer_(loop, [this] { try_later("no answer in time"); }) {
  retry_.start(0, 0);
}

void Joiner::try_next() {
  redirects_ = 0;
  try_address(addresses_[next_++ % addresses_.size()]);
}

void Joiner::try_address(const std::string& address) {
  current_ = address;
  answer_.start(kAnswerTimeoutMs, 0);
  auto connection = Connection::dial(loop_, address, ConnectionLimits{}, this);
  if (!connection) return try_later(connection.error().message);
  connection_ = std::move(*connection);
}

void Joiner::try_later(const std::string& why) {
  connection_.reset();
  answer_.stop();
  if (why != last_complaint_) {
    logger_.warn("join", "asked {} to let this node join: {}; trying again", current_, why);
    last_complaint_ = why;
  }
  retry_.start(kRetryMs, 0);
}

void Joiner::on_connected() {
  connection_->send(wire::FrameKind::kJoinRequest, 0, wire::encode(request_));
  connection_->flush();
}

void Joiner::on_frame(wire::Frame&& frame) {
  if (frame.kind != wire::FrameKind::kJoinReply) return try_later("it does not speak our protocol");
  auto reply = wire::decode_join_reply(frame.body.view());
  if (!reply) return try_later(reply.error().message);
  if (reply->error.code == ErrorCode::kNone) {
    connection_.reset();
    answer_.stop();
    const auto done = std::move(done_);
    return done(std::move(*reply));
  }
  if (reply->error.code == ErrorCode::kNotLeader && !reply->leader_address.empty() &&
      redirects_++ < kRedirectsMax) {
    const std::string leader = reply->leader_address;
    connection_.reset();
    return try_address(leader);
  }
  if (!is_final(reply->error.code)) return try_later(reply->error.message);
  connection_.reset();
  answer_.stop();
  const auto done = std::move(done_);
  done(tl::unexpected(reply->error));
}

void Joiner::on_closed(const wire::Error& reason) {
  try_later(reason.message);
}

}  // namespace bib::engine
