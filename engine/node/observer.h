// NodeObserver: who watches a node from inside, without a say in what it does. The simulator's
// oracle does; a process has none.
//
// Called on the node's loop, but for on_store_write(), which comes from the store's thread.
#pragma once

#include <vector>

#include "consensus/effects.h"
#include "projections/state/delta.h"
#include "wire/base/bytes.h"
#include "wire/peer/peer_message.h"

namespace bib::engine {

class NodeObserver {
 public:
  virtual ~NodeObserver() = default;
  // A member's message was let in and is about to reach consensus.
  virtual void before_message(const wire::PeerMessage&) {}
  // Consensus is about to be told that this peer's connection has closed, or that it is silent.
  virtual void before_suspicion(wire::NodeId) {}
  virtual void before_tick() {}
  // It is on its way to the log.
  virtual void on_written(const consensus::LogWrite&, const std::vector<wire::Bytes>&) {}
  virtual void on_applied(const wire::Bytes&, const projections::StateMark&) {}
  virtual void on_role(const consensus::RoleChange&) {}
  virtual void on_membership(const wire::Membership&) {}
  virtual void on_store_write(const std::vector<projections::DeltaPtr>&) {}
  // The state was exchanged for a snapshot.
  virtual void on_installed(const projections::StateMark&, const projections::StateMark&) {}
};

}  // namespace bib::engine
