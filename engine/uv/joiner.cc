#include "engine/uv/joiner.h"

#include <utility>

#include "engine/uv/wrong_port.h"

namespace bib::engine {
namespace {

using wire::ErrorCode;

constexpr unsigned kRedirectsMax = 8;

bool is_final(ErrorCode code) {
  return code == ErrorCode::kUnauthenticated || code == ErrorCode::kForbidden ||
         code == ErrorCode::kRefused || code == ErrorCode::kInvalid ||
         code == ErrorCode::kUnsupported;
}

}  // namespace

Joiner::Joiner(EventLoop& loop, Logger& logger, wire::JoinRequest request,
               std::vector<std::string> addresses,
               std::function<void(wire::Result<wire::JoinReply>)> done, JoinerPace pace)
    : loop_(loop),
      logger_(logger),
      request_(std::move(request)),
      addresses_(std::move(addresses)),
      done_(std::move(done)),
      pace_(pace),
      back_off_(pace.pauses),
      retry_(loop, [this] { try_next(); }),
      look_(loop, [this] { look(); }) {
  retry_.start(0, 0);
}

void Joiner::try_next() {
  redirects_ = 0;
  asked_ = addresses_[next_++ % addresses_.size()];
  try_address(asked_);
}

void Joiner::try_address(const std::string& address) {
  current_ = address;
  is_connected_ = is_resolving_ = false;
  began_ms_ = loop_.now_ms();
  look_.start(pace_.look_ms, pace_.look_ms);
  auto connection = Connection::dial(loop_, address, ConnectionLimits{}, this);
  if (!connection) return not_reached(connection.error().message);
  connection_ = std::move(*connection);
}

void Joiner::look() {
  const std::uint64_t waited_ms = loop_.now_ms() - began_ms_;
  if (is_connected_) {
    if (waited_ms >= pace_.answer_timeout_ms) {
      return not_reached("it takes connections, but does not answer");
    }
    if (waited_ms >= pace_.patience_ms) {
      say("it has taken the connection, and there is no answer yet: waiting for it");
    }
    return;
  }
  const bool was_resolving = std::exchange(is_resolving_, connection_->is_resolving());
  if (is_resolving_) {
    if (waited_ms >= pace_.lookup_timeout_ms) {
      not_reached("its name was not found in time");
    } else if (waited_ms >= pace_.patience_ms) {
      say("its name is being looked up, and that takes long");
    }
  } else if (was_resolving) {
    began_ms_ = loop_.now_ms();
  } else if (waited_ms >= pace_.connect_timeout_ms) {
    not_reached("nothing answers there: the machine is down or cut off, or drops what comes");
  }
}

void Joiner::not_reached(const std::string& why) {
  try_later(fmt::format(
      "{}. A member of cluster '{}' must run there, at its address for nodes "
      "(cluster.listen_addr). If it has another one, add that to cluster.join_addrs and restart "
      "this node, or set it up with a new token (`bib cluster token create` on a member)",
      why, request_.cluster_name));
}

void Joiner::try_later(const std::string& why) {
  connection_.reset();
  look_.stop();
  say(why + ". Trying again");
  retry_.start(back_off_.ended(loop_.now_ms()), 0);
}

void Joiner::say(const std::string& what) {
  const std::uint64_t now_ms = loop_.now_ms();
  const auto said = said_.find(asked_);
  if (said != said_.end() && now_ms < said->second + pace_.reminder_ms) return;
  said_[asked_] = now_ms;
  const std::string who =
      current_ == asked_ ? asked_ : fmt::format("{} (the leader, as {} says)", current_, asked_);
  logger_.warn("join", "asking {} to let this node join: {}", who, what);
}

void Joiner::on_connected() {
  is_connected_ = true;
  began_ms_ = loop_.now_ms();
  connection_->send(wire::FrameKind::kJoinRequest, 0, wire::encode(request_));
  connection_->flush();
}

void Joiner::on_frame(wire::Frame&& frame) {
  if (frame.kind != wire::FrameKind::kJoinReply) return not_reached(what_answers(frame));
  auto reply = wire::decode_join_reply(frame.body.view());
  if (!reply) return not_reached(reply.error().message);
  on_reply(*std::move(reply));
}

void Joiner::on_reply(wire::JoinReply reply) {
  if (reply.error.code == ErrorCode::kNone) return finish(std::move(reply));
  if (reply.error.code == ErrorCode::kNotLeader && !reply.leader_address.empty() &&
      redirects_++ < kRedirectsMax) {
    connection_.reset();
    return try_address(reply.leader_address);
  }
  if (!is_final(reply.error.code)) return try_later(reply.error.message);
  finish(tl::unexpected(std::move(reply.error)));
}

void Joiner::finish(wire::Result<wire::JoinReply> reply) {
  connection_.reset();
  look_.stop();
  const auto done = std::move(done_);
  done(std::move(reply));
}

void Joiner::on_closed(const wire::Error& reason) {
  if (reason.code != ErrorCode::kIo) {
    return not_reached(fmt::format("what answers there is no node ({})", reason.message));
  }
  not_reached(is_connected_ ? reason.message + " before it answered (a node that starts does that)"
                            : reason.message);
}

}  // namespace bib::engine
