#include "workload.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "wire/model/row.h"

namespace bib::nemesis {

using support::Call;
using support::Operation;
using support::Outcome;
using wire::ErrorCode;

namespace {

constexpr std::size_t kUnexpectedMax = 20;

Operation answer_of(Outcome outcome, std::optional<std::uint64_t> revision = {}) {
  Operation answer;
  answer.outcome = outcome;
  answer.revision = revision;
  return answer;
}

// The node said no, and nothing happened.
bool is_refusal(ErrorCode code) {
  return code == ErrorCode::kRevisionConflict || code == ErrorCode::kNotFound;
}

// The outcome is not known: this try, or one before it, may have come through.
bool is_unclear(ErrorCode code) {
  return code == ErrorCode::kIo || code == ErrorCode::kTimeout || code == ErrorCode::kNoQuorum ||
         code == ErrorCode::kOverloaded || code == ErrorCode::kShuttingDown ||
         code == ErrorCode::kNotLeader;
}

}  // namespace

// One process of the history: a connection to whoever leads, and one that begins at each node.
class Workload::Client {
 public:
  Client(const WorkloadOptions& options, std::size_t number, Workload& workload)
      : number_(number), workload_(workload) {
    cli::ClientOptions client;
    client.timeout = options.timeout;
    client.try_timeout = options.timeout / 3;
    client.servers = options.servers;
    leader_ = std::make_unique<cli::Client>(client);
    // These wait for a node that does not answer: what it says after a pause is of interest.
    client.to_leader = false;
    client.try_timeout = options.timeout;
    for (const cli::ServerAddress& server : options.servers) {
      client.servers = {server};
      at_node_.push_back(std::make_unique<cli::Client>(client));
    }
  }

  // `node`: who is asked first; a change may also go straight to the leader.
  void perform(Operation operation, std::size_t node, bool to_leader) {
    operation.process = static_cast<int>(number_);
    const std::size_t call = workload_.recorder_.invoke(operation);
    if (operation.call == Call::kRead) {
      read(call, operation, node);
    } else {
      change(call, operation, to_leader ? *leader_ : *at_node_[node]);
    }
  }

 private:
  void read(std::size_t call, const Operation& operation, std::size_t node) {
    wire::Query query;
    query.table = wire::QueryTable::kConfig;
    query.key = operation.key;
    const cli::Completion completion = at_node_[node]->call(query);
    const bool is_not_set =
        !completion.reply && completion.reply.error().code == ErrorCode::kNotFound;
    if (is_not_set) return finish(call, operation, answer_of(Outcome::kOk, 0));
    if (!completion.reply) return give_up(call, operation, completion.reply.error());
    const auto reply = wire::decode_query_reply(completion.reply->body.view());
    if (!reply) return give_up(call, operation, reply.error());
    Operation answer = answer_of(Outcome::kOk, 0);
    if (!reply->rows.empty()) {
      const auto row = wire::read_row_as<wire::ConfigRow>(reply->rows.front().value);
      if (!row) return give_up(call, operation, row.error());
      answer.value = std::string(row->value);
      answer.revision = row->revision.value();
    }
    finish(call, operation, answer);
  }

  void change(std::size_t call, const Operation& operation, cli::Client& client) {
    std::optional<wire::Revision> expected;
    if (operation.expected) expected = wire::Revision(*operation.expected);
    wire::CommandBody body = wire::UnsetConfig{operation.key};
    if (operation.call == Call::kWrite) body = wire::SetConfig{operation.key, *operation.value};
    const cli::Completion completion = client.call(body, expected);
    if (!completion.reply && is_refusal(completion.reply.error().code)) {
      return workload_.recorder_.complete(
          call, answer_of(Outcome::kFail, completion.current_revision.value()),
          std::string(wire::error_code_name(completion.reply.error().code)));
    }
    if (!completion.reply) return give_up(call, operation, completion.reply.error());
    const auto reply = wire::decode_command_reply(completion.reply->body.view());
    if (!reply) return give_up(call, operation, reply.error());
    std::optional<wire::Position> position;
    if (!reply->unchanged) position = reply->position;
    finish(call, operation, answer_of(Outcome::kOk, reply->revision.value()), position,
           node_of(client));
  }

  // Who has answered.
  std::optional<std::size_t> node_of(const cli::Client& client) const {
    const auto& servers = workload_.options_.servers;
    if (!client.server()) return std::nullopt;
    const auto found = std::find(servers.begin(), servers.end(), client.server()->address);
    if (found == servers.end()) return std::nullopt;
    return static_cast<std::size_t>(found - servers.begin());
  }

