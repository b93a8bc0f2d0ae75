#include "engine/node/member_guard.h"

#include <algorithm>
#include <utility>

#include "consensus/rules.h"
#include "wire/base/mutant.h"
#include "wire/log/data_directory.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::HelloRefusal;
using wire::MessageKind;
using wire::PeerHello;

namespace {

constexpr std::size_t kShownMax = 1024;

// Kinds whose sender has its term on its disk before they leave.
bool shows_durable_term(MessageKind kind) {
  switch (kind) {
    case MessageKind::kVote:
    case MessageKind::kVoteReply:
    case MessageKind::kAppend:
    case MessageKind::kAppendReply:
    case MessageKind::kHeartbeat:
    case MessageKind::kHeartbeatReply:
      return true;
    case MessageKind::kPreVote:
    case MessageKind::kPreVoteReply:
    case MessageKind::kTimeoutNow:
    case MessageKind::kReadIndex:
    case MessageKind::kReadIndexReply:
    case MessageKind::kSnapshot:
    case MessageKind::kSnapshotReply:
    case MessageKind::kConflict:
      return false;
  }
  return false;
}

// Kinds whose receiver counts the sender, as a voter or as a follower. The others are a leader's,
// or ask: they are judged by their term and by what they say, from whichever log they come.
bool counts_sender(MessageKind kind) {
  switch (kind) {
    case MessageKind::kPreVoteReply:
    case MessageKind::kVoteReply:
    case MessageKind::kAppendReply:
    case MessageKind::kHeartbeatReply:
    case MessageKind::kSnapshotReply:
      return true;
    case MessageKind::kPreVote:
    case MessageKind::kVote:
    case MessageKind::kAppend:
    case MessageKind::kHeartbeat:
    case MessageKind::kTimeoutNow:
    case MessageKind::kReadIndex:
    case MessageKind::kReadIndexReply:
    case MessageKind::kSnapshot:
    case MessageKind::kConflict:
      return false;
  }
  return false;
}

// Kinds whose receiver follows the sender.
bool is_from_leader(MessageKind kind) {
  return kind == MessageKind::kAppend || kind == MessageKind::kHeartbeat ||
         kind == MessageKind::kSnapshot;
}

std::string what_to_do(wire::NodeId id) {
  return fmt::format(
      "It must not take part under its old id, because it may have forgotten votes and entries. On "
      "a member: `bib cluster member remove {}`; on the node: {}",
      to_string(id), wire::kHowToRejoin);
}

template <typename... Args>
MemberGuard::Refusal log_lost(const PeerHello& hello, fmt::format_string<Args...> format,
                              Args&&... args) {
  return {HelloRefusal::kLogLost,
          {ErrorCode::kRefused,
           fmt::format("node {} {}. {}", to_string(hello.from),
                       fmt::format(format, std::forward<Args>(args)...), what_to_do(hello.from))}};
}

}  // namespace

bool MemberGuard::on_message(const wire::PeerMessage& message) {
  if (is_from_leader(message.kind) && is_led_by_another_member(message.from)) return false;
  const auto shown = shown_.find(message.from);
  if (shown == shown_.end()) return true;
  if (!is_log_of(message.from, shown->second.log_id)) return !counts_sender(message.kind);
  // What consensus does not believe was a slip of its sender, and not on its disk. A far step is
  // noted once this node has entered the term: at the next message in it.
  const bool is_believable =
      consensus::rules::may_be_reached(message.term, std::max(raft_.term(), shown->second.term)) &&
      !consensus::rules::is_far_step(raft_.term(), message.term);
  if (is_believable && shows_durable_term(message.kind) && shown->second.term < message.term) {
    shown->second.term = message.term;
  }
  return true;
}

// A node that this one does not know as a member may be one by a later membership, and may lead.
// Where a member leads it will bring that membership; until then nobody else is taken at his word.
bool MemberGuard::is_led_by_another_member(wire::NodeId id) const {
  const wire::NodeId leader = raft_.leader();
  if (leader == wire::NodeId() || leader == id) return false;
  const wire::Membership& membership = raft_.membership();
  return membership.find(leader) != nullptr && membership.find(id) == nullptr;
}

bool MemberGuard::is_log_of(wire::NodeId id, std::uint64_t log_id) const {
  if (BIB_MUTANT(kTakesWipedDisks)) return true;
  const wire::Member* member = raft_.membership().find(id);
  return member == nullptr || member->can_have_log(log_id);
}

