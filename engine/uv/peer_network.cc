#include "engine/uv/peer_network.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/ports/lifetime.h"
#include "engine/uv/peer_link.h"

namespace bib::engine {
namespace {

// For the last words to reach a node that was refused.
constexpr std::uint64_t kLastWordsMs = 1000;
// A node that asks to join waits as long for the answer (joiner.cc).
constexpr std::uint64_t kJoinTimeoutMs = 15'000;
// Lines about who comes and goes, each LimitedLog::kPeriodMs.
constexpr std::uint32_t kNewsMax = 100;
constexpr std::uint32_t kTwiceMax = 10;
// The node that has dialled probes much more often than that.
constexpr std::uint64_t kIncomingIdleMs = 60'000;

}  // namespace

// A connection that another node dialled: its greeting, then its messages; or a request to join.
class PeerNetwork::Incoming final : public Connection::Handler {
 public:
  Incoming(PeerNetwork& network, std::uint64_t number, std::unique_ptr<Connection> connection)
      : network_(network),
        number_(number),
        connection_(std::move(connection)),
        greeting_(network.loop_, [this] { network_.forget_incoming(this); }) {
    greeting_.start(network_.options_.greeting_timeout_ms, 0);
    connection_->start(this);
  }

  std::uint64_t number() const { return number_; }
  bool is_joiner() const { return is_joiner_; }
  bool is_idle() const {
    return hello_ && network_.loop_.now_ms() >= heard_at_ms_ + kIncomingIdleMs;
  }
  bool is_from(wire::NodeId peer, wire::BootId boot) const {
    return hello_ && hello_->from == peer && hello_->boot == boot;
  }
  std::uint64_t heard_at_ms() const { return heard_at_ms_; }
  std::string dials_from() const { return connection_->remote_address(); }

  void on_frame(wire::Frame&& frame) override {
    heard_at_ms_ = network_.loop_.now_ms();
    if (hello_) {
      network_.heard(hello_->from, hello_->boot);
      if (frame.kind == wire::FrameKind::kPeerMessage) return on_message(frame);
      if (frame.kind == wire::FrameKind::kSnapshotRequest) return on_snapshot_request(frame);
      if (frame.kind == wire::FrameKind::kSnapshotPart) return on_snapshot_part(frame);
      if (frame.kind == wire::FrameKind::kPeerProbe) return answer_probe(frame);
    } else if (frame.kind == wire::FrameKind::kPeerHello && !is_joiner_) {
      return on_hello(frame);
    } else if (frame.kind == wire::FrameKind::kJoinRequest && !is_joiner_) {
      return on_join(frame);
    }
    close_as_nonsense(fmt::format("it sent a frame of kind {}", static_cast<unsigned>(frame.kind)));
  }

  void on_closed(const wire::Error& reason) override {
    if (hello_) {
      LimitedLog& log = now_ms() < came_at_ms_ + kLastingMs ? network_.brief_ : network_.news_;
      log.info(now_ms(), "{} is gone: {}", to_string(hello_->from), reason.message);
    } else if (reason.code != wire::ErrorCode::kIo) {
      return close_as_nonsense(reason.message);
    }
    network_.forget_incoming(this);
  }

  const std::optional<wire::PeerHello>& hello() const { return hello_; }

 private:
  std::uint64_t now_ms() const { return network_.loop_.now_ms(); }

  void on_hello(const wire::Frame& frame) {
    auto hello = wire::decode_peer_hello(frame.body.view());
    if (!hello) return close_as_nonsense(hello.error().message);
    const wire::PeerHelloReply reply = network_.check_hello(*hello, this);
    connection_->send(wire::FrameKind::kPeerHelloReply, 0, wire::encode(reply));
    connection_->flush();
    if (reply.error.code != wire::ErrorCode::kNone) {
      network_.drop(PeerDrop::kRefused);
      if (reply.refusal != wire::HelloRefusal::kRunsTwice) {  // which is said once
        network_.refusals_.warn(now_ms(), "refused {}: {}", to_string(hello->from),
                                reply.error.message);
      }
      return finish();
    }
    greeting_.stop();
    network_.ungreeted_.erase(number_);
    connection_->set_frame_body_max(wire::kPeerFrameBodyMax);
    hello_ = std::move(*hello);
    came_at_ms_ = now_ms();
    network_.on_greeted(*this);
    network_.ensure_link(*hello_);
  }

