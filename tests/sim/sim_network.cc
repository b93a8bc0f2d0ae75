#include "sim_network.h"

#include <algorithm>
#include <string>
#include <utility>

#include "violation.h"
#include "wire/log/entry.h"

namespace bib::sim {

using wire::PeerMessage;

namespace {

constexpr Time kDialAgain = 40 * kMillisecond;
constexpr Time kRetransmitMax = 3 * kSecond;
constexpr std::size_t kHeldMax = 200;

std::uint64_t packed(NodeIndex from, NodeIndex to, std::uint32_t epoch) {
  return (static_cast<std::uint64_t>(epoch) << 16) | (from << 8) | to;
}

// What decoding would have found out.
void describe_entries(PeerMessage& message) {
  for (std::size_t i = 0; i < message.payload.size(); ++i) {
    const auto header = wire::read_entry_header(message.payload[i].view());
    if (!header || header->kind != wire::EntryKind::kMembership) continue;
    const auto reader = wire::EntryReader::open(message.payload[i], true);
    if (!reader) continue;
    auto membership = wire::decode_membership(reader->body());
    if (membership) message.entries[i].membership = *std::move(membership);
  }
}

}  // namespace

std::string peer_address(NodeIndex node) {
  return fmt::format("127.0.0.{}:7000", node + 1);
}

void SimNetwork::add_host(Host& host) {
  BIB_CHECK(hosts_.size() < kMax);
  hosts_.push_back(&host);
}

// ---- messages

std::optional<SimNetwork::Flight> SimNetwork::begin_flight(NodeIndex from, wire::NodeId to_id) {
  const NodeIndex to = index_of(to_id);
  if (to >= hosts_.size() || !pair(from, to).up) return std::nullopt;
  const Pair& connection = pair(from, to);
  Flight flight;
  flight.from = from;
  flight.to = to;
  flight.to_boot = connection.to_boot;
  flight.connection_boot = connection.from_boot;
  flight.envelope = {hosts_[from]->cluster(), connection.from_boot};
  flight.epoch = connection.epoch;
  return flight;
}

void SimNetwork::send(NodeIndex from, const PeerMessage& message) {
  if (liar_speaks(from, 1)) lie(from, message);
  if (message.kind == wire::MessageKind::kReadIndex && from != plan_.liar &&
      message.to != id_of(plan_.liar) && liar_speaks(plan_.liar, 10)) {
    call_later([this, from, asked = message.context] { confirm_falsely(from, asked); });
  }
  const bool is_liar = plan_.lie_ppm != 0 && from == plan_.liar;
  if (!is_liar || message.kind != wire::MessageKind::kHeartbeatReply ||
      message.digests.values.empty()) {
    return post(from, message, false);
  }
  // Of its rows it never says the truth.
  PeerMessage untrue = message;
  ++untrue.digests.values.front();
  post(from, untrue, false);
}

void SimNetwork::post(NodeIndex from, const PeerMessage& message, bool untrue) {
  auto flight = begin_flight(from, message.to);
  if (!flight) return;
  flight->untrue = untrue;
  if (plan_.through_bytes) {
    std::vector<std::uint8_t> body = wire::encode_peer_message_head(flight->envelope, message);
    for (const wire::Bytes& entry : message.payload) {
      body.insert(body.end(), entry.view().begin(), entry.view().end());
    }
    flight->bytes = wire::Bytes::copy_of(body);
  } else {
    flight->message = message;
    describe_entries(flight->message);
  }
  if (plan_.foreign_ppm != 0 && random_.chance_ppm(plan_.foreign_ppm)) make_foreign(*flight);
  launch_all(*std::move(flight));
}

void SimNetwork::send(NodeIndex from, const wire::SnapshotRequest& request) {
  if (plan_.lie_ppm != 0 && from == plan_.liar && random_.below(8) == 0) {
    lie(from, request);
  }
  auto flight = begin_flight(from, request.to);
  if (!flight) return;
  wire::SnapshotRequest out = request;
  out.envelope = flight->envelope;
  flight->kind = Flight::Kind::kSnapshotRequest;
  flight->bytes = wire::Bytes::copy_of(wire::encode_snapshot_request(out));
  launch_all(*std::move(flight));
}

void SimNetwork::send(NodeIndex from, const wire::SnapshotPart& part) {
  auto flight = begin_flight(from, part.to);
  if (!flight) return;
  wire::SnapshotPart out = part;
  out.envelope = flight->envelope;
  std::vector<std::uint8_t> body = wire::encode_snapshot_part_head(out);
  body.insert(body.end(), part.bytes.view().begin(), part.bytes.view().end());
  flight->kind = Flight::Kind::kSnapshotPart;
  flight->bytes = wire::Bytes::copy_of(body);
  launch_all(*std::move(flight));
}

void SimNetwork::launch_all(Flight flight) {
  Pair& connection = pair(flight.from, flight.to);
  if (connection.blocked) {
    (void)hold(connection, std::move(flight));
    return;
  }
  const bool lost = random_.chance_ppm(plan_.loss_ppm);
  const bool twice = random_.chance_ppm(plan_.duplicate_ppm);
  if (twice) launch(connection, flight);
  if (!lost) launch(connection, std::move(flight));
}

void SimNetwork::launch(Pair& connection, Flight flight) {
  Time arrival = queue_.now() + latency();
  if (random_.chance_ppm(plan_.reorder_ppm)) {
    arrival += random_.below(20 * (plan_.latency_max - plan_.latency_min) + 1);
  } else {
    arrival = std::max(arrival, connection.last_arrival);
    connection.last_arrival = arrival;
  }
  queue_.after(arrival - queue_.now(), *this, kDeliver, keep(std::move(flight)));
}

std::uint32_t SimNetwork::keep(Flight flight) {
  if (free_flights_.empty()) {
    flights_.push_back(std::move(flight));
    return static_cast<std::uint32_t>(flights_.size() - 1);
  }
  const std::uint32_t slot = free_flights_.back();
  free_flights_.pop_back();
  flights_[slot] = std::move(flight);
  return slot;
}

bool SimNetwork::hold(Pair& connection, Flight&& flight) {
  if (!plan_.delivers_late || connection.held.size() >= kHeldMax) return false;
  connection.held.push_back(keep(std::move(flight)));
  return true;
}

// The kernel's next try comes within seconds, and brings all of it, in order.
void SimNetwork::release(Pair& connection) {
  const Time again = random_.below(kRetransmitMax);
  for (const std::uint32_t slot : connection.held) {
    queue_.after(again, *this, kDeliver, slot);
    connection.last_arrival = queue_.now() + again;
  }
  connection.held.clear();
}

// The same message once more, in an envelope that does not fit the connection that it comes on.
void SimNetwork::make_foreign(const Flight& flight) {
  Flight foreign = flight;
  foreign.foreign = true;
  switch (random_.below(3)) {
    case 0:
      foreign.envelope.cluster.bytes[random_.below(16)] ^= 0x10;
      break;
    case 1:
      foreign.envelope.boot = foreign.envelope.boot + 1;
      break;
    default: {
      const auto to = static_cast<NodeIndex>(random_.below(hosts_.size()));
      if (to == flight.from || to == flight.to || !pair(flight.from, to).up) return;
      foreign.to = to;
      foreign.to_boot = pair(flight.from, to).to_boot;
      break;
    }
  }
  if (plan_.through_bytes) {
    const auto received = wire::decode_peer_message(flight.bytes);
    if (!received && flight.untrue) return;
    BIB_CHECK(received, "what was encoded here cannot be read: {}", received.error().message);
    std::vector<std::uint8_t> body =
        wire::encode_peer_message_head(foreign.envelope, received->message);
    for (const wire::Bytes& entry : received->message.payload) {
      body.insert(body.end(), entry.view().begin(), entry.view().end());
    }
    foreign.bytes = wire::Bytes::copy_of(body);
  }
  foreign.epoch = pair(foreign.from, foreign.to).epoch;
  launch(pair(foreign.from, foreign.to), std::move(foreign));
}

std::optional<wire::ReceivedPeerMessage> SimNetwork::open(Flight& flight) {
  if (!plan_.through_bytes && flight.bytes.empty()) {
    return wire::ReceivedPeerMessage{flight.envelope, std::move(flight.message)};
  }
  auto received = wire::decode_peer_message(flight.bytes);
  if (!received && (flight.foreign || flight.untrue)) return std::nullopt;
  if (!received) violated("wire", "a message cannot be read back: {}", received.error().message);
  return *std::move(received);
}

void SimNetwork::deliver(std::uint32_t slot) {
  Flight flight = std::move(flights_[slot]);
  flights_[slot] = {};
  free_flights_.push_back(slot);
  Host& host = *hosts_[flight.to];
  if (!host.is_running() || host.boot() != flight.to_boot) return;
  Pair& connection = pair(flight.from, flight.to);
  if (connection.epoch != flight.epoch && plan_.delivers_late) return;  // another connection
  if (connection.blocked) {
    (void)hold(connection, std::move(flight));
    return;
  }
  if (flight.kind != Flight::Kind::kMessage) return deliver_snapshot(flight);
  auto received = open(flight);
  if (!received) return;
  const wire::PeerMessage& head = received->message;
  if (!fits(flight, received->envelope, head.from, head.to)) return;
  if (flight.foreign) {
    violated("envelope", "a message of another cluster, run or addressee was let in: {}",
             to_text(received->message));
  }
  const PeerMessage& message = received->message;
  trace_.note(flight.from, flight.to, static_cast<int>(message.kind), message.term.value(),
              message.log_index.value(), message.match.value(), message.commit.value());
  if (trace_.is_printed()) {
    trace_.line(fmt::format("n{}", flight.to + 1), "<- n{} {}", flight.from + 1, to_text(message));
  }
  const Host& sender = *hosts_[flight.from];
  if (sender.is_running() && sender.boot() == flight.connection_boot) host.on_arrival(message);
  host.on_peer_message(std::move(received->message));
  if (liar_speaks(flight.from, 1)) lie_beside(flight.to);
}

bool SimNetwork::fits(const Flight& flight, const wire::Envelope& envelope, wire::NodeId from,
                      wire::NodeId to) const {
  const wire::ExpectedEnvelope expected{.cluster = hosts_[flight.to]->cluster(),
                                        .boot = flight.connection_boot,
                                        .from = id_of(flight.from),
                                        .to = id_of(flight.to)};
  return wire::fits(envelope, from, to, expected);
}

void SimNetwork::deliver_snapshot(const Flight& flight) {
  Host& host = *hosts_[flight.to];
  if (flight.kind == Flight::Kind::kSnapshotRequest) {
    auto request = wire::decode_snapshot_request(flight.bytes.view());
    if (!request) {
      violated("wire", "a request for a snapshot cannot be read: {}", request.error().message);
    }
    if (!fits(flight, request->envelope, request->from, request->to)) return;
    trace_.note(flight.from, flight.to, request->id, static_cast<int>(request->kind));
    return host.on_snapshot_request(*std::move(request));
  }
  auto part = wire::decode_snapshot_part(flight.bytes);
  if (!part) violated("wire", "a part of a snapshot cannot be read: {}", part.error().message);
  if (!fits(flight, part->envelope, part->from, part->to)) return;
  trace_.note(flight.from, flight.to, part->id, static_cast<int>(part->status));
  host.on_snapshot_part(*std::move(part));
}

// ---- connections

void SimNetwork::started(NodeIndex node) {
  for (NodeIndex other = 0; other < hosts_.size(); ++other) {
    if (other == node) continue;
    pair(node, other).up = false;
    dial_later(node, other, latency());
    // What others still have open to the run before is refused at the first packet.
    if (pair(other, node).up) close(other, node, 0);
    dial_later(other, node, random_.below(kDialAgain));
  }
}

void SimNetwork::stopped(NodeIndex node, bool seen) {
  ended_[node] = {hosts_[node]->boot(), queue_.now()};
  for (NodeIndex other = 0; other < hosts_.size(); ++other) {
    if (other == node) continue;
    const Time notice = seen ? latency() : random_.between(kSecond, 10 * kSecond);
    close(node, other, notice);
    if (seen) close(other, node, 0);
  }
}

void SimNetwork::reset(NodeIndex one, NodeIndex other) {
  close(one, other, latency());
  close(other, one, latency());
  dial_later(one, other, random_.between(latency(), 2 * kDialAgain));
  dial_later(other, one, random_.between(latency(), 2 * kDialAgain));
}

bool SimNetwork::answers(NodeIndex from, NodeIndex to) const {
  const Host& other = *hosts_[to];
  const Pair& connection = pairs_[from * kMax + to];
  return connection.up && other.is_running() && !other.is_paused() &&
         other.boot() == connection.to_boot && !is_blocked(from, to) && !is_blocked(to, from);
}

void SimNetwork::hang_up(NodeIndex from, NodeIndex to) {
  close(from, to, latency());
  dial_later(from, to, random_.below(kDialAgain));
}

bool SimNetwork::ran_after(NodeIndex node, wire::BootId boot, Time time) const {
  if (hosts_[node]->is_running() && hosts_[node]->boot() == boot) return true;
  return ended_[node].boot == boot && ended_[node].at >= time;
}

void SimNetwork::give_place(NodeIndex from, NodeIndex to, bool says_it_is_there) {
  if (pair(from, to).up) {
    close(from, to, latency());
    dial_later(from, to, latency() + random_.below(kDialAgain));
  }
  if (says_it_is_there && pair(to, from).up) hang_up(to, from);
}

// The connection from -> to ends; its receiver sees that later.
void SimNetwork::close(NodeIndex from, NodeIndex to, Time notice_after) {
  Pair& connection = pair(from, to);
  if (!connection.up) return;
  connection.up = false;
  queue_.after(notice_after, *this, kClosed, packed(from, to, connection.epoch));
}

void SimNetwork::dial_later(NodeIndex from, NodeIndex to, Time delay) {
  queue_.after(delay, *this, kDial, packed(from, to, 0));
}

void SimNetwork::dial(NodeIndex from, NodeIndex to) {
  Pair& connection = pair(from, to);
  Host& dialler = *hosts_[from];
  Host& other = *hosts_[to];
  if (connection.up || !dialler.is_running()) return;
  if (!other.is_running()) return;  // it is dialled when it starts
  if (dialler.is_paused() || other.is_paused() || connection.blocked || pair(to, from).blocked) {
    return dial_later(from, to, random_.between(kDialAgain / 2, 2 * kDialAgain));
  }
  const wire::PeerHello hello = dialler.hello();
  if (const auto verdict = other.judge(hello); verdict != engine::Claims::Verdict::kWelcome) {
    trace_.line(fmt::format("n{}", to + 1), "does not let n{} in yet", from + 1);
    if (verdict == engine::Claims::Verdict::kTwice) {
      violated("copies", "n{} tells n{} itself that it runs twice", to + 1, from + 1);
    }
    return dial_later(from, to, random_.between(kDialAgain, 10 * kDialAgain));
  }
  if (plan_.greets) {
    if (const auto refusal = other.check_hello(hello)) {
      trace_.note(from, to);
      trace_.line(fmt::format("n{}", to + 1), "refuses n{}: {}", from + 1, *refusal);
      return dial_later(from, to, random_.between(kDialAgain, 10 * kDialAgain));
    }
  }
  if (refuse_falsely(from, to)) {
    return dial_later(from, to, random_.between(kDialAgain, 10 * kDialAgain));
  }
  connection.up = true;
  ++connection.epoch;
  for (const std::uint32_t slot : std::exchange(connection.held, {})) {
    flights_[slot] = {};
    free_flights_.push_back(slot);
  }
  connection.from_boot = dialler.boot();
  connection.to_boot = other.boot();
  connection.last_arrival = queue_.now();
  connection.made_at = queue_.now();
  dialler.on_peer_connected(id_of(to));
}

void SimNetwork::unblock_all() {
  for (Pair& connection : pairs_) {
    connection.blocked = false;
    if (!connection.held.empty()) release(connection);
  }
}

// ---- joining

void SimNetwork::call_later(std::function<void()> what) {
  calls_.push_back(std::move(what));
  queue_.after(latency(), *this, kCall, calls_.size() - 1);
}

void SimNetwork::ask_to_join(NodeIndex from, const wire::JoinRequest& request,
                             std::function<void(const wire::JoinReply&)> reply) {
  const auto to = static_cast<NodeIndex>(random_.below(hosts_.size()));
  if (to == from || random_.chance_ppm(plan_.loss_ppm)) return;
  const std::vector<std::uint8_t> bytes = wire::encode(request);
  call_later([this, from, to, bytes, reply = std::move(reply)] {
    if (!hosts_[to]->is_running() || is_blocked(from, to)) return;
    const auto decoded = wire::decode_join_request(bytes);
    if (!decoded) violated("wire", "a request to join cannot be read: {}", decoded.error().message);
    hosts_[to]->on_join_request(*decoded, [this, from, to, reply](const wire::JoinReply& answer) {
      if (is_blocked(to, from)) return;
      call_later([reply, answer] { reply(answer); });
    });
  });
}

void SimNetwork::heal() {
  unblock_all();
  plan_.loss_ppm = 0;
  plan_.duplicate_ppm = 0;
  plan_.reorder_ppm = 0;
  plan_.foreign_ppm = 0;
  plan_.lie_ppm = 0;
}

void SimNetwork::on_event(std::uint32_t code, std::uint64_t argument) {
  const auto from = static_cast<NodeIndex>(argument >> 8 & 0xff);
  const auto to = static_cast<NodeIndex>(argument & 0xff);
  switch (code) {
    case kDeliver:
      return deliver(static_cast<std::uint32_t>(argument));
    case kDial:
      return dial(from, to);
    case kCall: {
      const std::function<void()> what = std::exchange(calls_[argument], nullptr);
      return what();
    }
    default: {
      // Not told when the same run of the node has another connection, or a later run has one.
      const Pair& connection = pair(from, to);
      if (connection.up || connection.epoch != argument >> 16) return;
      Host& host = *hosts_[to];
      if (!host.is_running() || host.boot() != connection.to_boot) return;
      trace_.line(fmt::format("n{}", to + 1), "the connection from n{} has closed", from + 1);
      host.on_peer_disconnected(id_of(from));
    }
  }
}

// ---- text

std::string to_text(const PeerMessage& message) {
  std::string text = fmt::format("{} t{}", wire::kind_name(message.kind), message.term.value());
  if (message.log_index != wire::LogIndex() || message.kind == wire::MessageKind::kAppend) {
    text += fmt::format(" after {}/t{}", message.log_index.value(), message.log_term.value());
  }
  if (!message.entries.empty()) {
    text += fmt::format(" entries {}..{}", message.entries.front().index.value(),
                        message.entries.back().index.value());
  }
  if (message.commit != wire::LogIndex()) text += fmt::format(" commit {}", message.commit.value());
  if (message.match != wire::LogIndex()) text += fmt::format(" match {}", message.match.value());
  if (message.rejected) text += " no";
  if (message.hint_index != wire::LogIndex() || message.hint_term != wire::Term()) {
    text += fmt::format(" hint {}/t{}", message.hint_index.value(), message.hint_term.value());
  }
  if (message.context != 0) text += fmt::format(" context {}", message.context);
  if (message.transfer) text += " transfer";
  return text;
}

}  // namespace bib::sim
