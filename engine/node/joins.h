// Joins: answers new nodes that ask to become members.
//
// Lives on the node loop. Only the leader admits; others name it. The token's hash must be among
// the cluster's tokens and must not have expired; the new node becomes a learner, and a voter when
// it has caught up, if it wants to. The answer goes out when the membership entry is committed. A
// learner that asks again for the same log is welcome (its first answer may have been lost); a
// member that asks for another log, and any voter, has lost its disk and is refused, because it
// could vote twice in one term, or be counted on for entries that it does not have.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/node/commands.h"
#include "engine/node/raft_driver.h"
#include "engine/ports/clock.h"
#include "engine/ports/logger.h"
#include "projections/apply/projector.h"
#include "wire/peer/peer_hello.h"

namespace bib::engine {

class Joins {
 public:
  using Reply = std::function<void(const wire::JoinReply&)>;

  Joins(std::string cluster_name, wire::ClusterId cluster, RaftDriver& driver,
        projections::Projector& projector, Commands& commands, Clock& clock, Logger& logger);

  // The entry of the cluster's first token, on its way: before it is applied, no token is called
  // unknown, and nodes that ask try again.
  void set_first_token_entry(wire::LogIndex index) { token_index_ = index; }

  void on_join_request(const wire::JoinRequest& request, Reply reply);
  // Once per turn: answers those whose membership entry is committed.
  void answer_committed();
  void on_leadership_lost();

 private:
  struct Waiting {
    wire::LogIndex index;  // of the membership entry
    wire::NodeId node;
    Reply reply;
  };

  wire::Status check(const wire::JoinRequest& request) const;
  wire::Status check_token(const std::string& secret) const;
  wire::Status check_member(const wire::Member& node) const;
  void refuse(const Reply& reply, const wire::Error& error) const;
  void welcome(const Reply& reply) const;

  std::string cluster_name_;
  wire::ClusterId cluster_;
  RaftDriver& driver_;
  projections::Projector& projector_;
  Commands& commands_;
  Clock& clock_;
  Logger& logger_;
  wire::LogIndex token_index_;
  std::vector<Waiting> waiting_;
};

}  // namespace bib::engine