  void finish(std::size_t call, const Operation& operation, const Operation& answer,
              std::optional<wire::Position> position = {}, std::optional<std::size_t> node = {}) {
    workload_.recorder_.complete(call, answer, {}, position, node);
    workload_.learn(operation, answer);
    ++workload_.acknowledged_;
  }

  void give_up(std::size_t call, const Operation& operation, const wire::Error& error) {
    const bool reads = operation.call == Call::kRead;
    if (!is_unclear(error.code)) {
      workload_.report(support::to_string(operation) + ": " + error.message);
    }
    const Operation answer = answer_of(reads ? Outcome::kFail : Outcome::kInfo);
    workload_.recorder_.complete(call, answer, std::string(wire::error_code_name(error.code)));
  }

  std::size_t number_;
  Workload& workload_;
  std::unique_ptr<cli::Client> leader_;
  std::vector<std::unique_ptr<cli::Client>> at_node_;
};

Workload::Workload(WorkloadOptions options, Recorder& recorder)
    : options_(std::move(options)), recorder_(recorder) {
  for (std::size_t client = 0; client < options_.clients; ++client) {
    threads_.emplace_back([this, client] { run(client); });
  }
}

Workload::~Workload() {
  stop();
}

void Workload::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopping_changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

// False: it is time to stop.
bool Workload::pause(std::chrono::microseconds time) {
  std::unique_lock lock(mutex_);
  return !stopping_changed_.wait_for(lock, time, [this] { return stopping_; });
}

void Workload::run(std::size_t number) {
  wire::Prng random(options_.seed * 1000 + number);
  Client client(options_, number, *this);
  const std::uint64_t interval_us = 1'000'000 * options_.clients / options_.rate;
  do {
    client.perform(choose(random, number), random.below(options_.servers.size()),
                   random.below(2) == 0);
  } while (pause(std::chrono::microseconds(random.below(2 * interval_us + 1))));
}

Operation Workload::choose(wire::Prng& random, std::size_t client) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t group = chosen_++ / (options_.keys * options_.operations_per_key);
  Operation operation;
  operation.key = "history/" + std::to_string(group * options_.keys + random.below(options_.keys));
  keys_.insert(operation.key);
  if (std::exchange(group_, group) != group) beliefs_.clear();
  const auto belief = beliefs_.find(operation.key);
  const std::uint64_t revision = belief == beliefs_.end() ? 0 : belief->second.revision;
  const std::uint64_t kind = random.below(100);
  if (kind < 45) return operation;
  operation.call = Call::kWrite;
  operation.value = std::to_string(client) + '-' + std::to_string(++written_);
  if (kind < 65) return operation;
  if (kind < 85) {
    // Mostly what was seen last; sometimes a revision that cannot be right any more, or not yet.
    operation.expected = random.below(10) < 8 ? revision : random.below(revision + 2);
  } else if (kind < 92) {
    if (belief != beliefs_.end() && !belief->second.value.empty()) {
      operation.value = belief->second.value;
    }
  } else {
    operation.call = Call::kDelete;
    operation.value.reset();
    if (kind < 95) operation.expected = revision;
  }
  return operation;
}

std::string Workload::some_key(wire::Prng& random) const {
  const std::lock_guard lock(mutex_);
  return "history/" + std::to_string(group_ * options_.keys + random.below(options_.keys));
}

void Workload::learn(const Operation& operation, const Operation& answer) {
  const std::lock_guard lock(mutex_);
  Belief& belief = beliefs_[operation.key];
  belief.revision = operation.call == Call::kDelete ? 0 : answer.revision.value_or(0);
  const auto& value = operation.call == Call::kRead ? answer.value : operation.value;
  belief.value = value.value_or("");
}

void Workload::report(const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (unexpected_.size() < kUnexpectedMax) unexpected_.push_back(what);
}

std::vector<std::string> Workload::unexpected() const {
  const std::lock_guard lock(mutex_);
  return unexpected_;
}

void Workload::read_all() {
  Client client(options_, options_.clients, *this);
  for (const std::string& key : keys_) {
    for (std::size_t node = 0; node < options_.servers.size(); ++node) {
      Operation read;
      read.key = key;
      client.perform(read, node, false);
    }
  }
}

}  // namespace bib::nemesis
