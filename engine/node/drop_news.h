// DropNews: which dropped messages a person has to hear of.
//
// Lives on the node loop; plain logic. Consensus counts what it drops by reason. Most of it is how
// networks and elections are (late, repeated, of a term that has passed); some of it no correct
// peer sends, whatever the network does: of that, the first, second, fourth and so on is news.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "consensus/raft.h"

namespace bib::engine {

// What is wrong with the sender, for a person; nothing: no one need hear of it.
std::optional<std::string_view> trouble_of(consensus::DropReason reason);

class DropNews {
 public:
  struct News {
    std::string_view trouble;
    std::uint64_t count = 0;  // of all that were dropped for this reason so far
  };
  // To be asked after each message: nothing, in nearly every case.
  std::optional<News> look(const consensus::Raft& raft);

 private:
  std::array<std::uint64_t, consensus::kDropReasons> seen_{};
};

}  // namespace bib::engine
