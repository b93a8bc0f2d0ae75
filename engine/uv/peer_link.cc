#include "engine/uv/peer_link.h"

#include <algorithm>
#include <utility>

namespace bib::engine {
namespace {

constexpr std::uint64_t kBackOffMinMs = 5;
constexpr std::uint64_t kBackOffMaxMs = 500;
// The time from dialling to the answer to the greeting.
constexpr std::uint64_t kDialTimeoutMs = 2000;

}  // namespace

PeerNetwork::Link::Link(PeerNetwork& network, wire::Member member)
    : network_(network),
      member_(std::move(member)),
      retry_(network.loop_, [this] { dial(); }),
      back_off_ms_(kBackOffMinMs) {
  dial();
}

void PeerNetwork::Link::dial() {
  // All that comes back is answers to the greeting and to probes. What send() takes always fits.
  const ConnectionLimits limits{.frame_body_max = wire::kGreetingFrameBodyMax,
                                .sent_body_max = wire::kPeerFrameBodyMax,
                                .outgoing_bytes_max = network_.options_.link_bytes_max +
                                                      2 * std::size_t{wire::kPeerFrameBodyMax},
                                .frames = &network_.frames_};
  auto connection = Connection::dial(network_.loop_, member_.raft_address, limits, this);
  if (!connection) return retry_later(connection.error());
  connection_ = std::move(*connection);
  dialled_at_ms_ = network_.loop_.now_ms();
}

void PeerNetwork::Link::redial() {
  retry_.stop();
  connection_.reset();
  established_ = false;
  back_off_ms_ = kBackOffMinMs;
  dial();
}

void PeerNetwork::Link::give_up(const wire::Error& reason) {
  connection_.reset();
  established_ = false;
  retry_later(reason);
}

void PeerNetwork::Link::probe() {
  if (!established_) {
    if (connection_ && network_.loop_.now_ms() >= dialled_at_ms_ + kDialTimeoutMs) {
      give_up({wire::ErrorCode::kTimeout, "no answer in time"});
    }
    return;
  }
  switch (probes_.turn()) {
    case ProbeCount::Verdict::kAlive:
      break;
    case ProbeCount::Verdict::kSilent:
      network_.news_.warn(network_.loop_.now_ms(), "{} at {} does not answer",
                          to_string(member_.id), member_.raft_address);
      network_.handler_->on_peer_silent(member_.id);
      break;
    case ProbeCount::Verdict::kGone:
      return give_up({wire::ErrorCode::kTimeout, "it no longer answers"});
  }
  connection_->send(wire::FrameKind::kPeerProbe, next_probe_++, {});
}

void PeerNetwork::Link::retry_later(const wire::Error& reason) {
  if (!complained_) {
    network_.news_.warn(network_.loop_.now_ms(), "no connection to {} at {}: {}; trying again",
                        to_string(member_.id), member_.raft_address, reason.message);
    complained_ = true;
  }
  retry_.start(back_off_ms_, 0);
  back_off_ms_ = std::min(back_off_ms_ * 2, kBackOffMaxMs);
}

void PeerNetwork::Link::on_connected() {
  wire::PeerHello hello;
  hello.cluster = network_.options_.cluster;
  hello.cluster_name = network_.options_.cluster_name;
  hello.from = network_.options_.self;
  hello.boot = network_.options_.boot;
  hello.to = member_.id;
  hello.raft_address = network_.options_.advertise_address;
  network_.handler_->complete_hello(hello);
  connection_->send(wire::FrameKind::kPeerHello, 0, wire::encode(hello));
  connection_->flush();
}

void PeerNetwork::Link::on_frame(wire::Frame&& frame) {
  probes_.heard();
  if (established_ || frame.kind != wire::FrameKind::kPeerHelloReply) return;
  const auto reply = wire::decode_peer_hello_reply(frame.body.view());
  wire::Error refusal{wire::ErrorCode::kNone, {}};
  if (!reply) {
    refusal = reply.error();
  } else if (reply->error.code != wire::ErrorCode::kNone) {
    refusal = reply->error;
  } else if (reply->from != member_.id || reply->cluster != network_.options_.cluster) {
    refusal = {wire::ErrorCode::kInvalid, "another node or another cluster answers there"};
  }
  if (refusal.code != wire::ErrorCode::kNone) {
    connection_.reset();
    back_off_ms_ = kBackOffMaxMs;
    retry_later(refusal);
    const bool is_ours =
        reply && reply->from == member_.id && reply->cluster == network_.options_.cluster;
    if (is_ours && reply->refusal != wire::HelloRefusal::kNone) {
      network_.handler_->on_refused(member_.id, *reply);
    }
    return;
  }
  established_ = true;
  boot_ = reply->boot;
  probes_ = ProbeCount();
  complained_ = false;
  back_off_ms_ = kBackOffMinMs;
  network_.news_.info(network_.loop_.now_ms(), "connected to {} at {}", to_string(member_.id),
                      member_.raft_address);
  network_.handler_->on_peer_connected(member_.id);
}

void PeerNetwork::Link::on_closed(const wire::Error& reason) {
  give_up(reason);
}

bool PeerNetwork::Link::send(const wire::PeerMessage& message) {
  if (!established_) return false;
  const auto head = wire::encode_peer_message_head(
      wire::Envelope{network_.options_.cluster, network_.options_.boot}, message);
  return send(wire::FrameKind::kPeerMessage, head, message.payload);
}

bool PeerNetwork::Link::send(wire::FrameKind kind, wire::ByteView head,
                             const std::vector<wire::Bytes>& rest) {
  if (!established_ || connection_->outgoing_bytes() > network_.options_.link_bytes_max) {
    return false;
  }
  connection_->send(kind, 0, head, rest);
  return true;
}

void PeerNetwork::Link::flush() {
  if (established_) connection_->flush();
}

}  // namespace bib::engine
