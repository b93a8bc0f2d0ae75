#include "workload.h"

#include <algorithm>
#include <utility>

#include "violation.h"
#include "wire/base/check.h"
#include "wire/model/row.h"

namespace bib::sim {

using wire::ErrorCode;
using wire::LogIndex;

Workload::Workload(EventQueue& queue, wire::Prng& random, Trace& trace, const Plan& plan,
                   Oracle& oracle, SimNetwork& network)
    : queue_(queue),
      random_(random),
      trace_(trace),
      plan_(plan),
      oracle_(oracle),
      network_(network),
      clients_(plan.work.clients + 1),
      feeds_(queue, random, trace, plan, oracle, network),
      sequences_(queue, random, trace, plan, oracle, network) {
  for (Client& client : clients_) new_identity(client);
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    if (is_pinned(i)) clients_[i].target = static_cast<NodeIndex>(i % plan.voters);
  }
}

void Workload::start() {
  for (std::size_t i = 0; i < plan_.work.clients; ++i) {
    queue_.after(random_.below(kSecond), *this, kNext, i);
  }
  feeds_.start();
  sequences_.start();
}

void Workload::heal() {
  healing_ = true;
  feeds_.heal();
  sequences_.heal();
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    clients_[i].attempts_max = UINT32_MAX;
    if (clients_[i].request != 0) retry(i, any_node(), random_.below(100 * kMillisecond));
  }
}

void Workload::probe() {
  const std::size_t index = plan_.work.clients;
  Client& client = clients_[index];
  if (client.request != 0) return;
  client.attempts_max = UINT32_MAX;
  client.key = "probe";
  begin(index, Kind::kSet);
}

bool Workload::is_quiet() const {
  return std::all_of(clients_.begin(), clients_.end(),
                     [](const Client& client) { return client.request == 0; });
}

void Workload::new_identity(Client& client) {
  for (std::uint8_t& byte : client.id.bytes) {
    byte = static_cast<std::uint8_t>(random_.below(256));
  }
  client.sequence = 0;
}

// ---- requests

void Workload::next(std::size_t index) {
  Client& client = clients_[index];
  if (healing_ || client.request != 0) return;
  const WorkloadPlan& work = plan_.work;
  client.attempts_max = work.attempts_max;
  if (is_pinned(index)) {
    // As a client that nobody knows: what changes nothing is not logged in any way.
    new_identity(client);
    client.attempts_max = 1;
  }
  client.key = fmt::format("k{}", random_.below(work.keys));
  if (!random_.chance_ppm(work.write_ppm)) return begin(index, Kind::kRead);
  if (random_.chance_ppm(work.other_ppm)) return begin(index, Kind::kOther);
  begin(index, !is_pinned(index) && random_.below(6) == 0 ? Kind::kUnset : Kind::kSet);
}

void Workload::begin(std::size_t index, Kind kind) {
  Client& client = clients_[index];
  client.kind = kind;
  client.request = next_request_++;
  client.attempts = 0;
  client.began = oracle_.completed();
  client.questions.clear();
  if (kind == Kind::kRead) {
    const std::uint64_t level = random_.below(8);
    client.consistency = level < 4   ? wire::Consistency::kLinearizable
                         : level < 6 ? wire::Consistency::kLeader
                                     : wire::Consistency::kStale;
    client.max_age = level == 7 ? random_.between(kMillisecond, 4 * kSecond) : 0;
    make_query(client);
  } else {
    make_body(client, is_pinned(index));
  }
  send(index);
}

std::string_view Workload::text(std::string value) {
  return texts_.emplace_back(std::move(value));
}

// One row, or a page that has no other row.
void Workload::make_query(Client& client) {
  wire::Query query;
  query.consistency = client.consistency;
  query.max_age_us = client.max_age;
  query.table = wire::QueryTable::kConfig;
  if (random_.below(4) == 0) {
    query.prefix = client.key;
    query.limit = 1;
  } else {
    query.key = client.key;
  }
  client.frame = wire::FrameKind::kQuery;
  const wire::ByteView bytes = encoder_.encode(query);
  client.body.assign(bytes.begin(), bytes.end());
}

