#include "raw_clients.h"

#include <fmt/format.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "node_line.h"
#include "support/test_support.h"
#include "wire/model/row.h"

namespace bib::nemesis {

using std::chrono::milliseconds;
using support::Call;
using support::Operation;
using support::Outcome;
using wire::ErrorCode;
using wire::FrameKind;

namespace {

constexpr std::uint64_t kReadPauseMs = 40;   // at most, between two reads of one node
constexpr std::uint64_t kWritePauseMs = 60;  // ... between two steps of the writer
constexpr std::size_t kWritesKept = 8;       // that may be repeated
constexpr milliseconds kWriteTimeout{3000};  // of all tries together

// The node cannot say what became, or becomes, of the request.
bool is_open(ErrorCode code) {
  return code == ErrorCode::kNotLeader || code == ErrorCode::kNoQuorum ||
         code == ErrorCode::kOverloaded || code == ErrorCode::kShuttingDown;
}

wire::ClientId random_id(wire::Prng& random) {
  wire::ClientId id;
  for (std::uint8_t& byte : id.bytes) byte = static_cast<std::uint8_t>(random.below(256));
  return id;
}

}  // namespace

RawClients::RawClients(const WorkloadOptions& options, Workload& workload, Recorder& recorder)
    : options_(options), workload_(workload), recorder_(recorder) {
  for (std::size_t node = 0; node < options_.servers.size(); ++node) {
    threads_.emplace_back([this, node] { read(node); });
  }
  threads_.emplace_back([this] { write(); });
}

RawClients::~RawClients() {
  stop();
}

void RawClients::stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

// ---- reads

void RawClients::read(std::size_t node) {
  wire::Prng random(options_.seed * 7919 + node);
  NodeLine line(options_.servers[node], random_id(random), options_.timeout);
  wire::ClientEncoder encoder;
  while (!stopping_) {
    LevelRead read;
    read.node = node;
    const std::uint64_t level = random.below(8);
    read.level = level < 1   ? wire::Consistency::kLinearizable
                 : level < 4 ? wire::Consistency::kLeader
                             : wire::Consistency::kStale;
    if (level >= 6) read.max_age_us = random.between(20'000, 4'000'000);
    read.key = workload_.some_key(random);
    wire::Query query;
    query.table = wire::QueryTable::kConfig;
    query.key = read.key;
    query.consistency = read.level;
    query.max_age_us = read.max_age_us;
    const std::size_t number = recorder_.ask(read);
    const auto answer = line.call(FrameKind::kQuery, encoder.encode(query));
    if (answer && answer->kind == FrameKind::kErrorReply) {
      const auto error = wire::decode_error_reply(answer->body.view());
      read.unset = error && error->code == ErrorCode::kNotFound;
      if (read.unset) recorder_.answer(number, read);
    } else if (answer) {
      const auto reply = wire::decode_query_reply(answer->body.view());
      if (!reply || reply->rows.size() != 1) {
        workload_.report("a read is answered with what is none");
        return;
      }
      const auto row = wire::read_row_as<wire::ConfigRow>(reply->rows.front().value);
      if (row) read.value = std::string(row->value);
      read.applied = reply->applied_index;
      if (reply->age_known) read.age_us = reply->age_us;
      recorder_.answer(number, read);
    }
    // Mostly answered at once: a stale read costs a node little, and a dead one nothing.
    (void)support::wait_until([this] { return stopping_.load(); },
                              milliseconds(1 + random.below(kReadPauseMs)));
  }
}

// ---- writes

// One client of the protocol, with its sequences.
class RawClients::Writer {
 public:
  Writer(RawClients& owner, int process)
      : owner_(owner), process_(process), random_(owner.options_.seed * 104'729) {
    begin_again();
  }

  void step() {
    const std::uint64_t what = random_.below(10);
    if (what < 5 || writes_.empty()) return write();
    const std::size_t which = random_.below(writes_.size());
    if (what < 8) return repeat(writes_[which]);
    alter(writes_[which]);
  }

 private:
  struct Write {
    wire::RequestSequence sequence;
    wire::RequestSequence below;  // what it acknowledged
    std::string key;
    std::vector<std::uint8_t> body;
    std::optional<wire::CommandReply> done;  // nullopt: refused
  };

  void begin_again() {
    id_ = random_id(random_);
    next_ = 1;
    acknowledged_ = wire::RequestSequence();
    writes_.clear();
    lines_.clear();
    for (const cli::ServerAddress& server : owner_.options_.servers) {
      lines_.push_back(std::make_unique<NodeLine>(server, id_, owner_.options_.timeout));
    }
  }

  std::vector<std::uint8_t> make_body(const Write& write, const std::string& value,
                                      std::optional<wire::Revision> expected) {
    wire::Command command;
    command.client = id_;
    command.sequence = write.sequence;
    command.acknowledged_below = write.below;
    command.expected_revision = expected;
    command.body = wire::SetConfig{write.key, value};
    const wire::ByteView bytes = encoder_.encode(command);
    return {bytes.begin(), bytes.end()};
  }

  std::string new_value() { return fmt::format("raw-{}", ++values_); }

  // A new request, under the next sequence.
  void write() {
    Write write;
    write.sequence = wire::RequestSequence(next_++);
    // Sometimes nothing is acknowledged for a while.
    if (random_.below(3) != 0) acknowledged_ = write.sequence;
    write.below = acknowledged_;
    write.key = owner_.workload_.some_key(random_);
    Operation operation;
    operation.process = process_;
    operation.call = Call::kWrite;
    operation.key = write.key;
    operation.value = new_value();
    if (random_.below(3) == 0) operation.expected = random_.below(2) == 0 ? revision_ : 0;
    std::optional<wire::Revision> expected;
    if (operation.expected) expected = wire::Revision(*operation.expected);
    write.body = make_body(write, *operation.value, expected);
    const std::size_t call = owner_.recorder_.invoke(operation);
    const auto answer = ask_until(write.body, cli::Clock::now() + kWriteTimeout);
    Operation result;
    if (!answer) {
      result.outcome = Outcome::kInfo;
      owner_.recorder_.complete(call, result, "timeout");
      return begin_again();  // what became of it is not known
    }
    if (answer->frame.kind == FrameKind::kErrorReply) {
      const auto error = wire::decode_error_reply(answer->frame.body.view());
      result.outcome = Outcome::kFail;
      if (!error || error->code != ErrorCode::kRevisionConflict) {
        owner_.workload_.report(support::to_string(operation) + ": " +
                                std::string(error ? error->message : "no answer"));
        result.outcome = Outcome::kInfo;
      } else {
        result.revision = error->current_revision.value();
        revision_ = error->current_revision.value();
      }
      owner_.recorder_.complete(call, result, "refused");
    } else {
      const auto reply = wire::decode_command_reply(answer->frame.body.view());
      if (!reply || reply->unchanged) return owner_.workload_.report("a write changes nothing");
      result.outcome = Outcome::kOk;
      result.revision = reply->revision.value();
      revision_ = reply->revision.value();
      write.done = *reply;
      owner_.recorder_.complete(call, result, {}, reply->position, answer->node);
    }
    writes_.push_back(std::move(write));
    if (writes_.size() > kWritesKept) writes_.pop_front();
  }

  // The same bytes: what was done then, or refused as late; one that was refused may only be asked
  // again while it is not acknowledged, and then it is another call: those are left alone.
  void repeat(const Write& write) {
    const bool is_acknowledged = write.sequence < answered_below();
    if (!write.done && !is_acknowledged) return;
    check(write, Bytes::kSame, ask_once(write.body), [&](const wire::CommandReply& reply) {
      return write.done && reply.position == write.done->position &&
             reply.revision == write.done->revision;
    });
  }

  // Other bytes under a sequence that is done, or acknowledged: never.
  void alter(const Write& write) {
    if (!write.done && write.sequence >= answered_below()) return;
    Operation operation;
    operation.process = process_;
    operation.call = Call::kWrite;
    operation.key = write.key;
    operation.value = new_value();
    const std::size_t call = owner_.recorder_.invoke(operation);
    const auto answer = ask_once(make_body(write, *operation.value, std::nullopt));
    Operation refused;
    refused.outcome = Outcome::kFail;  // whatever is answered: the log must not have it
    owner_.recorder_.complete(call, refused, "request_reused");
    check(write, Bytes::kOther, answer, [](const wire::CommandReply&) { return false; });
  }

  // A later request that acknowledged everything below was answered.
  wire::RequestSequence answered_below() const {
    return writes_.empty() ? wire::RequestSequence() : writes_.back().below;
  }

  enum class Bytes : std::uint8_t { kSame, kOther };

  template <typename Allows>
  void check(const Write& write, Bytes bytes, const std::optional<wire::Frame>& answer,
             Allows&& allows) {
    if (!answer) return;
    ++owner_.repeats_;
    const char* what = bytes == Bytes::kSame ? "the same bytes" : "other bytes";
    if (answer->kind == FrameKind::kErrorReply) {
      const auto error = wire::decode_error_reply(answer->body.view());
      if (error && error->code == ErrorCode::kRequestReused) {
        // Of what was done, the same bytes are refused only when they were acknowledged.
        if (bytes == Bytes::kOther || write.sequence < answered_below()) return;
      } else if (error && is_open(error->code)) {
        return;
      }
      return owner_.workload_.report(
          fmt::format("{} under sequence {} again: {}", what, write.sequence.value(),
                      error ? error->message : "an answer that cannot be read"));
    }
    const auto reply = wire::decode_command_reply(answer->body.view());
    if (reply && allows(*reply)) return;
    owner_.workload_.report(
        fmt::format("{} under sequence {} again: done at {}", what, write.sequence.value(),
                    reply ? wire::to_string(reply->position) : "a place that cannot be read"));
  }

  struct From {
    wire::Frame frame;
    std::size_t node = 0;
  };

  // The same bytes to one node after another, until there is an answer that counts.
  std::optional<From> ask_until(const std::vector<std::uint8_t>& body,
                                cli::Clock::time_point deadline) {
    while (cli::Clock::now() < deadline) {
      const std::size_t node = leader_;
      const auto answer = lines_[node]->call(FrameKind::kCommand, body);
      if (answer && answer->kind == FrameKind::kCommandReply) return From{*answer, node};
      if (answer && answer->kind == FrameKind::kErrorReply) {
        const auto error = wire::decode_error_reply(answer->body.view());
        if (!error || !is_open(error->code)) return From{*answer, node};
        const auto leader = cli::parse_server_address(error->leader_api_address);
        for (std::size_t i = 0; leader && i < lines_.size(); ++i) {
          if (owner_.options_.servers[i] == *leader) leader_ = i;
        }
      }
      if (leader_ == node) leader_ = (node + 1) % lines_.size();
      if (support::wait_until([this] { return owner_.stopping_.load(); }, milliseconds(20))) break;
    }
    return std::nullopt;
  }

  std::optional<wire::Frame> ask_once(const std::vector<std::uint8_t>& body) {
    const std::size_t node = random_.below(3) == 0 ? random_.below(lines_.size()) : leader_;
    auto answer = lines_[node]->call(FrameKind::kCommand, body);
    if (!answer) return std::nullopt;
    return *std::move(answer);
  }

  RawClients& owner_;
  const int process_;
  wire::Prng random_;
  wire::ClientEncoder encoder_;
  wire::ClientId id_;
  std::vector<std::unique_ptr<NodeLine>> lines_;
  std::uint64_t next_ = 1;
  wire::RequestSequence acknowledged_;
  std::deque<Write> writes_;  // that were answered, oldest first
  std::size_t leader_ = 0;
  std::uint64_t revision_ = 0;  // of the last answer
  std::uint64_t values_ = 0;
};

void RawClients::write() {
  // Beside the workload's clients, and the one that reads everything at the end.
  Writer writer(*this, static_cast<int>(options_.clients + 1));
  wire::Prng random(options_.seed);
  do {
    writer.step();
  } while (!support::wait_until([this] { return stopping_.load(); },
                                milliseconds(1 + random.below(kWritePauseMs))));
}

}  // namespace bib::nemesis
