// Freshness: how old this node's rows are at most, leaning on nothing but the rate of its own
// clock.
//
// Lives on the node loop, in the driver; plain logic with the time handed in. No clock is compared
// with another node's. Each heartbeat and each reply carries its sender's clock and echoes the
// latest one received from the addressee. So a leader knows that a majority still followed it when
// it sent the heartbeat whose clock came back, and a follower knows that what a heartbeat says was
// said after the follower had sent the clock that came back with it. A heartbeat says how far the
// leader has committed, and how long ago it was confirmed by a majority; once the follower has
// applied as much, its rows show everything that was acknowledged before
//   (its own clock that came back) - (the leader's age of confirmation).
// The leader, too, shows what it has committed only when it has applied it: others may be ahead.
// A pause of either process makes that longer ago, never shorter.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "consensus/raft.h"
#include "wire/peer/peer_message.h"

namespace bib::engine {

class Freshness {
 public:
  // `clock_base`: random in each run; clocks of an earlier run of this node fit no present time.
  explicit Freshness(std::uint64_t clock_base) : base_(clock_base >> 2) {}

  // A heartbeat, or a reply to one, that leaves now. `now_us`: a monotonic clock.
  void stamp(wire::PeerMessage& message, std::uint64_t now_us, const consensus::Raft& raft) const;
  // One that consensus has been told of.
  void received(const wire::PeerMessage& message, std::uint64_t now_us,
                const consensus::Raft& raft);
  void applied(wire::LogIndex index);
  void leadership_begins() { confirmed_.clear(); }

  // The rows show all that was acknowledged so long ago; nullopt: not known. `leader_is_current`: a
  // leader that has applied all that it inherited.
  std::optional<std::uint64_t> age_us(std::uint64_t now_us, const consensus::Raft& raft,
                                      bool leader_is_current) const;

 private:
  struct Statement {
    wire::LogIndex commit;
    std::uint64_t as_of_us = 0;
  };

  void state(const Statement& statement, const consensus::Raft& raft);
  std::uint64_t clock(std::uint64_t now_us) const { return base_ + now_us; }
  std::optional<std::uint64_t> confirmed_at(std::uint64_t now, const consensus::Raft& raft) const;

  std::uint64_t base_;
  std::map<wire::NodeId, std::uint64_t> heard_;      // the latest clock of each peer
  std::map<wire::NodeId, std::uint64_t> confirmed_;  // leader: own clock that came back from each
  std::optional<Statement> pending_;  // the oldest one that is not applied yet; later ones wait
  std::uint64_t as_of_us_ = 0;        // own clock; 0: not known
};

}  // namespace bib::engine