  // What has been said is the last word. Until the other side has it, this is one of the
  // connections that make room.
  void finish() {
    is_joiner_ = false;
    network_.ungreeted_.insert(number_);
    connection_->finish();
    greeting_.start(kLastWordsMs, 0);
  }

  // There is no saying what the other side would understand.
  void close_as_nonsense(const std::string& what) {
    network_.drop(PeerDrop::kRefused);
    network_.refusals_.warn(now_ms(), "closed a connection that does not speak as a node: {}",
                            what);
    network_.forget_incoming(this);
  }

  void answer_probe(const wire::Frame& frame) {
    connection_->send(wire::FrameKind::kPeerProbeReply, frame.id, {});
    connection_->flush();
  }

  void on_message(const wire::Frame& frame) {
    auto received = wire::decode_peer_message(frame.body);
    if (!received) return on_unreadable(received.error());
    if (!fits(received->envelope, received->message.from, received->message.to)) return;
    network_.handler_->on_peer_message(std::move(received->message));
  }

  void on_snapshot_request(const wire::Frame& frame) {
    const auto request = wire::decode_snapshot_request(frame.body.view());
    if (!request) return on_unreadable(request.error());
    if (!fits(request->envelope, request->from, request->to)) return;
    network_.handler_->on_snapshot_request(*request);
  }

  void on_snapshot_part(const wire::Frame& frame) {
    auto part = wire::decode_snapshot_part(frame.body);
    if (!part) return on_unreadable(part.error());
    if (!fits(part->envelope, part->from, part->to)) return;
    network_.handler_->on_snapshot_part(std::move(*part));
  }

  void on_unreadable(const wire::Error& error) {
    network_.news_.warn(now_ms(), "a message of {} cannot be read: {}", to_string(hello_->from),
                        error.message);
    network_.drop(PeerDrop::kUnreadable);
    network_.forget_incoming(this);
  }

  // False: dropped and counted.
  bool fits(const wire::Envelope& envelope, wire::NodeId from, wire::NodeId to) {
    const auto reason = misfit(envelope, from, to);
    if (reason) network_.drop(*reason);
    return !reason;
  }

  std::optional<PeerDrop> misfit(const wire::Envelope& envelope, wire::NodeId from,
                                 wire::NodeId to) const {
    const wire::ExpectedEnvelope expected{.cluster = network_.options_.cluster,
                                          .boot = hello_->boot,
                                          .from = hello_->from,
                                          .to = network_.options_.self};
    if (wire::fits(envelope, from, to, expected)) return std::nullopt;
    if (envelope.cluster != expected.cluster) return PeerDrop::kCluster;
    if (from != expected.from) return PeerDrop::kSender;
    if (envelope.boot != expected.boot) return PeerDrop::kBoot;
    return PeerDrop::kAddressee;
  }

  void on_join(const wire::Frame& frame) {
    auto request = wire::decode_join_request(frame.body.view());
    if (!request) return close_as_nonsense(request.error().message);
    if (const std::size_t others = network_.joiners(); others >= network_.options_.joiners_max) {
      wire::JoinReply full;
      full.error = {wire::ErrorCode::kOverloaded,
                    fmt::format("{} nodes wait here to become members, as many as may at a time "
                                "(limits.joining_nodes)",
                                others)};
      return answer_join(request->node, full);
    }
    is_joiner_ = true;
    network_.ungreeted_.erase(number_);
    greeting_.start(kJoinTimeoutMs, 0);
    network_.handler_->on_join_request(
        *request,
        lifetime_.guarded([node = request->node](Incoming& self, const wire::JoinReply& reply) {
          self.answer_join(node, reply);
        }));
  }

  void answer_join(const wire::Member& node, const wire::JoinReply& reply) {
    const wire::Error& error = reply.error;
    if (error.code != wire::ErrorCode::kNone && error.code != wire::ErrorCode::kNotLeader &&
        error.code != wire::ErrorCode::kNoQuorum) {
      network_.drop(PeerDrop::kRefused);
      network_.refusals_.warn(now_ms(), "refused to let {} at {} join: {}", to_string(node.id),
                              node.raft_address, error.message);
    }
    connection_->send(wire::FrameKind::kJoinReply, 0, wire::encode(reply));
    finish();
  }

