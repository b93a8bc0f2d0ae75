// LostAnswers: the nodes at which a read was lost: it was sent whole, and the connection broke
// before the answer, or the node answered that it cannot read its rows, of which it ends.
//
// What one node dies of the next one may die of too. So a read that two nodes have lost is not
// taken to a third; a node that comes back may be asked again, and so may one that answers at all,
// be it that it cannot serve now.
#pragma once

#include <optional>
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

  // A node said what is wrong with its rows. False: another one did before.
  bool add(const ServerInfo& node, const wire::Error& said) {
    said_ = said;
    return add(node);
  }
  // The last of that kind: it says more than that no other node was found.
  const std::optional<wire::Error>& said() const { return said_; }

 private:
  struct Node {
    wire::NodeId id;
    std::string address;
  };
  std::vector<Node> nodes_;
  std::optional<wire::Error> said_;
};

}  // namespace bib::cli
