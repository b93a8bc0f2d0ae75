#include "engine/uv/peer_link.h"

#include <utility>

#include "engine/uv/wrong_port.h"
#include "wire/log/data_directory.h"

namespace bib::engine {
namespace {

// The time from dialling to the answer to the greeting; a name may take longer to be looked up.
constexpr std::uint64_t kDialTimeoutMs = 2000;
constexpr std::uint64_t kLookupTimeoutMs = 15'000;
// A trouble that lasts is told of again.
constexpr std::uint64_t kReminderMs = 60'000;

}  // namespace

PeerNetwork::Link::Link(PeerNetwork& network, wire::Member member)
    : network_(network),
      member_(std::move(member)),
      retry_(network.loop_, [this] { dial(); }),
      back_off_({.shortest_ms = 5, .longest_ms = 500, .lasting_ms = kLastingMs}) {
  dial();
}

void PeerNetwork::Link::dial() {
  // All that comes back is answers to the greeting and to probes. What send() takes always fits.
  const ConnectionLimits limits{.frame_body_max = wire::kGreetingFrameBodyMax,
                                .sent_body_max = wire::kPeerFrameBodyMax,
                                .outgoing_bytes_max = network_.options_.link_bytes_max +
                                                      2 * std::size_t{wire::kPeerFrameBodyMax},
                                .frames = &network_.frames_};
  asked_at_ms_ = dialled_at_ms_ = network_.loop_.now_ms();
  dialling_ = network_.claims_.dialling();
  auto connection = Connection::dial(network_.loop_, member_.raft_address, limits, this);
  if (!connection) return give_up(connection.error());
  connection_ = std::move(*connection);
}

void PeerNetwork::Link::redial() {
  const std::uint64_t now_ms = network_.loop_.now_ms();
  const bool has_lasted = back_off_.has_lasted(now_ms);
  const std::uint64_t pause_ms = back_off_.ended(now_ms);
  retry_.stop();
  connection_.reset();
  established_ = false;
  if (!has_lasted) return retry_.start(pause_ms, 0);
  complained_at_ms_.reset();
  told_made_ = false;
  dial();
}

void PeerNetwork::Link::give_up(const wire::Error& reason) {
  const std::uint64_t now_ms = network_.loop_.now_ms();
  if (back_off_.has_lasted(now_ms)) complained_at_ms_.reset();
  retry_after(back_off_.ended(now_ms), reason);
}

void PeerNetwork::Link::refused(const wire::Error& reason) {
  retry_after(back_off_.refused(), reason);
}

void PeerNetwork::Link::retry_after(std::uint64_t pause_ms, const wire::Error& reason) {
  connection_.reset();
  established_ = false;
  complain(reason);
  retry_.start(pause_ms, 0);
}

void PeerNetwork::Link::complain(const wire::Error& reason) {
  const std::uint64_t now_ms = network_.loop_.now_ms();
  if (complained_at_ms_ && now_ms < *complained_at_ms_ + kReminderMs) return;
  network_.news_.warn(now_ms, "{} connection to {} at {}: {}; trying again",
                      complained_at_ms_ ? "still no lasting" : "no", to_string(member_.id),
                      member_.raft_address, reason.message);
  complained_at_ms_ = now_ms;
  told_made_ = false;
}

bool PeerNetwork::Link::takes_too_long() {
  if (!connection_) return false;
  const std::uint64_t now_ms = network_.loop_.now_ms();
  if (!connection_->is_resolving()) return now_ms >= dialled_at_ms_ + kDialTimeoutMs;
  dialled_at_ms_ = now_ms;
  return now_ms >= asked_at_ms_ + kLookupTimeoutMs;
}

void PeerNetwork::Link::probe() {
  if (!established_) {
    if (takes_too_long()) give_up({wire::ErrorCode::kTimeout, "no answer in time"});
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
  connection_->send(wire::FrameKind::kPeerProbe, ++network_.last_probe_, {});
}

Claims::Reached PeerNetwork::Link::reached() const {
  return {.address = member_.raft_address,
          .boot = boot(),
          .asked = network_.last_probe_,
          .answered = answered_,
          .is_silent = probes_.is_silent()};
}

wire::Error PeerNetwork::Link::refuse_another(const wire::PeerHello& hello,
                                              const std::string& dials_from,
                                              Claims::Verdict verdict) const {
  const std::string id = to_string(member_.id);
  const std::string& address = member_.raft_address;
  if (verdict == Claims::Verdict::kNotYet) {
    return {wire::ErrorCode::kRefused,
            fmt::format("another run of node {} is connected, from {}: this one is let in once "
                        "that one no longer answers",
                        id, address)};
  }
  const std::string other =
      hello.raft_address == address
          ? fmt::format("dials from {} and gives the same address", dials_from)
          : fmt::format("greets from {} (dialling from {})", hello.raft_address, dials_from);
  return {wire::ErrorCode::kRefused,
          fmt::format("node {} runs twice: one answers at {}, where the members reach it, and "
                      "another {}. The data directory of one is a copy of the other's, and two "
                      "must never run: stop the one that {}. If it is to be a member of its own, "
                      "{}",
                      id, address, other,
                      hello.raft_address == address ? "dials from " + dials_from
                                                    : "greets from " + hello.raft_address,
                      wire::kHowToRejoin)};
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
  if (established_) {
    if (frame.kind == wire::FrameKind::kPeerProbeReply) answered_ = frame.id;
    return;
  }
  if (frame.kind != wire::FrameKind::kPeerHelloReply) {
    return refused({wire::ErrorCode::kInvalid, what_answers(frame)});
  }
  const auto reply = wire::decode_peer_hello_reply(frame.body.view());
  if (!reply) return refused(reply.error());
  const bool is_ours = reply->from == member_.id && reply->cluster == network_.options_.cluster;
  if (reply->error.code != wire::ErrorCode::kNone) {
    refused(reply->error);
    if (is_ours && reply->refusal != wire::HelloRefusal::kNone) {
      network_.handler_->on_refused(member_.id, *reply);
    }
    return;
  }
  if (!is_ours) {
    return refused({wire::ErrorCode::kInvalid, "another node or another cluster answers there"});
  }
  on_established(reply->boot);
}

void PeerNetwork::Link::on_established(wire::BootId boot) {
  established_ = true;
  boot_ = boot;
  probes_ = ProbeCount();
  answered_ = 0;
  back_off_.made(network_.loop_.now_ms());
  if (!told_made_) {
    network_.news_.info(network_.loop_.now_ms(), "connected to {} at {}", to_string(member_.id),
                        member_.raft_address);
  }
  told_made_ = true;
  network_.handler_->on_peer_connected(member_.id);
  network_.on_reached(*this);
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