void Workload::make_body(Client& client, bool changes_nothing) {
  texts_.clear();
  wire::Command command;
  command.client = client.id;
  command.sequence = wire::RequestSequence(++client.sequence);
  // Everything before was answered, or given up together with its client id.
  command.acknowledged_below = command.sequence;
  switch (client.kind) {
    case Kind::kSet: {
      // Mostly a value that was never there; sometimes one that may be there already.
      client.value =
          random_.below(8) == 0 ? std::string("again") : fmt::format("v{}", next_value_++);
      if (client.value != "again") {
        client.value.resize(client.value.size() + random_.below(plan_.work.value_bytes_max), '.');
      }
      command.body = wire::SetConfig{client.key, client.value};
      if (random_.chance_ppm(plan_.work.conditional_ppm)) {
        command.expected_revision = wire::Revision(client.last_revision.value() + random_.below(2));
      }
      if (changes_nothing) command.expected_revision = client.last_revision + 1'000'000;
      break;
    }
    case Kind::kUnset:
      command.body = wire::UnsetConfig{client.key};
      break;
    default:
      command.body = other_command();
      break;
  }
  client.frame = wire::FrameKind::kCommand;
  const wire::ByteView bytes = encoder_.encode(command);
  client.body.assign(bytes.begin(), bytes.end());
  command.digest = wire::decode_command(client.body)->digest;
  command.body = {};
  client.command = command;
  oracle_.on_command(command);
}

wire::CommandBody Workload::other_command() {
  switch (random_.below(6)) {
    case 0: {
      wire::CreateTopic create;
      create.path = text(fmt::format("t{}/u{}", random_.below(3), random_.below(3)));
      create.parents = true;
      create.may_exist = random_.below(2) == 0;
      return create;
    }
    case 1: {
      wire::UpdateTopic update;
      update.path = text(fmt::format("t{}/u{}", random_.below(3), random_.below(3)));
      update.description = text(fmt::format("about {}", next_value_++));
      return update;
    }
    case 2: {
      wire::AddDatasetVersion add;
      add.version.topic = text(fmt::format("t{}/u{}", random_.below(3), random_.below(3)));
      add.version.dataset = text(fmt::format("d{}", random_.below(2)));
      add.version.version = text(fmt::format("v{}", random_.below(20)));
      add.version.hash = text(fmt::format("sha256:{}", random_.below(3)));
      return add;
    }
    case 3:
      return wire::RegisterTask{text(fmt::format("task{}", random_.below(2))),
                                text(fmt::format("v{}", random_.below(3))), "do", ""};
    case 4:
      return wire::SubmitJob{text(fmt::format("job{}", random_.below(30))),
                             text(fmt::format("task{}", random_.below(2))), "", "{}"};
    default:
      return wire::SetJobState{text(fmt::format("job{}", random_.below(30))),
                               static_cast<wire::JobState>(1 + random_.below(4)), "done"};
  }
}

void Workload::send(std::size_t index) {
  Client& client = clients_[index];
  ++client.attempts;
  const std::uint64_t request = client.request;
  const unsigned copies = random_.chance_ppm(plan_.work.duplicate_ppm) ? 2 : 1;
  for (unsigned i = 0; i < copies && !healing_; ++i) {
    if (network_.client_message_is_lost()) continue;
    const Time delay = network_.client_latency() + (i == 0 ? 0 : random_.below(kSecond));
    queue_.after(delay, *this, kArrives,
                 arrivals_.add({index, request, client.target, client.frame, client.body}));
  }
  if (healing_) {
    queue_.after(network_.client_latency(), *this, kArrives,
                 arrivals_.add({index, request, client.target, client.frame, client.body}));
  }
  retry(index, is_pinned(index) && !healing_ ? client.target : any_node(),
        plan_.work.patience + random_.below(plan_.work.patience));
}

