#include "sequences.h"

#include <algorithm>
#include <utility>

#include "sim_node.h"
#include "violation.h"

namespace bib::sim {

using wire::ErrorCode;
using wire::RequestSequence;
using wire::Revision;

namespace {

// So long is a request repeated; its record is kept for longer (draw_sessions).
constexpr Time kRepeatedFor = 3 * kSecond;
constexpr std::size_t kRequestsKept = 24;

}  // namespace

Sequences::Sequences(EventQueue& queue, wire::Prng& random, Trace& trace, const Plan& plan,
                     Oracle& oracle, SimNetwork& network)
    : queue_(queue),
      random_(random),
      trace_(trace),
      plan_(plan),
      oracle_(oracle),
      network_(network),
      clients_(plan.work.sequences) {}

void Sequences::start() {
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    new_identity(clients_[i]);
    queue_.after(random_.below(kSecond), *this, kStep, i);
  }
}

void Sequences::new_identity(Client& client) {
  client = {};
  for (std::uint8_t& byte : client.id.bytes) {
    byte = static_cast<std::uint8_t>(random_.below(256));
  }
}

// ---- asking

void Sequences::step(std::size_t index) {
  if (healing_) return;
  Client& client = clients_[index];
  switch (random_.below(12)) {
    case 0:
      if (random_.below(8) == 0) new_identity(client);
      break;
    case 1:
    case 2:
      alter(index);
      break;
    case 3:
    case 4:
    case 5:
      repeat(index);
      break;
    default:
      ask_new(index);
  }
  queue_.after(random_.between(kMillisecond, 200 * kMillisecond), *this, kStep, index);
}

void Sequences::ask_new(std::size_t index) {
  Client& client = clients_[index];
  if (random_.below(8) == 0) ++client.next;  // one is never sent
  const std::uint64_t sequence = client.next++;
  while (client.requests.size() > kRequestsKept) client.requests.erase(client.requests.begin());
  // Up to the first that is not answered; sometimes less, sometimes what was not answered, too.
  std::uint64_t below = client.below;
  while (client.requests.contains(below) && client.requests.at(below).is_answered) ++below;
  if (random_.below(4) == 0) below = client.below;
  if (random_.below(10) == 0) below = sequence;
  client.below = below;
  Request& request = client.requests[sequence];
  request.asked = queue_.now();
  request.variants.push_back(make_variant(client, sequence, below));
  send(index, sequence, 0);
}

// The lowest sequence that is repeated may have been acknowledged long ago.
Sequences::Request* Sequences::some_request(Client& client, std::uint64_t& sequence) {
  while (!client.requests.empty() &&
         client.requests.begin()->second.asked + kRepeatedFor < queue_.now()) {
    client.requests.erase(client.requests.begin());
  }
  if (client.requests.empty()) return nullptr;
  auto chosen = client.requests.begin();
  std::advance(chosen, static_cast<std::ptrdiff_t>(random_.below(client.requests.size())));
  sequence = chosen->first;
  return &chosen->second;
}

void Sequences::repeat(std::size_t index) {
  std::uint64_t sequence = 0;
  const Request* request = some_request(clients_[index], sequence);
  if (request == nullptr) return;
  send(index, sequence, random_.below(request->variants.size()));
}

void Sequences::alter(std::size_t index) {
  Client& client = clients_[index];
  std::uint64_t sequence = 0;
  Request* request = some_request(client, sequence);
  if (request == nullptr || request->variants.size() > 2) return;
  const RequestSequence below = request->variants.front().head.acknowledged_below;
  Variant fresh = make_variant(client, sequence, below.value());
  for (const Variant& known : request->variants) {
    if (known.body == fresh.body) fresh.began = known.began;  // the same request
  }
  request->variants.push_back(std::move(fresh));
  send(index, sequence, request->variants.size() - 1);
}

Sequences::Variant Sequences::make_variant(Client& client, std::uint64_t sequence,
                                           std::uint64_t below) {
  Variant variant;
  variant.key = fmt::format("k{}", random_.below(plan_.work.keys));
  if (random_.below(8) != 0) variant.value = fmt::format("s{}", next_value_++);
  if (random_.below(8) == 0) variant.value = "again";
  wire::Command command;
  command.client = client.id;
  command.sequence = RequestSequence(sequence);
  command.acknowledged_below = RequestSequence(below);
  command.body = wire::UnsetConfig{variant.key};
  if (variant.value) command.body = wire::SetConfig{variant.key, *variant.value};
  if (random_.below(3) == 0) {
    command.expected_revision = Revision(client.revision.value() + random_.below(2));
  }
  const wire::ByteView bytes = encoder_.encode(command);
  variant.body.assign(bytes.begin(), bytes.end());
  command.digest = wire::decode_command(variant.body)->digest;
  command.body = {};
  variant.head = command;
  variant.began = oracle_.completed();
  oracle_.on_command(command);
  return variant;
}

