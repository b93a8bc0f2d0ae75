// Conflicts: what is committed on one node and lost in the cluster, from both sides.
//
// Lives on the node loop. The node that finds such a conflict (consensus::CommittedConflict)
// answers neither its leader nor reads, ends what lists or follows its events, reports the conflict
// to the other members, and ends when it lasts, with kConflict: its files are the only copy of what
// was lost, and nothing in them is changed. The others log the report and show it with that member
// in the status, until the member connects anew or is no member any more. A report is the word of a
// node about itself: it changes nothing but what people see.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "consensus/effects.h"
#include "engine/ports/limited_log.h"
#include "wire/base/ids.h"
#include "wire/peer/peer_message.h"

namespace bib::engine {

struct NodeParts;

class Conflicts {
 public:
  explicit Conflicts(NodeParts& parts);

  // ---- this node's own
  void on_conflict(const consensus::CommittedConflict& conflict);
  // Once per turn: when the leader has turned out to agree, or is gone, reads go on.
  void on_turn();
  void on_housekeeping();

  // ---- reported by others
  void on_report(const wire::PeerMessage& report);
  void on_peer_connected(wire::NodeId peer) { reports_.erase(peer); }
  void on_membership(const wire::Membership& membership);
  // For a person; empty: that member has reported nothing.
  std::string_view report_of(wire::NodeId member) const;

 private:
  void report(const consensus::CommittedConflict& conflict);

  NodeParts& parts_;
  LimitedLog own_lines_, others_lines_;
  bool refuses_reads_ = false;
  std::map<wire::NodeId, std::string> reports_;  // by members
};

}  // namespace bib::engine