void Workload::arrive(Arrival&& arrival) {
  SimNode& node = *nodes_[arrival.node];
  if (!node.is_running()) {
    if (clients_[arrival.client].request == arrival.request) {
      retry(arrival.client, any_node(), network_.client_latency());
    }
    return;
  }
  Client& client = clients_[arrival.client];
  if (arrival.kind == wire::FrameKind::kQuery) {
    if (client.request != arrival.request) return;
    const Oracle::Question question =
        oracle_.ask(queue_.now(), node, client.consistency, client.max_age);
    const auto [known, is_new] = client.questions.try_emplace(arrival.node, question);
    if (!is_new) judges::LevelJudge::merge(known->second, question);
  }
  const engine::Asker asker{static_cast<engine::SessionId>(arrival.client), arrival.request};
  node.on_request(asker, arrival.kind, std::move(arrival.body));
}

// After the delay, if this attempt was not answered or repeated by then.
void Workload::retry(std::size_t index, NodeIndex target, Time delay) {
  const Client& client = clients_[index];
  queue_.after(delay, *this, kRetry,
               client.request << 32 | static_cast<std::uint64_t>(client.attempts & 0xffff) << 16 |
                   static_cast<std::uint64_t>(index) << 8 | (target & 0xff));
}

void Workload::give_up(std::size_t index) {
  Client& client = clients_[index];
  trace_.line("", "client {} gives up request {}", index, client.request);
  new_identity(client);
  finish(index);
}

void Workload::finish(std::size_t index) {
  Client& client = clients_[index];
  client.request = 0;
  queue_.after(random_.between(plan_.work.think_min, plan_.work.think_max), *this, kNext, index);
}

// ---- answers

void Workload::on_answer(NodeIndex node, engine::Asker asker, wire::FrameKind kind,
                         wire::ByteView body, bool more) {
  if (Feeds::is_feed(asker.session)) return feeds_.on_answer(node, asker, kind, body, more);
  if (Sequences::is_one(asker.session)) return sequences_.on_answer(node, asker, kind, body);
  const auto client = static_cast<std::size_t>(asker.session);
  const bool is_change = kind == wire::FrameKind::kChangeMembershipReply;
  if (client >= clients_.size() && !is_change) {  // somebody else
    if (asker.request != watched_) return;
    const auto error = wire::decode_error_reply(body);
    watched_answer_ = error ? error->code : ErrorCode::kNone;
    return;
  }
  Answer answer{
      client, asker.request, node, nodes_[node]->runs(), kind, {body.begin(), body.end()}};
  if (!healing_ && network_.client_message_is_lost()) return;
  queue_.after(network_.client_latency(), *this, kAnswered, answers_.add(std::move(answer)));
}

void Workload::on_node_gone(NodeIndex node) {
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    if (clients_[i].request != 0 && clients_[i].target == node) {
      retry(i, any_node(), network_.client_latency());
    }
  }
  feeds_.on_node_gone(node);
}

void Workload::take_answer(Answer&& answer) {
  if (answer.kind == wire::FrameKind::kChangeMembershipReply) {
    const auto reply = wire::decode_change_membership_reply(answer.body);
    if (!reply) violated("wire", "an answer cannot be read: {}", reply.error().message);
    return oracle_.on_change_answered(*nodes_[answer.node], answer.request, *reply);
  }
  Client& client = clients_[answer.client];
  if (client.request != answer.request) return;
  trace_.note(answer.client, answer.request, static_cast<int>(answer.kind));
  if (answer.kind == wire::FrameKind::kQueryReply) {
    take_read(answer, client);
  } else if (answer.kind == wire::FrameKind::kErrorReply) {
    const auto error = wire::decode_error_reply(answer.body);
    if (!error) violated("wire", "an answer cannot be read: {}", error.error().message);
    return take_error(answer, *error);
  } else {
    take_command(answer, client);
  }
  ++answered_;
  finish(answer.client);
}

void Workload::take_command(const Answer& answer, Client& client) {
  const auto reply = wire::decode_command_reply(answer.body);
  if (!reply) violated("wire", "an answer cannot be read: {}", reply.error().message);
  trace_.line("", "client {} writes {}: {} revision {}{}", answer.client, client.key,
              to_string(reply->position), reply->revision.value(),
              reply->unchanged ? ", unchanged" : "");
  client.last_revision = reply->revision;
  oracle_.on_acknowledged(client.command);
  if (!reply->unchanged) {
    oracle_.on_write_answered(queue_.now(), answer.node, client.began, client.command, *reply);
    return;
  }
  repeat_later(answer.client);
  if (client.kind == Kind::kSet) oracle_.on_unchanged(client.began, client.key, client.value);
}

