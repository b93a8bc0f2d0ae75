#include "story_words.h"

#include <fmt/format.h>

namespace bib::consensus::test {

const char* name_of(Role role) {
  constexpr const char* kNames[] = {"follower", "pre_candidate", "candidate", "leader"};
  return kNames[static_cast<std::size_t>(role)];
}

const char* name_of(ProgressState state) {
  constexpr const char* kNames[] = {"probe", "replicate", "snapshot"};
  return kNames[static_cast<std::size_t>(state)];
}

const char* name_of(ReadRefusal refusal) {
  constexpr const char* kNames[] = {"no_leader", "not_yet", "overloaded"};
  return kNames[static_cast<std::size_t>(refusal)];
}

const char* name_of(ProposeRefusal refusal) {
  constexpr const char* kNames[] = {"not_leader", "overloaded", "transferring", "pending",
                                    "unsafe"};
  return kNames[static_cast<std::size_t>(refusal)];
}

const char* name_of(TransferOutcome outcome) {
  constexpr const char* kNames[] = {"done", "timed_out", "target_gone"};
  return kNames[static_cast<std::size_t>(outcome)];
}

const char* name_of(DropReason reason) {
#define BIB_DROP_REASON(enumerator, name) name,
  constexpr const char* kNames[] = {BIB_DROP_REASONS(BIB_DROP_REASON)};
#undef BIB_DROP_REASON
  return kNames[static_cast<std::size_t>(reason)];
}

std::string text_of(const wire::PeerMessage& m) {
  const std::string name(wire::kind_name(m.kind));
  switch (m.kind) {
    case wire::MessageKind::kAppend: {
      std::string text = fmt::format("append after {}", m.log_index.value());
      if (!m.entries.empty()) {
        text += fmt::format(" entries {}..{}", m.entries.front().index.value(),
                            m.entries.back().index.value());
      }
      return text + fmt::format(" commit {}", m.commit.value());
    }
    case wire::MessageKind::kAppendReply:
      return m.rejected ? fmt::format("append_reply refuses {} hint {}/{}", m.log_index.value(),
                                      m.hint_index.value(), m.hint_term.value())
                        : fmt::format("append_reply has {}", m.match.value());
    case wire::MessageKind::kHeartbeat:
      return fmt::format("heartbeat commit {}", m.commit.value());
    case wire::MessageKind::kHeartbeatReply:
      return fmt::format("heartbeat_reply has {}", m.match.value());
    case wire::MessageKind::kPreVote:
    case wire::MessageKind::kVote:
      return fmt::format("{} term {}", name, m.term.value());
    case wire::MessageKind::kPreVoteReply:
    case wire::MessageKind::kVoteReply:
      return fmt::format("{} {} term {}", name, m.rejected ? "no" : "yes", m.term.value());
    default:
      return name;
  }
}

}  // namespace bib::consensus::test
