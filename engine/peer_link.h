// PeerNetwork::Link: the outgoing connection to one peer; dials again for ever, with back-off.
// A part of PeerNetwork; see there.
#pragma once

#include "engine/peer_network.h"

namespace bib::engine {

class PeerNetwork::Link final : public Connection::Handler {
 public:
  Link(PeerNetwork& network, wire::Member member);

  const wire::Member& member() const { return member_; }
  bool is_established() const { return established_; }
  // False: dropped.
  bool send(const wire::PeerMessage& message);
  bool send(wire::FrameKind kind, wire::ByteView head, const std::vector<wire::Bytes>& rest);
  void flush();

  void on_connected() override;
  void on_frame(wire::Frame&& frame) override;
  void on_closed(const wire::Error& reason) override;

 private:
  void dial();
  void retry_later(const wire::Error& reason);

  PeerNetwork& network_;
  wire::Member member_;
  Timer retry_;
  std::unique_ptr<Connection> connection_;
  bool established_ = false;
  bool complained_ = false;
  std::uint64_t back_off_ms_;
};

}  // namespace bib::engine
