#include "cli/client/lost_answers.h"

#include <algorithm>

namespace bib::cli {

bool LostAnswers::add(const ServerInfo& node) {
  const bool known = std::any_of(nodes_.begin(), nodes_.end(),
                                 [&](const Node& one) { return one.id == node.node; });
  if (!known) nodes_.push_back({node.node, to_string(node.address)});
  return nodes_.size() < 2;
}

wire::Error LostAnswers::error() const {
  return {
      wire::ErrorCode::kIo,
      fmt::format("the connection to {} broke before an answer came, and then the one to {}. No "
                  "other node is asked for the same, since that may be what ends them: see "
                  "whether both still run (`bib cluster status`), and how their logs end",
                  nodes_.front().address, nodes_.back().address)};
}

}  // namespace bib::cli