void MemberGuard::admitted(const PeerHello& hello) {
  if (!shown_.contains(hello.from) && shown_.size() >= kShownMax) {
    // Members are fewer, and always known: there is somebody else.
    const auto other = std::find_if(shown_.begin(), shown_.end(), [&](const auto& one) {
      return raft_.membership().find(one.first) == nullptr;
    });
    if (other != shown_.end()) shown_.erase(other);
  }
  Shown& shown = shown_[hello.from];
  if (shown.log_id != hello.log_id) shown = Shown{hello.log_id, {}};
}

std::optional<MemberGuard::Refusal> MemberGuard::check(const PeerHello& hello) const {
  if (auto refusal = check_membership(hello)) return refusal;
  if (auto refusal = check_log(hello)) return refusal;
  return check_memory(hello);
}

// It knows a later membership to be committed than this node does, or its log goes on where this
// one's ends. A node that has just started may know of no membership that it is committed, and be
// in one that only its log has.
bool MemberGuard::may_know_later_membership(const PeerHello& hello) const {
  const consensus::MembershipAt* committed = raft_.committed_membership();
  const wire::LogIndex known = committed == nullptr ? wire::LogIndex() : committed->index;
  if (hello.membership_index > known) return true;
  const wire::LogPosition own = raft_.log().last();
  return hello.log_last != own && !BIB_MUTANT(kRefusesLongerLogs) &&
         consensus::rules::is_up_to_date(wire::MessageKind::kVote, hello.log_last, own);
}

// A node that knows a later membership than this one may be in it; where a member leads this node,
// it has to wait until that one has brought the membership.
std::optional<MemberGuard::Refusal> MemberGuard::check_membership(const PeerHello& hello) const {
  const consensus::MembershipAt* committed = raft_.committed_membership();
  if (committed == nullptr || committed->index == hello.membership_index ||
      may_know_later_membership(hello)) {
    if (!is_led_by_another_member(hello.from)) return std::nullopt;
    return Refusal{HelloRefusal::kNone,
                   {ErrorCode::kRefused,
                    fmt::format("node {} is not a member as far as {} knows, which is led by one: "
                                "it is let in once that leader has named it",
                                to_string(hello.from), to_string(raft_.self()))}};
  }
  if (committed->membership.find(hello.from) != nullptr) return std::nullopt;
  if (raft_.membership().find(hello.from) != nullptr) return std::nullopt;
  return Refusal{
      HelloRefusal::kRemoved,
      {ErrorCode::kRefused,
       fmt::format("node {} is not a member of the cluster, as of entry {}. If it is "
                   "to come back, {}",
                   to_string(hello.from), committed->index.value(), wire::kHowToRejoin)}};
}

// One that knows a later membership may have joined again in it, with this log, and may lead: it
// must be able to bring that membership here. Its answers do not count until then.
std::optional<MemberGuard::Refusal> MemberGuard::check_log(const PeerHello& hello) const {
  if (may_know_later_membership(hello)) return std::nullopt;
  if (is_log_of(hello.from, hello.log_id)) return std::nullopt;
  // Without the ids: whoever knows a member's could speak for it.
  return log_lost(hello,
                  "comes with another log than it joined with: its disk was lost or replaced");
}

std::optional<MemberGuard::Refusal> MemberGuard::check_memory(const PeerHello& hello) const {
  const auto shown = shown_.find(hello.from);
  const bool same_log = shown != shown_.end() && shown->second.log_id == hello.log_id;
  if (same_log && hello.term < shown->second.term) {
    return log_lost(hello,
                    "had term {} on its disk and comes back in term {}: its disk was rolled back",
                    shown->second.term.value(), hello.term.value());
  }
  // In the leader's own term a follower keeps what it has acknowledged to it. In a later term
  // another leader may have truncated it: then this one has been deposed.
  if (raft_.role() != consensus::Role::kLeader || hello.term != raft_.term()) return std::nullopt;
  for (const consensus::PeerStatus& peer : raft_.peers()) {
    if (peer.id != hello.from || peer.match <= hello.log_last.index) continue;
    return log_lost(hello,
                    "has acknowledged entry {} and its log ends at {}: its disk was rolled back",
                    peer.match.value(), hello.log_last.index.value());
  }
  return std::nullopt;
}

}  // namespace bib::engine
