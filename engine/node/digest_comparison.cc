#include "engine/node/digest_comparison.h"

#include <algorithm>
#include <utility>

#include "consensus/quorum.h"
#include "wire/base/mutant.h"

namespace bib::engine {

using consensus::Role;
using wire::DigestNote;
using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;

namespace {

// Confirmed reads bring heartbeats with each turn; digests go with one in a while.
constexpr std::uint64_t kPaceUs = 100'000;
// A round that is not settled by so many heartbeats to each peer ends; and where the log goes on,
// by so many since this node has said its own: the others have got past it.
constexpr std::size_t kHeartbeatsMax = 10;
constexpr std::size_t kHeartbeatsAfterOwn = 3;
// A member that lags by more is compared when it has caught up.
constexpr std::size_t kOutcomesKept = 16;
constexpr std::size_t kPeersMax = 1024;

}  // namespace

// ---- this node's rows

void DigestComparison::note(LogIndex applied, Values values, const consensus::Raft& raft) {
  wanted_ = LogIndex();
  own_ = {.asked = {}, .index = applied, .form = form_, .values = std::move(values)};
  if (expected_ && expected_->index == applied) compare(*expected_);
  expected_.reset();
  if (raft.role() != Role::kLeader || !round_ || round_->asked != applied) return;
  round_->said[raft.self()] = own_.values;
  count(raft);
}

void DigestComparison::rows_exchanged() {
  wanted_ = LogIndex();
  own_ = {};
  expected_.reset();
  verdict_ = RowsVerdict::kUnknown;
  differing_.clear();
}

// The own digests decide: nobody is different because it is told so.
void DigestComparison::compare(const DigestNote& outcome) {
  if (BIB_MUTANT(kDigestsUncompared) || outcome.index != own_.index) return;
  if (outcome.disputed) {
    if (verdict_ == RowsVerdict::kDifferent) return;
    verdict_ = RowsVerdict::kDisputed;
    compared_at_ = outcome.index;
    return;
  }
  if (outcome.values.size() != own_.values.size()) return;
  differing_.clear();
  for (std::size_t i = 0; i < own_.values.size(); ++i) {
    if (own_.values[i] != outcome.values[i]) differing_.push_back(i);
  }
  verdict_ = differing_.empty() ? RowsVerdict::kEqual : RowsVerdict::kDifferent;
  compared_at_ = outcome.index;
}

// ---- heartbeats

bool DigestComparison::is_paced(NodeId to, std::uint64_t now_us) {
  if (stamped_us_.size() > kPeersMax) stamped_us_.clear();
  const auto [last, is_first] = stamped_us_.try_emplace(to, now_us);
  if (!is_first && now_us - last->second < kPaceUs) return false;
  last->second = now_us;
  return true;
}

void DigestComparison::stamp(PeerMessage& message, std::uint64_t now_us,
                             const consensus::Raft& raft) {
  if (message.term != raft.term()) return;
  const bool leads = raft.role() == Role::kLeader;
  if (leads != (message.kind == MessageKind::kHeartbeat)) return;
  if (!leads) {
    if (own_.index != LogIndex() && is_paced(message.to, now_us)) message.digests = own_;
    return;
  }
  if (!is_paced(message.to, now_us)) return;
  if (wants_next_round(raft)) begin_round(raft);
  ++round_->stamps;
  if (round_->said.contains(raft.self())) ++round_->stamps_after_own;
  if (!outcomes_.empty()) message.digests = outcomes_.back();
  message.digests.asked = round_->asked;
}

void DigestComparison::received(const Heard& heard, LogIndex applied, const consensus::Raft& raft) {
  if (heard.term != raft.term()) return;
  if (heard.kind == MessageKind::kHeartbeatReply) {
    if (raft.role() == Role::kLeader) take_answer(heard, raft);
    return;
  }
  if (raft.role() != Role::kFollower || raft.leader() != heard.from) return;
  take_question(heard, applied);
  const DigestNote& outcome = heard.note;
  if (outcome.index == LogIndex() || outcome.form != form_) return;
  if (outcome.index == own_.index) {
    compare(outcome);
  } else if (outcome.index == wanted_) {
    expected_ = outcome;
  }
}

// Who lags answers the first question once it has got there, and later ones afterwards.
void DigestComparison::take_question(const Heard& heard, LogIndex applied) {
  const LogIndex asked = heard.note.asked;
  if (asked == LogIndex() || asked < applied || asked == own_.index || asked == wanted_) return;
  const bool is_waiting = wanted_ > applied && wanted_in_ == heard.term;
  if (is_waiting && asked > wanted_) return;
  wanted_ = asked;
  wanted_in_ = heard.term;
  expected_.reset();
}

// ---- the leader

void DigestComparison::leadership_begins() {
  round_.reset();
  outcomes_.clear();
  members_.clear();
  stamped_us_.clear();
}

bool DigestComparison::wants_next_round(const consensus::Raft& raft) const {
  if (!round_) return true;
  const std::size_t peers = std::max<std::size_t>(raft.membership().members.size(), 2) - 1;
  if (round_->stamps >= kHeartbeatsMax * peers) return true;
  const bool is_done =
      round_->is_settled || round_->stamps_after_own >= kHeartbeatsAfterOwn * peers;
  return is_done && raft.last_index() > round_->asked;
}

void DigestComparison::begin_round(const consensus::Raft& raft) {
  const wire::Membership& membership = raft.membership();
  if (round_ && !round_->is_settled && is_disputed(membership, true)) {
    settle({.asked = {}, .index = round_->asked, .form = form_, .values = {}, .disputed = true});
  }
  const auto is_gone = [&](const auto& one) { return membership.find(one.first) == nullptr; };
  std::erase_if(members_, is_gone);
  std::erase_if(stamped_us_, is_gone);
  round_.emplace().asked = raft.last_index();
  if (own_.index == round_->asked) {
    round_->said[raft.self()] = own_.values;
    count(raft);
  } else {
    wanted_ = round_->asked;
  }
}

void DigestComparison::take_answer(const Heard& heard, const consensus::Raft& raft) {
  const DigestNote& answer = heard.note;
  if (answer.index == LogIndex() || answer.form != form_) return;
  if (raft.membership().find(heard.from) == nullptr) return;
  if (round_ && answer.index == round_->asked) {
    round_->said[heard.from] = answer.values;
    return count(raft);
  }
  for (const DigestNote& outcome : outcomes_) {
    if (outcome.index == answer.index) judge_member(heard.from, answer.values, outcome);
  }
}

// Also when the round is settled: a node may have been rebuilt, or changed, since it answered.
void DigestComparison::count(const consensus::Raft& raft) {
  if (!round_->said.contains(raft.self())) return;
  const wire::Membership& membership = raft.membership();
  if (const Values* values = majority(membership)) {
    settle({.asked = {}, .index = round_->asked, .form = form_, .values = *values});
  } else if (is_disputed(membership, false)) {
    settle({.asked = {}, .index = round_->asked, .form = form_, .values = {}, .disputed = true});
  }
}

// What a majority of the voters has, in both halves; null: nothing yet.
const DigestComparison::Values* DigestComparison::majority(
    const wire::Membership& membership) const {
  const auto have = [&](const std::vector<NodeId>& voters, const Values& values) {
    return static_cast<std::size_t>(std::count_if(voters.begin(), voters.end(), [&](NodeId id) {
      const auto said = round_->said.find(id);
      return said != round_->said.end() && said->second == values;
    }));
  };
  for (const auto& [id, values] : round_->said) {
    if (BIB_MUTANT(kDigestsBelieveOne)) return &values;
    const auto is_enough = [&, &own = values](const std::vector<NodeId>& voters) {
      return voters.empty() || have(voters, own) >= consensus::majority_of(voters.size());
    };
    if (is_enough(membership.voters) && is_enough(membership.voters_outgoing)) return &values;
  }
  return nullptr;
}

// Voters differ, and none of the rest can decide it: all have answered, or had the time to.
bool DigestComparison::is_disputed(const wire::Membership& membership, bool round_ends) const {
  const Values* first = nullptr;
  bool differ = false;
  bool all = true;
  for (const wire::Member& member : membership.members) {
    if (!membership.is_voter(member.id)) continue;
    const auto said = round_->said.find(member.id);
    if (said == round_->said.end()) {
      all = false;
      continue;
    }
    if (first == nullptr) first = &said->second;
    differ = differ || said->second != *first;
  }
  return differ && (all || round_ends);
}

void DigestComparison::settle(DigestNote outcome) {
  round_->is_settled = true;
  for (const auto& [member, values] : round_->said) judge_member(member, values, outcome);
  if (own_.index == outcome.index) compare(outcome);
  if (!outcomes_.empty() && outcomes_.back().index == outcome.index) outcomes_.pop_back();
  outcomes_.push_back(std::move(outcome));
  if (outcomes_.size() > kOutcomesKept) outcomes_.pop_front();
}

void DigestComparison::judge_member(NodeId member, const Values& values,
                                    const DigestNote& outcome) {
  members_[member] = outcome.disputed           ? RowsVerdict::kDisputed
                     : values == outcome.values ? RowsVerdict::kEqual
                                                : RowsVerdict::kDifferent;
}

RowsVerdict DigestComparison::of(NodeId member) const {
  const auto found = members_.find(member);
  return found == members_.end() ? RowsVerdict::kUnknown : found->second;
}

}  // namespace bib::engine
