// PeerNetwork::Link: the outgoing connection to one peer; dials again and again, with back-off, and
// probes the node that answers. A part of PeerNetwork; see there.
#pragma once

#include "engine/ports/probe_count.h"
#include "engine/uv/peer_network.h"

namespace bib::engine {

class PeerNetwork::Link final : public Connection::Handler {
 public:
  Link(PeerNetwork& network, wire::Member member);

  const wire::Member& member() const { return member_; }
  bool is_established() const { return established_; }
  // The run of the peer that this link leads to; none unless it is established.
  wire::BootId boot() const { return established_ ? boot_ : wire::BootId(); }
  // False: dropped.
  bool send(const wire::PeerMessage& message);
  bool send(wire::FrameKind kind, wire::ByteView head, const std::vector<wire::Bytes>& rest);
  void flush();
  void heard() { probes_.heard(); }
  // Every probe interval: asks, and looks whether earlier questions were answered.
  void probe();
  // The peer was restarted: what this connection leads to is gone.
  void redial();

  void on_connected() override;
  void on_frame(wire::Frame&& frame) override;
  void on_closed(const wire::Error& reason) override;

 private:
  void dial();
  void give_up(const wire::Error& reason);
  void retry_later(const wire::Error& reason);

  PeerNetwork& network_;
  wire::Member member_;
  Timer retry_;
  std::unique_ptr<Connection> connection_;
  std::uint64_t dialled_at_ms_ = 0;
  bool established_ = false;
  wire::BootId boot_;
  ProbeCount probes_;
  std::uint64_t next_probe_ = 1;
  bool complained_ = false;
  std::uint64_t back_off_ms_;
};

}  // namespace bib::engine