void Workload::take_read(const Answer& answer, Client& client) {
  const auto reply = wire::decode_query_reply(answer.body);
  if (!reply) violated("wire", "an answer cannot be read: {}", reply.error().message);
  Oracle::Seen seen{client.key, std::nullopt, reply->applied_index, std::nullopt};
  if (reply->age_known) seen.age_us = reply->age_us;
  if (!reply->rows.empty()) {
    const auto row = wire::read_row_as<wire::ConfigRow>(reply->rows.front().value);
    if (!row) violated("digest", "a row cannot be read: {}", row.error().message);
    seen.value = std::string(row->value);
  }
  trace_.line("", "client {} reads {}: '{}' at {}", answer.client, client.key,
              seen.value.value_or("nothing").substr(0, 20), seen.applied.value());
  const auto question = client.questions.find(answer.node);
  if (question == client.questions.end()) return;
  oracle_.on_read_answered(queue_.now(), answer.run, question->second, seen);
}

void Workload::take_error(const Answer& answer, const wire::ErrorReply& error) {
  const std::size_t index = answer.client;
  Client& client = clients_[index];
  switch (error.code) {
    case ErrorCode::kNotLeader:
      return retry(index, index_of(error.leader), 0);
    case ErrorCode::kNoQuorum:
    case ErrorCode::kOverloaded:
      return retry(index, any_node(), random_.below(50 * kMillisecond));
    case ErrorCode::kRevisionConflict:
      if (client.kind == Kind::kSet) {
        oracle_.on_conflict(client.began, client.key, error.current_revision);
      }
      client.last_revision = error.current_revision;
      break;
    case ErrorCode::kNotFound: {
      if (client.kind == Kind::kUnset) {
        oracle_.on_unchanged(client.began, client.key, std::nullopt);
      }
      const auto question = client.questions.find(answer.node);
      if (question != client.questions.end()) {
        oracle_.on_unset_answered(question->second, client.key);
      }
      break;
    }
    case ErrorCode::kRefused:
    case ErrorCode::kInvalid:
      break;
    default:
      violated("once", "request {} of client {} is answered with: {}", client.sequence, index,
               error.message);
  }
  trace_.line("", "client {} is refused: {}", index, error.message);
  if (client.kind != Kind::kRead) {
    oracle_.on_acknowledged(client.command);
    repeat_later(index);
  }
  ++answered_;
  finish(index);
}

// The network keeps a copy of a request that left no event; it may come when the client has gone
// on.
void Workload::repeat_later(std::size_t index) {
  const Client& client = clients_[index];
  if (healing_ || !random_.chance_ppm(plan_.work.late_ppm)) return;
  for (int i = 0; i < 3; ++i) {
    queue_.after(random_.between(100 * kMillisecond, 3 * kSecond), *this, kArrives,
                 arrivals_.add({index, client.request, any_node(), client.frame, client.body}));
  }
}

void Workload::on_event(std::uint32_t code, std::uint64_t argument) {
  switch (code) {
    case kNext:
      return next(argument);
    case kArrives:
      return arrive(arrivals_.take(static_cast<std::uint32_t>(argument)));
    case kAnswered:
      return take_answer(answers_.take(static_cast<std::uint32_t>(argument)));
    default: {
      const std::size_t index = argument >> 8 & 0xff;
      Client& client = clients_[index];
      const std::uint64_t attempt = argument >> 16 & 0xffff;
      if (client.request != argument >> 32 || (client.attempts & 0xffff) != attempt) return;
      if (client.attempts >= client.attempts_max) return give_up(index);
      client.target = static_cast<NodeIndex>(argument & 0xff);
      if (client.target >= nodes_.size()) client.target = any_node();
      send(index);
    }
  }
}

}  // namespace bib::sim
