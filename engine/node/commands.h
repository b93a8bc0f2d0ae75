// Commands: where clients' commands become events.
//
// Lives on the node loop. A leader that is ready decides each command as it arrives; all that one
// turn decided becomes one entry (propose_open_batch(), once per turn and before any other
// proposal). The client is answered when the entry is applied. While a new leader is not ready yet,
// commands are parked, within bounds; a node that does not lead names the leader. When leadership
// is lost, waiting clients are told so and ask the next leader with the same bytes: exactly once.
//
// An answer that is not logged (a refusal, "nothing to change") speaks of the state all the same:
// it was decided against entries that may never be committed, by a node that may lead no longer. It
// is held back until that state is applied and a majority has confirmed the leader since, as for a
// linearizable read; the commit of an entry that was proposed after it was decided is such a
// confirmation. Otherwise a deposed leader would acknowledge a write that no other node has.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/node/raft_driver.h"
#include "engine/ports/client_port.h"
#include "engine/ports/clock.h"
#include "projections/apply/projector.h"
#include "wire/client/client_message.h"

namespace bib::engine {

struct CommandsOptions {
  wire::ClusterId cluster;
  std::uint64_t uncommitted_bytes_max = 64U << 20;
  std::uint64_t unwritten_bytes_max = 256U << 20;  // rows that RocksDB does not have yet
  std::size_t waiting_max = 1U << 20;              // askers, of commands that are under way
  // Clients who wait for answers before they go on would otherwise move in step: all commands in
  // one entry, and every node idle while it is another's turn. A burst is shipped in so many parts,
  // none of fewer events than an entry's own cost is worth.
  std::size_t parts_under_way = 2;
  std::size_t turn_events_min = 32;
  std::size_t parked_max = 8192;
  std::size_t parked_bytes_max = 32U << 20;
  std::uint64_t parked_turn_us = 20'000;  // for parked commands in one turn
  projections::SessionBounds sessions;
};

class Commands {
 public:
  Commands(CommandsOptions options, RaftDriver& driver, projections::Projector& projector,
           ClientPort& clients, Clock& clock);

  void on_command(Asker asker, const wire::Command& command);
  void on_outcomes(std::span<const projections::Outcome> outcomes);
  // What the driver says of a read. Tokens of other askers are ignored.
  void on_read_ready(std::uint64_t token);
  void on_read_refused(std::uint64_t token, consensus::ReadRefusal reason);
  // Those who wait are told. If the projections cannot forget what was on its way: failure().
  void on_leadership_lost();

  // From now on clients' commands are refused with this; without it they are decided again.
  void refuse_all(std::optional<wire::Error> why) { refusal_ = std::move(why); }

  // The leader's own command, without a client. False: not now.
  bool decide_own(const wire::CommandBody& body);
  void expire_sessions(const projections::ExpiredSessions& expired);

  // Once per turn: first the parked commands, if they can be decided now. As many as fit the turn.
  void decide_parked();
  // Some are left that could be decided: another turn is needed.
  bool has_parked_work() const { return !parked_.empty() && driver_.is_ready_to_decide(); }
  // The open batch waits for the next turns while it is too large beside what is under way.
  void propose_open_batch();
  // The open batch is large enough to leave: what else has come waits for the next turn.
  bool has_enough_for_a_turn() const;

  // "Not leader" with what is known of the leader, or "no leader".
  void answer_not_leader(Asker asker);

  // An error that the node must not survive: the rows may not be trusted from here on, so nothing
  // more is decided, and nothing may be applied.
  const std::optional<wire::Error>& failure() const { return failure_; }
  // Requests that are decided and not answered yet.
  std::size_t waiting() const { return waiting_.size() + held_.size(); }
  std::uint64_t overloaded() const { return overloaded_; }

 private:
  struct Request {
    wire::ClientId client;
    wire::RequestSequence sequence;
    bool operator==(const Request&) const = default;
  };
  struct RequestHash {
    std::size_t operator()(const Request& request) const noexcept {
      return std::hash<wire::ClientId>{}(request.client) ^
             std::hash<wire::RequestSequence>{}(request.sequence);
    }
  };
  struct Parked {
    Asker asker;
    std::uint64_t digest = 0;  // of the client's bytes, which another library may lay out otherwise
    std::vector<std::uint8_t> body;
  };

  // An answer that waits until what it says is certain.
  struct Held {
    Asker asker;
    wire::FrameKind kind = wire::FrameKind::kErrorReply;
    std::vector<std::uint8_t> body;
    wire::LogIndex decided_after;  // the last entry that it was decided against
    std::uint64_t read_token = 0;  // 0: the leader need not be confirmed, or is
  };

  void hold(Asker asker, wire::FrameKind kind, wire::ByteView body);
  void release_held();
  wire::ByteView encode_error(const wire::Error& error, wire::Revision current_revision);
  void park(Asker asker, const wire::Command& command);
  void decide(Asker asker, const wire::Command& command);
  // Why no new command is taken, whatever it asks for.
  std::optional<wire::Error> takes_none_now() const;
  void decline(Asker asker, const wire::Command& command, const wire::Error& why);
  void begin_turn();
  void answer_error(Asker asker, const wire::Error& error, wire::Revision current_revision = {});

  CommandsOptions options_;
  RaftDriver& driver_;
  projections::Projector& projector_;
  ClientPort& clients_;
  Clock& clock_;
  wire::ClientEncoder encoder_;
  // Mostly one asker for a request; retries on another connection add more.
  std::unordered_multimap<Request, Asker, RequestHash> waiting_;
  std::deque<Held> held_;         // in the order of their decisions, so of decided_after
  std::uint64_t turn_token_ = 0;  // the read of this turn, if there is one already
  std::deque<Parked> parked_;
  std::size_t parked_bytes_ = 0;
  std::uint64_t overloaded_ = 0;
  std::optional<wire::Error> refusal_;
  wire::LogIndex batch_index_;
  std::size_t waiting_lately_ = 0;  // the most askers of the last few turns
  std::optional<wire::Error> failure_;
};

}  // namespace bib::engine
