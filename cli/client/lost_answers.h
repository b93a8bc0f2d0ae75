// LostAnswers: the nodes at which a read was lost: it was sent whole, and the connection broke
// before the answer.
//
// What one node dies of the next one may die of too. So a read that two nodes have lost is not
// taken to a third; a node that comes back may be asked again, and so may one that answers at all,
// be it that it cannot serve now.
#pragma once

#include <string>
#include <vector>

#include "cli/client/greeting.h"

namespace bib::cli {

class LostAnswers {
 public:
  // One more. False: it was at another node than before, and nobody else should be asked.
  bool add(const ServerInfo& node);
  void clear() { nodes_.clear(); }
  // What to tell the user then.
  wire::Error error() const;

 private:
  struct Node {
    wire::NodeId id;
    std::string address;
  };
  std::vector<Node> nodes_;
};

}  // namespace bib::cli
