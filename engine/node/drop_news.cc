#include "engine/node/drop_news.h"

#include <bit>

namespace bib::engine {

using consensus::DropReason;

std::optional<std::string_view> trouble_of(DropReason reason) {
  switch (reason) {
    case DropReason::kMisaddressed:
      return "it was addressed to another node";
    case DropReason::kMalformed:
      return "no correct node sends such a message";
    case DropReason::kTermJump:
      return "its term is too far ahead to be believed";
    case DropReason::kContradiction:
      return "it contradicts what is committed here, or what this term's leader has sent before";
    case DropReason::kStaleTerm:    // on its way for long, or of a leader that is deposed
    case DropReason::kUnexpected:   // an answer that came late
    case DropReason::kUnknownPeer:  // around changes of the membership
    case DropReason::kLeaderAlive:  // one node that does not hear the leader
      break;
  }
  return std::nullopt;
}

std::optional<DropNews::News> DropNews::look(const consensus::Raft& raft) {
  std::optional<News> news;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    const auto reason = static_cast<DropReason>(i);
    const std::uint64_t count = raft.dropped(reason);
    if (count == seen_[i]) continue;
    seen_[i] = count;
    const auto trouble = trouble_of(reason);
    if (trouble && std::has_single_bit(count)) news = News{*trouble, count};
  }
  return news;
}

}  // namespace bib::engine