void Sequences::send(std::size_t index, std::uint64_t sequence, std::size_t variant) {
  const Client& client = clients_[index];
  if (network_.client_message_is_lost()) return;
  // Mostly soon, so that what follows overtakes it now and then.
  const Time late = random_.below(4) == 0 ? random_.below(kSecond) : random_.below(kMillisecond);
  const NodeIndex node =
      random_.below(4) == 0 ? static_cast<NodeIndex>(random_.below(nodes_.size())) : client.leader;
  const std::uint64_t number = next_copy_++;
  copies_[number] = {index, client.id, sequence, variant, oracle_.completed(), node};
  queue_.after(network_.client_latency() + late, *this, kArrives, number);
}

void Sequences::arrive(std::uint64_t number) {
  const Copy& copy = copies_.at(number);
  Client& client = clients_[copy.client];
  const auto request = client.requests.find(copy.sequence);
  SimNode& node = *nodes_[copy.node];
  if (client.id != copy.id || request == client.requests.end() || !node.is_running()) {
    if (!node.is_running()) client.leader = static_cast<NodeIndex>(random_.below(nodes_.size()));
    copies_.erase(number);
    return;
  }
  const engine::Asker asker{static_cast<engine::SessionId>(kFirstSession + copy.client), number};
  node.on_request(asker, wire::FrameKind::kCommand, request->second.variants[copy.variant].body);
}

// ---- answers

void Sequences::on_answer(NodeIndex node, engine::Asker asker, wire::FrameKind kind,
                          wire::ByteView body) {
  if (!healing_ && network_.client_message_is_lost()) return;
  answers_.push_back({asker.request, node, kind, {body.begin(), body.end()}});
  queue_.after(network_.client_latency(), *this, kAnswered, answers_.size() - 1);
}

void Sequences::take(const Answer& answer) {
  const auto found = copies_.find(answer.copy);
  if (found == copies_.end()) return;
  const Copy copy = found->second;
  copies_.erase(found);
  Client& client = clients_[copy.client];
  const auto request = client.requests.find(copy.sequence);
  if (client.id != copy.id || request == client.requests.end()) return;
  const Variant& variant = request->second.variants[copy.variant];
  trace_.note(copy.client, copy.sequence, copy.variant, static_cast<int>(answer.kind));
  ++answered_;
  if (answer.kind == wire::FrameKind::kErrorReply) {
    const auto error = wire::decode_error_reply(answer.body);
    if (!error) violated("wire", "an answer cannot be read: {}", error.error().message);
    return take_error(client, copy, variant, *error);
  }
  const auto reply = wire::decode_command_reply(answer.body);
  if (!reply) violated("wire", "an answer cannot be read: {}", reply.error().message);
  trace_.line("", "sequences {}: request {}.{} is done at {}, revision {}{}{}", copy.client,
              copy.sequence, copy.variant, to_string(reply->position), reply->revision.value(),
              reply->unchanged ? ", unchanged" : "", reply->replayed ? ", replayed" : "");
  client.leader = answer.node;
  client.revision = reply->revision;
  if (reply->unchanged) {
    oracle_.on_unchanged(copy.began, variant.key, variant.value);
  } else {
    oracle_.on_write_answered(queue_.now(), answer.node, variant.began, variant.head, *reply);
  }
  settled(client, copy, variant);
}

void Sequences::take_error(Client& client, const Copy& copy, const Variant& variant,
                           const wire::ErrorReply& error) {
  trace_.line("", "sequences {}: request {}.{} is refused: {}", copy.client, copy.sequence,
              copy.variant, error.message);
  switch (error.code) {
    case ErrorCode::kNotLeader:
      client.leader = index_of(error.leader);
      if (client.leader >= nodes_.size()) client.leader = 0;
      return;
    case ErrorCode::kNoQuorum:
      client.leader = static_cast<NodeIndex>(random_.below(nodes_.size()));
      return;
    case ErrorCode::kOverloaded:
      return;
    case ErrorCode::kRequestReused:
      return oracle_.on_reused(variant.head);
    case ErrorCode::kRevisionConflict:
      client.revision = error.current_revision;
      oracle_.on_conflict(copy.began, variant.key, error.current_revision);
      return settled(client, copy, variant);
    case ErrorCode::kNotFound:
      oracle_.on_unchanged(copy.began, variant.key, std::nullopt);
      return settled(client, copy, variant);
    default:
      violated("once", "request {} of sequences {} is answered with: {}", copy.sequence,
               copy.client, error.message);
  }
}

// It has its answer, whichever variant it was.
void Sequences::settled(Client& client, const Copy& copy, const Variant& variant) {
  oracle_.on_acknowledged(variant.head);
  client.requests.at(copy.sequence).is_answered = true;
}

void Sequences::on_event(std::uint32_t code, std::uint64_t argument) {
  switch (code) {
    case kStep:
      return step(argument);
    case kArrives:
      return arrive(argument);
    default:
      return take(std::exchange(answers_[argument], {}));
  }
}

}  // namespace bib::sim
