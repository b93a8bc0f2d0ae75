// RowsGuard: what a node does about its rows when they are not those of a majority.
//
// Lives on the node loop. Nodes compare digests with their heartbeats (digest_comparison.h). A node
// whose rows differ says so once, answers no reads of rows, makes no snapshots of them, and neither
// decides commands nor leads: a leader hands over, any other campaigns only when nobody else can be
// elected. It goes on following the log and voting, which do not depend on rows, and its events are
// the log's. Once a comparison finds the rows equal, or they were exchanged for others, it is a
// node like any other again. Where no majority has the same rows, every node says so, and goes on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/node/digest_comparison.h"
#include "wire/base/ids.h"
#include "wire/peer/peer_message.h"

namespace bib::engine {

struct NodeParts;

class RowsGuard {
 public:
  explicit RowsGuard(NodeParts& parts);

  bool differs() const { return comparison_.verdict() == RowsVerdict::kDifferent; }
  // Of this node; of others what the leader knows.
  RowsVerdict of(wire::NodeId member) const;
  // The entry after which rows were compared last.
  wire::LogIndex compared_at() const { return comparison_.compared_at(); }
  // The voter to hand over to: in reach, and not known to differ; of these the one that has most.
  std::optional<wire::NodeId> successor() const;

  void on_applied(wire::LogIndex index) {
    if (comparison_.wants(index)) note(index);
  }
  void on_rows_exchanged() { comparison_.rows_exchanged(); }
  void on_leadership_begins() { comparison_.leadership_begins(); }
  // A heartbeat or its reply, on its way out.
  void stamp(wire::PeerMessage& message);
  // What one says; after consensus was told of it, and not within run_effects().
  void received(const DigestComparison::Heard& heard);
  // Once per turn: acts on what the comparison has found.
  void step();
  void on_tick();

 private:
  void note(wire::LogIndex index);
  void begin_to_differ();
  void cease_to_differ();
  void tell_dispute();
  std::string differing_names() const;

  NodeParts& parts_;
  DigestComparison comparison_;
  RowsVerdict told_ = RowsVerdict::kUnknown;
  bool hand_over_told_ = false;
};

}  // namespace bib::engine
