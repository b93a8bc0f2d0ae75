// MembershipChanges: answers those who change the cluster itself: its members, and who leads.
//
// Lives on the node loop; only the leader serves. A membership change is planned against the
// membership in effect, checked (consensus/health.h), proposed, and answered once it is committed
// and the joint phase is left. What takes longer than `answer_ms` is answered "not done" with what
// it waits for, and the client asks again with the same request: a request says how things shall
// be, so it may be repeated, also to the next leader. A hand-over is answered with how it ended.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "consensus/health.h"
#include "engine/node/commands.h"
#include "engine/node/raft_driver.h"
#include "engine/ports/client_port.h"
#include "engine/ports/logger.h"
#include "engine/ports/peer_port.h"
#include "engine/ports/turns.h"
#include "wire/client/client_message.h"

namespace bib::engine {

struct MembershipChangesOptions {
  std::size_t waiting_max = 64;
  std::uint64_t answer_ms = 1000;  // below a client's patience with one node
};

class MembershipChanges {
 public:
  MembershipChanges(MembershipChangesOptions options, const Turns& turns, const PeerPort& peers,
                    RaftDriver& driver, ClientPort& clients, Commands& commands, Logger& logger);

  void on_change_membership(Asker asker, const wire::ChangeMembership& request);
  void on_transfer(Asker asker, const wire::TransferLeadership& request);
  // Once per turn, after the driver's effects. True: the driver has more of them.
  bool step();
  // What the driver says of a read of its own.
  void on_read_ready(std::uint64_t token);
  void on_read_refused(std::uint64_t token, consensus::ReadRefusal reason);
  void on_leadership_lost();

  // This node and the peers that could acknowledge an entry now; sorted.
  std::vector<wire::NodeId> healthy() const;

 private:
  struct OwnedChange {
    wire::MemberChangeKind kind;
    wire::NodeId id;
    std::string raft_address, api_address;
  };
  struct Change {
    Asker asker;
    std::vector<OwnedChange> changes;
    bool explicit_leave = false;
    bool force = false;
    bool proposed = false;         // by this try
    std::uint64_t read_token = 0;  // 0: no quorum was asked whether this node leads
    bool confirmed = false;        // it has said so
    std::uint64_t deadline_ms = 0;
  };
  struct Transfer {
    Asker asker;
    wire::TransferLeadership request;
    wire::NodeId target;  // chosen or best, once it is under way
    std::uint64_t deadline_ms = 0;
  };
  struct Done {
    bool unchanged = false;
  };
  struct WaitsFor {
    std::string what;
  };
  using Outcome = std::variant<Done, WaitsFor, wire::Error>;

  Outcome evaluate(Change& change);
  Outcome finish(Change& change);
  Outcome leave_joint(Change& change);
  std::optional<Outcome> not_now() const;
  static std::string not_heard_yet(wire::NodeId id);
  std::optional<std::string> learner_behind(
      const std::vector<consensus::MembershipChange>& plan) const;
  Outcome propose(Change& change, const std::vector<consensus::MembershipChange>& plan);
  std::string waits_for_commit() const;
  bool settle(Change& change);

  Outcome evaluate(Transfer& transfer);
  Outcome start(Transfer& transfer);
  bool settle(Transfer& transfer);

  bool is_healthy(wire::NodeId id) const;

  MembershipChangesOptions options_;
  const Turns& turns_;
  const PeerPort& peers_;
  RaftDriver& driver_;
  ClientPort& clients_;
  Commands& commands_;
  Logger& logger_;
  wire::ClientEncoder encoder_;
  std::vector<Change> changes_;
  std::vector<Transfer> transfers_;
  bool acted_ = false;
};

}  // namespace bib::engine