  PeerNetwork& network_;
  const std::uint64_t number_;
  std::unique_ptr<Connection> connection_;
  Timer greeting_;  // or the answer to a request to join, or the last words
  bool is_joiner_ = false;
  std::optional<wire::PeerHello> hello_;
  std::uint64_t came_at_ms_ = 0;  // it was let in
  std::uint64_t heard_at_ms_ = 0;
  Lifetime<Incoming> lifetime_{this};
};

PeerNetwork::PeerNetwork(EventLoop& loop, Logger& logger, PeerNetworkOptions options,
                         std::unique_ptr<Listener> listener, Handler* handler)
    : loop_(loop),
      options_(std::move(options)),
      handler_(handler),
      listener_(std::move(listener)),
      refusals_(logger, "peer", "connections were refused"),
      news_(logger, "peer", "lines about connections were held back", kNewsMax),
      brief_(logger, "peer", "connections ended soon after they were made"),
      twice_(logger, "peer", "nodes run twice", kTwiceMax),
      frames_(loop, options_.frames),
      probe_(loop, [this] { probe(); }) {
  const ConnectionLimits limits{.frame_body_max = wire::kGreetingFrameBodyMax,
                                .sent_body_max = wire::kClientFrameBodyMax,
                                .outgoing_bytes_max = 16U << 20,
                                .frames = &frames_};
  listener_->serve(limits, [this](std::unique_ptr<Connection> c) { accept(std::move(c)); });
  probe_.start(options_.probe_interval_ms, options_.probe_interval_ms);
}

PeerNetwork::~PeerNetwork() = default;

// The probes leave with this turn's flush().
void PeerNetwork::probe() {
  for (auto& [id, link] : links_) link->probe();
  std::vector<const Incoming*> idle;
  for (const auto& [number, incoming] : incoming_) {
    if (incoming->is_idle()) idle.push_back(incoming.get());
  }
  for (const Incoming* incoming : idle) forget_incoming(incoming);
  if (++probes_ % options_.judge_every == 0) judge_guests();
  for (LimitedLog* log : {&refusals_, &news_, &brief_, &twice_}) log->look(loop_.now_ms());
}

// A member that is removed while it does not run, or hears nobody, keeps its connections: it has to
// dial again to be told.
void PeerNetwork::judge_guests() {
  std::vector<const Incoming*> refused;
  for (const auto& [number, incoming] : incoming_) {
    const auto& hello = incoming->hello();
    if (!hello || is_member(hello->from)) continue;
    const wire::PeerHelloReply reply = check_hello(*hello, nullptr);
    if (reply.error.code != wire::ErrorCode::kNone) refused.push_back(incoming.get());
  }
  for (const Incoming* incoming : refused) forget_incoming(incoming);
}

void PeerNetwork::heard(wire::NodeId peer, wire::BootId boot) {
  const auto link = links_.find(peer);
  if (link != links_.end() && link->second->boot() == boot) link->second->heard();
}

void PeerNetwork::accept(std::unique_ptr<Connection> connection) {
  while (ungreeted_.size() >= options_.new_connections_max) {
    drop(PeerDrop::kRefused);
    refusals_.warn(loop_.now_ms(),
                   "closed the oldest of {} connections that have not greeted "
                   "(limits.new_connections)",
                   ungreeted_.size());
    forget_incoming(incoming_.at(*ungreeted_.begin()).get());
  }
  const std::uint64_t number = next_incoming_++;
  ungreeted_.insert(number);
  incoming_.emplace(number, std::make_unique<Incoming>(*this, number, std::move(connection)));
}

// Nodes that have greeted and are no members, `peer` not counted.
std::size_t PeerNetwork::guests_besides(wire::NodeId peer) const {
  return static_cast<std::size_t>(
      std::count_if(incoming_.begin(), incoming_.end(), [&](const auto& entry) {
        const auto& hello = entry.second->hello();
        return hello && hello->from != peer && !is_member(hello->from);
      }));
}

std::size_t PeerNetwork::joiners() const {
  return static_cast<std::size_t>(
      std::count_if(incoming_.begin(), incoming_.end(),
                    [](const auto& entry) { return entry.second->is_joiner(); }));
}

void PeerNetwork::forget_incoming(const Incoming* incoming) {
  const auto found = incoming_.find(incoming->number());
  if (found == incoming_.end()) return;
  ungreeted_.erase(found->first);
  const std::unique_ptr<Incoming> gone = std::move(found->second);
  incoming_.erase(found);
  if (!gone->hello()) return;
  const wire::NodeId peer = gone->hello()->from;
  const wire::BootId boot = gone->hello()->boot;
  const bool another = std::any_of(incoming_.begin(), incoming_.end(), [&](const auto& entry) {
    return entry.second->is_from(peer, boot);
  });
  // The belated end of an earlier run says nothing about the present one.
  const auto present = boots_.find(peer);
  if (another || present == boots_.end() || present->second != boot) return;
  if (!is_member(peer)) {
    boots_.erase(present);
    links_.erase(peer);
    claims_.forget(peer);
  }
  handler_->on_peer_disconnected(peer);
}

// A node keeps one connection to each other. What it had before is closed, even if nothing has said
// so yet: perhaps the packets that would have were lost.
void PeerNetwork::on_greeted(const Incoming& incoming) {
  const wire::NodeId peer = incoming.hello()->from;
  const wire::BootId boot = incoming.hello()->boot;
  const auto known = boots_.find(peer);
  const bool has_restarted = known != boots_.end() && known->second != boot;
  boots_[peer] = boot;
  std::vector<const Incoming*> replaced;
  for (const auto& [number, other] : incoming_) {
    if (other.get() != &incoming && other->hello() && other->hello()->from == peer) {
      replaced.push_back(other.get());
    }
  }
  for (const Incoming* other : replaced) {
    if (other->hello()->boot != boot) drop(PeerDrop::kOldBoot);
    forget_incoming(other);
  }
  if (!has_restarted) return;
  if (!replaced.empty()) handler_->on_peer_disconnected(peer);
  const auto link = links_.find(peer);
  if (link != links_.end() && link->second->is_established() && link->second->boot() != boot) {
    link->second->redial();
  }
}

bool PeerNetwork::is_member(wire::NodeId peer) const {
  return std::find(members_.begin(), members_.end(), peer) != members_.end();
}

// False: another run of the node is there, as far as is known; the reply says so.
bool PeerNetwork::is_the_node(const wire::PeerHello& hello, const Incoming& greeting,
                              wire::PeerHelloReply& reply) {
  const auto link = links_.find(hello.from);
  // With another log it is no copy: what it is, the handler knows.
  if (link == links_.end() || !link->second->member().can_have_log(hello.log_id)) return true;
  const Claims::Reached reached = link->second->reached();
  const std::uint64_t recent_ms = ProbeCount::kSilentAfter * options_.probe_interval_ms;
  const bool another_is_there =
      std::any_of(incoming_.begin(), incoming_.end(), [&](const auto& entry) {
        const auto& other = entry.second->hello();
        return other && other->from == hello.from && other->boot != hello.boot &&
               other->raft_address == reached.address &&
               loop_.now_ms() < entry.second->heard_at_ms() + recent_ms;
      });
  const Claims::Verdict verdict = claims_.judge(hello, reached, another_is_there);
  if (verdict == Claims::Verdict::kWelcome) return true;
  reply.error = link->second->refuse_another(hello, greeting.dials_from(), verdict);
  if (verdict != Claims::Verdict::kTwice) return false;
  reply.refusal = wire::HelloRefusal::kRunsTwice;
  if (claims_.is_news(hello.from, hello.boot)) {
    twice_.error(loop_.now_ms(), "{}", reply.error.message);
  }
  return false;
}

// The node's address leads to this run: what has greeted from elsewhere has to greet again, and is
// then told.
void PeerNetwork::on_reached(const Link& link) {
  const wire::NodeId peer = link.member().id;
  claims_.answered(peer, link.boot(), link.member().raft_address, link.dialling());
  const auto present = boots_.find(peer);
  if (!is_member(peer) || present == boots_.end() || present->second == link.boot()) return;
  const wire::BootId other = present->second;
  if (!claims_.is_elsewhere(peer, other)) return;
  std::vector<const Incoming*> elsewhere;
  for (const auto& [number, incoming] : incoming_) {
    if (incoming->is_from(peer, other)) elsewhere.push_back(incoming.get());
  }
  for (const Incoming* incoming : elsewhere) forget_incoming(incoming);
}

wire::PeerHelloReply PeerNetwork::check_hello(const wire::PeerHello& hello,
                                              const Incoming* greeting) {
  wire::PeerHelloReply reply;
  reply.cluster = options_.cluster;
  reply.from = options_.self;
  reply.boot = options_.boot;
  if (hello.protocol != wire::kPeerProtocol) {
    reply.error = {wire::ErrorCode::kUnsupported,
                   fmt::format("this node speaks peer protocol {}, not {}", wire::kPeerProtocol,
                               hello.protocol)};
  } else if (hello.cluster != options_.cluster) {
    reply.error = {
        wire::ErrorCode::kForbidden,
        fmt::format("this node belongs to cluster '{}' ({}), not to {}", options_.cluster_name,
                    to_string(options_.cluster), to_string(hello.cluster))};
    if (hello.to == options_.self && hello.cluster_name == options_.cluster_name) {
      handler_->on_claimed(hello);
    }
  } else if (hello.cluster_name != options_.cluster_name) {
    reply.error = {wire::ErrorCode::kForbidden,
                   fmt::format("here the cluster is called '{}', in the greeting '{}': set "
                               "cluster.cluster_name to the same on all nodes",
                               options_.cluster_name, hello.cluster_name)};
  } else if (hello.to != options_.self) {
    reply.error = {
        wire::ErrorCode::kInvalid,
        fmt::format("this is node {}, not {}", to_string(options_.self), to_string(hello.to))};
  } else if (hello.from == options_.self) {
    reply.error = {wire::ErrorCode::kInvalid,
                   fmt::format("two nodes have the id {}: give one of them another node_id",
                               to_string(options_.self))};
  } else if (!is_member(hello.from) && guests_besides(hello.from) >= options_.guests_max) {
    reply.error = {wire::ErrorCode::kOverloaded,
                   fmt::format("{} nodes that are not its members are connected to this node, as "
                               "many as it takes; members always find room",
                               options_.guests_max)};
  } else if (greeting == nullptr || is_the_node(hello, *greeting, reply)) {
    handler_->check_hello(hello, reply);
  }
  return reply;
}

void PeerNetwork::set_members(const std::vector<wire::Member>& members) {
  std::map<wire::NodeId, std::unique_ptr<Link>> kept;
  members_.clear();
  for (const wire::Member& member : members) {
    if (member.id == options_.self) continue;
    members_.push_back(member.id);
    const auto found = links_.find(member.id);
    if (found != links_.end() && found->second->member().raft_address == member.raft_address) {
      kept[member.id] = std::move(found->second);
      kept[member.id]->learn(member);
    } else {
      kept[member.id] = std::make_unique<Link>(*this, member);
    }
  }
  for (auto& [id, link] : links_) {
    if (!link) continue;
    if (is_greeted_by(id) && !kept.contains(id)) {
      kept[id] = std::move(link);
    } else {
      claims_.forget(id);
    }
  }
  links_ = std::move(kept);
}

bool PeerNetwork::is_greeted_by(wire::NodeId peer) const {
  return std::any_of(incoming_.begin(), incoming_.end(), [&](const auto& entry) {
    return entry.second->hello() && entry.second->hello()->from == peer;
  });
}

void PeerNetwork::ensure_link(const wire::PeerHello& hello) {
  if (links_.contains(hello.from) || hello.raft_address.empty()) return;
  if (links_.size() >= members_.size() + options_.guests_max) return;
  wire::Member member;
  member.id = hello.from;
  member.raft_address = hello.raft_address;
  links_[hello.from] = std::make_unique<Link>(*this, member);
}

// Names that stay the same for the life of the process.
void PeerNetwork::count(std::vector<wire::Counter>& counters) const {
#define BIB_PEER_DROP(enumerator, name) \
  counters.push_back({"peer.dropped." name, dropped(PeerDrop::enumerator)});
  BIB_PEER_DROPS(BIB_PEER_DROP)
#undef BIB_PEER_DROP
}

bool PeerNetwork::is_connected(wire::NodeId peer) const {
  const auto link = links_.find(peer);
  return link != links_.end() && link->second->is_established();
}

}  // namespace bib::engine
