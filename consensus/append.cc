// The follower's side of replication (Raft §5.3).
//
// Happy path: the message follows an entry that this log has; what is new enters the log; once it
// is durable, and the term is still the same, one answer acknowledges all that this leader has
// proven so far.
//
// Failure modes:
//   - the entry before is missing or differs: refused, with a place to try next;
//   - an entry differs in its term: it and all after it are truncated, and only then;
//   - the message is old, repeated or reordered: nothing changes, the answer is still true;
//   - the message contradicts what is committed or proven: dropped and counted; what is committed
//     here and not in the leader's log was acknowledged and is lost there, and people must hear of
//     it.

#include <algorithm>
#include <utility>

#include "consensus/raft.h"
#include "consensus/rules.h"
#include "wire/base/check.h"

namespace bib::consensus {

using wire::EntryInfo;
using wire::LogIndex;
using wire::MessageKind;
using wire::NodeId;
using wire::PeerMessage;
using wire::Term;

namespace {

// Contiguous, of terms that do not fall and none after the leader's. Decoding has checked it; the
// core does not depend on that.
bool is_well_formed(const PeerMessage& message) {
  LogIndex index = message.log_index;
  Term term = message.log_term;
  if (term > message.term || (index == LogIndex()) != (term == Term())) return false;
  for (const EntryInfo& entry : message.entries) {
    if (entry.index != index + 1 || entry.term < term || entry.term > message.term ||
        entry.term == Term()) {
      return false;
    }
    index = entry.index;
    term = entry.term;
  }
  return true;
}

}  // namespace

Accepted Raft::on_append(const PeerMessage& message) {
  if (!is_well_formed(message)) return drop(DropReason::kMalformed);
  if (const auto there = contradiction_in(message)) {
    if (rules::is_committed_conflict(there->index, commit_)) note_conflict(message.from, *there);
    return drop(DropReason::kContradiction);
  }
  if (!follows_own_log(message)) {
    refuse_append(message);
    return {};
  }
  const Accepted accepted = take_entries(message);
  const LogIndex end = message.log_index + message.entries.size();
  if (following_.conflict && end >= following_.conflict->index) following_.conflict.reset();
  following_.proved = std::max(following_.proved, end);
  learn_commit(message.commit, end);
  following_.ack_is_due = true;
  return accepted;
}

// A correct leader's log has what is committed (Raft §5.4.3), and never changes what it has said
// in its term (leader append-only, figure 3). The first place where the message says otherwise.
std::optional<wire::LogPosition> Raft::contradiction_in(const PeerMessage& message) const {
  const LogIndex certain = rules::certain(following_.proved, commit_);
  auto differs = [&](LogIndex index, Term term) {
    return index <= certain && index >= log_.base().index && log_.term_at(index) != term;
  };
  if (differs(message.log_index, message.log_term)) {
    return wire::LogPosition{message.log_index, message.log_term};
  }
  for (const EntryInfo& entry : message.entries) {
    if (differs(entry.index, entry.term)) return wire::LogPosition{entry.index, entry.term};
  }
  return std::nullopt;
}

// One message could be a broken node's that leads nobody. It is forgotten when this leader's
// entries turn out to be the same up to there, or another term comes; until then this node answers
// nothing, so that nobody counts it.
void Raft::note_conflict(NodeId leader, wire::LogPosition leaders) {
  if (following_.conflict) return;
  following_.conflict = CommittedConflict{.leader = leader,
                                          .index = leaders.index,
                                          .own = *log_.term_at(leaders.index),
                                          .leaders = leaders.term};
  following_.conflict_ticks = 0;
  effects_.conflict = following_.conflict;
}

void Raft::tick_conflict() {
  if (!following_.conflict || ++following_.conflict_ticks != config_.election_ticks_min) return;
  effects_.conflict = following_.conflict;
  effects_.conflict->lasts = true;
}

// Below the base nothing is known, and nothing need be: it is committed, so the leader has it.
bool Raft::follows_own_log(const PeerMessage& message) const {
  return message.log_index < log_.base().index ||
         log_.matches({message.log_index, message.log_term});
}

std::size_t Raft::count_present(const PeerMessage& message) const {
  const auto fresh =
      std::find_if(message.entries.begin(), message.entries.end(), [&](const EntryInfo& entry) {
        return entry.index > log_.base().index && !log_.matches({entry.index, entry.term});
      });
  return static_cast<std::size_t>(fresh - message.entries.begin());
}

// What step() asks before it comes to take_entries(), as far as that takes no change of this state.
std::size_t Raft::count_new_entries(const PeerMessage& message) const {
  if (message.kind != MessageKind::kAppend || message.to != config_.self) return 0;
  if (rules::is_stale(message.kind, message.term, term_)) return 0;
  const bool is_own_term = message.term == term_;
  if (is_own_term && !rules::may_follow(leader_, message.from)) return 0;
  if (!is_well_formed(message) || !follows_own_log(message)) return 0;
  if (is_own_term && contradiction_in(message)) return 0;
  return message.entries.size() - count_present(message);
}

Accepted Raft::take_entries(const PeerMessage& message) {
  Accepted accepted;
  accepted.already_present = count_present(message);
  accepted.appended = message.entries.size() - accepted.already_present;
  const LogIndex fresh = message.log_index + accepted.already_present + 1;
  const LogIndex end = message.log_index + message.entries.size();
  if (rules::conflicts({.fresh = fresh, .end = end, .last = log_.last_index()})) {
    truncate_log(fresh);
  }
  for (std::size_t i = accepted.already_present; i < message.entries.size(); ++i) {
    const EntryInfo& entry = message.entries[i];
    BIB_CHECK(entry.index == log_.last_index() + 1);
    log_.append(entry.term, entry.size);
    if (entry.membership) use_membership(entry.index, *entry.membership);
  }
  return accepted;
}

void Raft::refuse_append(const PeerMessage& message) {
  if (is_contradicted()) return;
  // Where the logs may still meet: not after this log's end, nor where its terms are above that of
  // the leader's entry; and everything committed does match.
  const std::optional<wire::LogPosition> below =
      log_.last_at_or_below(message.log_index, message.log_term);
  wire::LogPosition hint = log_.base();
  if (below && below->index > hint.index) hint = *below;
  if (commit_ > hint.index) hint = {commit_, *log_.term_at(commit_)};
  PeerMessage reply = message_to(message.from, MessageKind::kAppendReply);
  reply.rejected = true;
  reply.log_index = message.log_index;
  reply.hint_index = hint.index;
  reply.hint_term = hint.term;
  send_when_durable(std::move(reply));
}

// Proves nothing about the log; the answer reports what earlier messages have proven: durable
// (match) and arrived (hint_index).
void Raft::on_heartbeat(const PeerMessage& message) {
  if (is_contradicted()) return;
  learn_commit(message.commit, following_.proved);
  PeerMessage reply = message_to(message.from, MessageKind::kHeartbeatReply);
  reply.match = acknowledged();
  reply.hint_index = following_.proved;
  reply.context = message.context;
  send_when_durable(std::move(reply));
}

void Raft::learn_commit(LogIndex commit, LogIndex proved) {
  const LogIndex index =
      rules::commit_to_learn({.commit = commit, .proved = proved, .last = log_.last_index()});
  if (index > commit_) advance_commit(index);
}

LogIndex Raft::acknowledged() const {
  return rules::acknowledged(disk_.durable, following_.proved);
}

bool Raft::ack_can_go() const {
  if (!following_.ack_is_due || role_ != Role::kFollower || leader_ == wire::NodeId()) return false;
  if (is_contradicted()) return false;
  return disk_.durable >= following_.proved || disk_.durable > following_.acked;
}

void Raft::acknowledge_leader() {
  PeerMessage reply = message_to(leader_, MessageKind::kAppendReply);
  reply.match = acknowledged();
  following_.acked = reply.match;
  following_.ack_is_due = disk_.durable < following_.proved;
  send_when_durable(std::move(reply));
}

}  // namespace bib::consensus
