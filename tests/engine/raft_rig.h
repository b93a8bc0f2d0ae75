// RaftRig: a few consensus cores that talk to each other in memory, for tests of what stands beside
// consensus. Every disk is at once durable, every message arrives, unless the test takes it away.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "consensus/raft.h"

namespace bib::test {

class RaftRig {
 public:
  // The members' log ids are 100 + id.
  explicit RaftRig(std::uint64_t nodes) {
    for (std::uint64_t id = 1; id <= nodes; ++id) {
      membership_.voters.push_back(wire::NodeId(id));
      membership_.members.push_back({wire::NodeId(id), "h:1", "h:2", true, 100 + id});
    }
    for (std::uint64_t id = 1; id <= nodes; ++id) {
      consensus::RaftConfig config;
      config.self = wire::NodeId(id);
      config.own_log = 100 + id;
      consensus::Restored restored;
      restored.memberships.push_back({wire::LogIndex(), membership_});
      rafts_.emplace(id, std::make_unique<consensus::Raft>(config, restored));
    }
  }

  consensus::Raft& at(std::uint64_t id) { return *rafts_.at(id); }
  const wire::Membership& membership() const { return membership_; }

  // A message on its way; false: it is lost.
  std::function<bool(wire::PeerMessage&)> on_send = [](wire::PeerMessage&) { return true; };
  // One that was told to its addressee.
  std::function<void(const wire::PeerMessage&)> on_step = [](const wire::PeerMessage&) {};
  // A node that applies nothing.
  std::uint64_t lazy = 0;

  void run() {
    for (bool more = true; more;) {
      more = false;
      for (auto& [id, raft] : rafts_) {
        while (raft->has_effects()) {
          more = true;
          work_off(id, *raft);
        }
      }
    }
  }

  void tick(std::uint64_t id, unsigned times = 1) {
    for (unsigned i = 0; i < times; ++i) {
      at(id).tick();
      run();
    }
  }

  void elect(std::uint64_t id) {
    for (int i = 0; i < 40 && at(id).role() != consensus::Role::kLeader; ++i) tick(id);
    REQUIRE(at(id).role() == consensus::Role::kLeader);
    REQUIRE(at(id).has_committed_own_term());
  }

  void hand_over(std::uint64_t from, std::uint64_t to) {
    REQUIRE(at(from).transfer_leadership(wire::NodeId(to)));
    run();
    REQUIRE(at(to).role() == consensus::Role::kLeader);
    REQUIRE(at(to).has_committed_own_term());
  }

 private:
  void work_off(std::uint64_t id, consensus::Raft& raft) {
    consensus::Effects effects = raft.take_effects();
    std::vector<wire::PeerMessage> out = std::move(effects.send_now);
    if (effects.write) raft.durable(consensus::done(*effects.write));
    for (auto& message : effects.send_after_sync) out.push_back(std::move(message));
    if (lazy != id && raft.commit() > raft.applied()) raft.applied(raft.commit());
    for (wire::PeerMessage& message : out) {
      if (!on_send(message)) continue;
      const auto to = rafts_.find(message.to.value());
      if (to == rafts_.end()) continue;
      to->second->step(message);
      on_step(message);
    }
  }

  wire::Membership membership_;
  std::map<std::uint64_t, std::unique_ptr<consensus::Raft>> rafts_;
};

}  // namespace bib::test
