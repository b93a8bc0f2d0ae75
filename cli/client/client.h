// Client: requests to a cluster, answered exactly once, under any leader.
//
// Owned by one thread. A command gets a random client id and a sequence, and is encoded once; after
// a lost connection, a try that takes too long, or a node that cannot serve now, the same bytes go
// to another member, until the answer is there or `timeout` is over. A leader that does not answer
// soon is not waited for idly: the other members are asked meanwhile, and if they know a later
// leader, that one gets them. Unanswered requests are sent again in their order. Requests under way
// at the same time may be decided in another order than they were submitted if some are retried;
// a caller that depends on an answer waits for it. A read that two nodes lose with their connection
// is not taken to a third (lost_answers.h); nor is one for which two nodes cannot read their rows.
//
// Pipelining: submit() while can_submit(), then poll() for completions. Everything submitted
// between two polls leaves in one write. call() is one request and its answer.
//
// Errors: kIo no node can be reached, or two have lost a read; kNoQuorum no leader within the time;
// kTimeout no answer within the time, the outcome is unknown; otherwise what the node said.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "cli/client/lost_answers.h"
#include "cli/client/node_finder.h"
#include "wire/client/client_message.h"

namespace bib::cli {

struct ClientOptions {
  std::vector<ServerAddress> servers;  // tried in order
  std::chrono::milliseconds timeout{10000};
  std::chrono::milliseconds try_timeout{2000};  // of one try at one node
  bool to_leader = true;                        // false: any node will do
  std::size_t inflight_max = 1;
};

struct Completion {
  std::uint64_t ticket = 0;
  wire::Result<wire::Frame> reply;  // of the kind that answers the request
  Clock::time_point submitted;
  wire::Revision current_revision{};  // with kRevisionConflict and kNotFound: what the stream has
};

class Client {
 public:
  explicit Client(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool can_submit() const;
  std::size_t inflight() const { return inflight_; }

  // The ticket names the request in its completion.
  std::uint64_t submit(const wire::CommandBody& body,
                       std::optional<wire::Revision> expected_revision = std::nullopt);
  std::uint64_t submit(const wire::Query& query);
  std::uint64_t submit_status();

  // Sends what was submitted, and appends completions. Returns as soon as there is at least one, or
  // nothing is in flight, or the deadline is reached (at once, if it has passed: one turn).
  void poll(Clock::time_point deadline, std::vector<Completion>& completions);

  // For a loop over several clients: the socket, or -1, and whether bytes wait to be sent.
  int fd() const { return connection_ ? connection_->fd() : -1; }
  bool wants_write() const { return connection_ && connection_->queued_bytes() > 0; }

  // One request and its answer; nothing else may be in flight.
  Completion call(const wire::CommandBody& body,
                  std::optional<wire::Revision> expected_revision = std::nullopt);
  Completion call(const wire::Query& query);
  Completion call_status();
  // From the connected node; asking again is safe.
  Completion call(const wire::ListSnapshots& request);
  // These may be asked again as they are, so that they need no sequence.
  Completion call(const wire::ChangeMembership& request);
  Completion call(const wire::TransferLeadership& request);

  // The node last greeted; nullopt before the first.
  const std::optional<ServerInfo>& server() const { return finder_.server(); }

 private:
  struct Pending {
    enum class State : std::uint8_t { kWaiting, kSent, kDone };

    std::uint64_t ticket = 0;
    wire::FrameKind kind = wire::FrameKind::kCommand;
    State state = State::kWaiting;
    std::vector<std::uint8_t> body;
    Clock::time_point submitted;
    Clock::time_point sent;        // kSent: on the present connection
    Clock::time_point not_before;  // kWaiting
    unsigned overloads = 0;        // answers of that kind so far
    bool in_doubt = false;         // a try of it has not been refused, and may be carried out
    LostAnswers lost;              // of a read
  };

  std::uint64_t enqueue(wire::FrameKind kind, wire::ByteView body);
  Completion wait_for(std::uint64_t ticket);
  Pending* find(std::uint64_t ticket);
  void complete(Pending& pending, wire::Result<wire::Frame> reply,
                std::vector<Completion>& completions);
  void turn(Clock::time_point deadline, std::vector<Completion>& completions);
  bool connect(Clock::time_point deadline, std::vector<Completion>& completions);
  void disconnect(wire::Error why);
  void requeue_sent();
  void lose_reads(std::vector<Completion>& completions);
  bool look_around(Clock::time_point now);
  wire::Status wait(Clock::time_point until) const;
  void send_waiting(Clock::time_point now, std::vector<Completion>& completions);
  wire::Status exchange(std::vector<Completion>& completions);
  void on_frame(wire::Frame frame, std::vector<Completion>& completions);
  void on_error_reply(Pending& pending, const wire::Frame& frame,
                      std::vector<Completion>& completions);
  void expire(Clock::time_point now, std::vector<Completion>& completions);
  std::chrono::milliseconds patience(const Pending& pending) const;
  wire::Error expired_error(const Pending& pending) const;
  Clock::time_point wake_up_at(Clock::time_point deadline) const;

  ClientOptions options_;
  wire::ClientId id_;
  NodeFinder finder_;
  wire::ClientEncoder encoder_;
  std::unique_ptr<Connection> connection_;
  Clock::time_point heard_at_;  // when the present connection last brought anything

  // Tickets [first_ticket_, first_ticket_ + pending_.size()), oldest first. The oldest is never
  // answered yet.
  std::deque<Pending> pending_;
  std::uint64_t first_ticket_ = 1;
  std::uint64_t first_waiting_ = 1;  // no smaller ticket waits to be sent
  std::size_t inflight_ = 0;
  std::vector<std::vector<std::uint8_t>> spare_bodies_;
  wire::Error last_problem_;
};

}  // namespace bib::cli
