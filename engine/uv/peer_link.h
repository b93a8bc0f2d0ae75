// PeerNetwork::Link: the outgoing connection to one peer; dials again and again, with back-off, and
// probes the node that answers. A part of PeerNetwork; see there.
#pragma once

#include <optional>

#include "engine/ports/back_off.h"
#include "engine/ports/probe_count.h"
#include "engine/uv/peer_network.h"

namespace bib::engine {

// A connection that ends sooner counts like one that was not made.
inline constexpr std::uint64_t kLastingMs = 2000;

class PeerNetwork::Link final : public Connection::Handler {
 public:
  Link(PeerNetwork& network, wire::Member member);

  const wire::Member& member() const { return member_; }
  // Something else of it has changed than the address.
  void learn(const wire::Member& member) { member_ = member; }
  bool is_established() const { return established_; }
  // The run of the peer that this link leads to; none unless it is established.
  wire::BootId boot() const { return established_ ? boot_ : wire::BootId(); }
  std::uint64_t dialling() const { return dialling_; }  // its number (Claims)
  Claims::Reached reached() const;
  // Why a node that greets under the peer's id, from elsewhere, is not let in.
  wire::Error refuse_another(const wire::PeerHello& hello, const std::string& dials_from,
                             Claims::Verdict verdict) const;
  // False: dropped.
  bool send(const wire::PeerMessage& message);
  bool send(wire::FrameKind kind, wire::ByteView head, const std::vector<wire::Bytes>& rest);
  void flush();
  void heard() { probes_.heard(); }
  // Every probe interval: asks, and looks whether earlier questions were answered.
  void probe();
  // The peer was restarted: what this connection leads to is gone. Dials at once if that had
  // lasted.
  void redial();

  void on_connected() override;
  void on_frame(wire::Frame&& frame) override;
  void on_closed(const wire::Error& reason) override;

 private:
  void dial();
  void give_up(const wire::Error& reason);
  void refused(const wire::Error& reason);
  void retry_after(std::uint64_t pause_ms, const wire::Error& reason);
  void complain(const wire::Error& reason);
  bool takes_too_long();
  void on_established(wire::BootId boot);

  PeerNetwork& network_;
  wire::Member member_;
  Timer retry_;
  std::unique_ptr<Connection> connection_;
  std::uint64_t asked_at_ms_ = 0;    // for its name, or it
  std::uint64_t dialled_at_ms_ = 0;  // its name was known, as far as has been seen
  bool established_ = false;
  wire::BootId boot_;
  std::uint64_t dialling_ = 0;
  ProbeCount probes_;
  std::uint64_t answered_ = 0;  // the last probe that this run has answered
  BackOff back_off_;
  // When the trouble that there is was last told of; and that it is over, although it may come
  // back.
  std::optional<std::uint64_t> complained_at_ms_;
  bool told_made_ = false;
};

}  // namespace bib::engine
