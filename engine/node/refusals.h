// Refusals: what other nodes say against this one, and when it believes them.
//
// Lives on the node loop; plain logic. That this node was removed, that its disk has lost what it
// promised, or that it runs on a copied directory beside the original, ends its part in the
// cluster: no single node's word does that. It is believed when
// the leader that this node follows says so, or a majority of the other voters that it knows (of
// two voters: the other one). Whoever lets it in again takes its word back.
#pragma once

#include <map>

#include "consensus/raft.h"
#include "wire/peer/peer_hello.h"

namespace bib::engine {

class Refusals {
 public:
  enum class Verdict : std::uint8_t { kNews, kKnown, kBelieved };
  // `by`, dialled at its address as a member, refuses this node.
  Verdict note(const consensus::Raft& raft, wire::NodeId by, wire::HelloRefusal refusal);
  void take_back(wire::NodeId by) { said_.erase(by); }

 private:
  bool is_believed(const consensus::Raft& raft, wire::HelloRefusal refusal) const;

  std::map<wire::NodeId, wire::HelloRefusal> said_;  // by voters
};

}  // namespace bib::engine
