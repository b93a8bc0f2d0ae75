// The rules that the safety of consensus rests on, each with its place in the literature: "Raft" is
// Ongaro and Ousterhout's paper of 2014, "dissertation" is Ongaro's.
//
// Pure functions over plain values: no state, no I/O. The protocol files (raft.h) ask them by name.
// How they add up to the five properties of Raft's figure 3:
//
//   Election Safety        a node votes once in a term, also across a crash (elections), and any
//                          two majorities meet, also across a change of members (membership);
//   Leader Append-Only     a leader's log only grows: only followers truncate (replication);
//   Log Matching           a follower takes only what follows an entry that both have, and gives up
//                          only what differs from it (replication);
//   Leader Completeness    what is committed is on the disks of a majority, and ends in the term of
//                          the leader that counted (commitment); a majority elects only a node
//                          whose log has it (elections);
//   State Machine Safety   a node applies what is committed and proven to be the leader's
//                          (commitment, snapshots).
//
// Reads add linearizability. On transfer and suspicion no safety rests; they must leave an election
// possible. What a majority is, is in quorum.h; which membership may follow which, in changer.h.
//
// Each rule also holds the bug that breaks it, BIB_MUTANT(...): a constant false in every ordinary
// build (wire/base/mutant.h). Consensus has no other place for them. Two rules hold none, since
// only a fault elsewhere can break them: may_follow (what it refuses is dropped) and
// is_committed_conflict (disks forget what they had synced).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "consensus/progress.h"
#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/base/mutant.h"
#include "wire/peer/peer_message.h"

namespace bib::consensus::rules {

using wire::LogIndex;
using wire::LogPosition;
using wire::MessageKind;
using wire::NodeId;
using wire::Term;

// ---- elections (Raft §5.1, §5.2, §5.4.1; pre-vote: dissertation §9.6) ----

// Term and vote are durable before an answer leaves that depends on them (Raft figure 2).
inline bool may_promise(bool term_and_vote_are_durable) {
  return term_and_vote_are_durable || BIB_MUTANT(kVotesBeforeDurable);
}

// A node that restarts in the term in which it voted has voted in it (Raft figure 2).
inline NodeId vote_after_restart(NodeId stored) {
  return BIB_MUTANT(kForgetsVote) ? NodeId() : stored;
}

// A message of an earlier term has no effect (Raft §5.1): a vote, too, counts in its term only.
inline bool is_stale(MessageKind kind, Term message, Term own) {
  return message < own && !(BIB_MUTANT(kCountsOldVotes) && kind == MessageKind::kVoteReply);
}

// One node's word takes no other to a term that is too far ahead: a broken disk or build could take
// a cluster to the end of all terms. No cluster enters more than one in a tick of 10 ms, 2^32 in
// 497 days, so a node that was away for a year is within one step. One that is not believes a
// majority of the voters that it knows; `known` is the later of its own term and theirs.
inline constexpr std::uint64_t kTermStepMax = std::uint64_t{1} << 32;
inline bool may_be_reached(Term message, Term known) {
  return message <= known || message - known <= kTermStepMax || BIB_MUTANT(kBelievesAnyTerm);
}

// A step that no few elections make. One node's word takes another this far once in an election
// timeout, or one that lies would walk to the end of all terms within hours.
inline constexpr std::uint64_t kFarStep = std::uint64_t{1} << 16;
inline bool is_far_step(Term from, Term to) {
  return to > from && to - from > kFarStep && !BIB_MUTANT(kBelievesFarSteps);
}

// A later term is entered when it is seen (Raft §5.1). A pre-vote asks about a term that no node
// has entered yet: it changes no term, no vote and no timer (dissertation §9.6).
inline bool enters_term(MessageKind kind, Term message, Term own) {
  return message > own && (kind != MessageKind::kPreVote || BIB_MUTANT(kPreVoteRaisesTerm));
}

// To enter a term is not to vote in it: the vote is still free, for its sender as for any other.
inline NodeId vote_on_entering_term(NodeId sender) {
  return BIB_MUTANT(kSeenTermIsVote) ? sender : NodeId();
}

// A term has one leader (Raft §5.2): the first one known; `leader` may be this node.
inline bool may_follow(NodeId leader, NodeId sender) {
  return leader == NodeId() || leader == sender;
}

// The log's last term is later than one's own log's, or the same and the log as long. So a leader
// has all that is committed (Raft §5.4.1). Votes and pre-votes go by the same order.
inline bool is_up_to_date(MessageKind kind, LogPosition log, LogPosition own) {
  if (BIB_MUTANT(kPreVoteComparesLengths) && kind == MessageKind::kPreVote) {
    return log.index >= own.index;
  }
  return log.term > own.term || (log.term == own.term && log.index >= own.index);
}

// A follower has no more than its leader; one that says so is not counted for any of it.
inline bool may_have(LogIndex match, LogIndex last) {
  return match <= last || BIB_MUTANT(kBelievesAnyMatch);
}

struct Voter {
  wire::HardState hard_state;
  NodeId leader;
  LogPosition last;
  bool is_voter = false;  // by its own log
};
// Once in a term, to an up-to-date log, and to no one else once the term has a leader (Raft §5.2).
bool grants_vote(const wire::PeerMessage& request, const Voter& own);

// The election timer starts over when the term's leader is heard, or a vote is given (Raft §5.2):
// for no deposed leader and for no pre-vote.
enum class Heard : std::uint8_t { kLeader, kDeposedLeader, kVoteGranted, kPreVoteGranted };
inline bool puts_election_off(Heard heard) {
  if (heard == Heard::kDeposedLeader) return BIB_MUTANT(kStaleLeaderResetsTimer);
  if (heard == Heard::kPreVoteGranted) return BIB_MUTANT(kPreVoteResetsTimer);
  return true;
}

// The refusal of a pre-vote carries a term, which the asker enters: otherwise a long log of an old
// term and a short log of a new one would refuse each other without end.
inline bool refusal_teaches_term(Term refusal, Term own) {
  return refusal > own && !BIB_MUTANT(kPreVoteRefusalHidesTerm);
}

// A leader that no quorum has answered for an election timeout steps down and falls silent, so that
// the nodes that hear it may elect another one (check-quorum, dissertation §6.2).
inline bool keeps_leading(std::uint64_t ticks_without_quorum, unsigned election_ticks) {
  return ticks_without_quorum < election_ticks || BIB_MUTANT(kLeadsWithoutQuorum);
}

// ---- replication (Raft §5.3) ----

// A message ends at `end`, the log at `last`; `fresh` is the first place of the message that the
// log lacks, or has with another term (end + 1: none). Only such an entry cuts the log. A message
// that is merely shorter than the log is an old one.
struct Overlap {
  LogIndex fresh, end, last;
};
inline bool conflicts(Overlap at) {
  return at.fresh <= at.last && (at.fresh <= at.end || BIB_MUTANT(kTruncatesWithoutConflict));
}

// Up to where a log is certainly the leader's: what the leader has proven in its term, and what is
// committed, which every later leader has (Raft §5.4.3). A leader that stepped down has committed
// more than anybody has proven to it since.
inline LogIndex certain(LogIndex proved, LogIndex commit) {
  return BIB_MUTANT(kTakesContradictions) ? LogIndex() : std::max(proved, commit);
}

// What differs from the leader's log and is committed here: the leader was elected by nodes that
// have lost it.
inline bool is_committed_conflict(LogIndex differs, LogIndex commit) {
  return differs <= commit;
}

// What is committed every later leader has (Raft §5.4.3): no conflict reaches so far down.
inline bool may_truncate(LogIndex from, LogIndex commit) {
  return from > commit || BIB_MUTANT(kTakesContradictions);
}

// A refusal that comes late or twice takes nothing back of what its sender has acknowledged.
struct Refusal {
  LogIndex refused, retry;  // the place that was asked about; where to try next
};
inline LogIndex match_after(Refusal refusal, LogIndex match) {
  const bool is_old = refusal.refused <= match;
  if (!is_old || !BIB_MUTANT(kStaleRejectionLowersMatch)) return match;
  return std::min(refusal.retry, refusal.refused) - 1;
}

// Heartbeats come through and the oldest append under way does not: the peer is probed again.
inline bool is_stuck(const Progress& peer, unsigned election_ticks) {
  return peer.ticks_without_match >= election_ticks && peer.received < peer.in_flight.oldest() &&
         !BIB_MUTANT(kStuckPipelineUnnoticed);
}

// ---- the own disk (dissertation §10.2.1: written while the messages are under way) ----

// A follower acknowledges what is durable here, and proven by this term's leader to be the same as
// there. What its log has after that may be anyone's.
inline LogIndex acknowledged(LogIndex durable, LogIndex proved) {
  if (BIB_MUTANT(kAcknowledgesWholeLog)) return durable;
  if (BIB_MUTANT(kAcknowledgesBeforeDurable)) return proved;
  return std::min(durable, proved);
}

// A log that keeps `kept` is truncated on the disk if more is there, or on its way there (handed).
struct Written {
  LogIndex durable, handed;
};
inline bool truncates_disk(LogIndex kept, Written disk) {
  return (BIB_MUTANT(kTruncatesOnlyDurable) ? disk.durable : disk.handed) > kept;
}

// When a write completes, it proves nothing of what was truncated since: other entries may be in
// its place now, and not be durable.
inline LogIndex proven_by_write(LogIndex written, LogIndex kept) {
  return BIB_MUTANT(kAcknowledgesOverwritten) ? written : std::min(written, kept);
}

// ---- commitment (Raft §5.3, §5.4.2) ----

// Only an entry of the leader's own term is committed by counting who has it. All before it are
// committed with it (Raft §5.4.2, figure 8).
inline bool may_commit_by_counting(std::optional<Term> entry, Term own) {
  return entry == own || BIB_MUTANT(kCommitsForeignTerm);
}

// For itself, a leader counts what is on its disk (dissertation §10.2.1) ...
inline LogIndex own_match(LogIndex durable, LogIndex last) {
  return BIB_MUTANT(kLeaderCountsUnsynced) ? last : durable;
}

// ... and only where it is a voter: it commits its own removal without itself (dissertation
// §4.2.2).
inline bool counts_towards_quorum(NodeId self, const std::vector<NodeId>& voters) {
  return std::binary_search(voters.begin(), voters.end(), self) ||
         (BIB_MUTANT(kRemovedLeaderCounts) && !voters.empty());
}

// A heartbeat compares no logs, so it commits no more than the peer is known to have.
inline LogIndex commit_to_tell(LogIndex commit, LogIndex match) {
  return BIB_MUTANT(kFollowerCommitsUnproven) ? commit : std::min(commit, match);
}

// A follower commits what the leader has committed, as far as it is proven to have it, which is not
// as far as its log goes (Raft figure 2).
struct Learnt {
  LogIndex commit, proved, last;
};
inline LogIndex commit_to_learn(Learnt from) {
  return std::min(from.commit, BIB_MUTANT(kFollowerCommitsUnproven) ? from.last : from.proved);
}

// ---- membership (dissertation §4) ----

// One change at a time, and none before the leader has committed its first entry (term_start):
// majorities of two changes that do not know of each other need not meet (dissertation §4.1).
struct ChangePlace {
  LogIndex commit, latest_change, term_start;
};
inline bool may_propose_change(ChangePlace at) {
  return (at.latest_change <= at.commit || BIB_MUTANT(kChangesTwiceAtOnce)) &&
         (at.term_start <= at.commit || BIB_MUTANT(kChangesBeforeNoop));
}

// Whether a peer could acknowledge a change is known of those that have answered this leader within
// an election timeout: of nobody in its first moment. To presume that they are there lets a change
// through that no quorum can commit.
inline bool is_active(const Progress& peer, unsigned election_ticks) {
  return (peer.heard || BIB_MUTANT(kPresumesHealth)) && peer.ticks_since_heard < election_ticks;
}

// A membership is in effect from its entry on, and goes with it (dissertation §4.1).
inline bool goes_with_its_entry(LogIndex membership, LogIndex truncated_from) {
  return membership >= truncated_from && !BIB_MUTANT(kTruncatedChangeStays);
}

inline constexpr unsigned kPassesMax = 3;
struct Candidacy {
  NodeId self;
  std::uint64_t own_log = 0;  // RaftConfig::own_log
  const wire::Membership& in_effect;
  const wire::Membership& before;    // the one that it replaced
  bool change_is_committed = false;  // from `before` to `in_effect`
  bool disk_is_stalled = false;
  bool stands_back = false;
  unsigned passed = 0;  // elections in a row in which it has stood back, and nobody has won
};
// A voter of the membership in effect or, while that is uncommitted, of the one before: its log may
// be the only one that can finish the change (dissertation §4.2.2, figure 4.6). Only with the log
// that the membership knows, and with a disk that could keep its vote. One that stands back gives
// others the time to be elected.
bool may_campaign(const Candidacy& candidacy);

// A leader whose removal is committed steps down, and not before (dissertation §4.2.2).
inline bool must_resign(bool is_voter) {
  return !is_voter && !BIB_MUTANT(kRemovedLeaderStays);
}

struct Learner {
  bool is_learner = false;
  bool is_replicating = false;  // by appends: no snapshot is under way
  bool is_in_reach = false;
  bool has_nearly_all = false;
};
// With its vote a learner must not hold up what the others could commit (dissertation §4.2.1).
inline bool may_be_promoted(Learner it) {
  return (it.is_learner && it.is_replicating && it.is_in_reach && it.has_nearly_all) ||
         BIB_MUTANT(kPromotesDuringSnapshot);
}

// ---- snapshots (Raft §7) ----

// A peer's next entry is no longer in the log, which begins after `base`.
inline bool needs_snapshot(LogIndex next, LogIndex base) {
  return next <= base && !BIB_MUTANT(kIgnoresCutLog);
}

// A log that has the last entry of an installed snapshot stays as it is; any other is dropped as
// a whole (Raft figure 13, steps 6 and 7).
struct Installed {
  LogIndex snapshot, last;
  bool log_has_it = false;  // with the same term
};
inline bool log_goes_on(Installed at) {
  if (BIB_MUTANT(kSnapshotKeepsConflict)) return at.snapshot <= at.last;
  if (BIB_MUTANT(kSnapshotDropsLog) && at.snapshot < at.last) return false;
  return at.log_has_it;
}

// ---- reads (Raft §8, dissertation §6.4) ----

// A new leader knows what is committed only once it has committed its first entry.
inline bool may_answer_reads(LogIndex commit, LogIndex term_start) {
  return commit >= term_start || BIB_MUTANT(kReadsBeforeNoop);
}

// After the read was asked a quorum has answered a heartbeat. No clock replaces that.
inline bool answers_read(std::uint64_t asked_in_round, std::uint64_t confirmed_round) {
  return asked_in_round <= confirmed_round || BIB_MUTANT(kReadsByLease);
}

// The leader of a term alone can confirm a read in it.
inline bool may_confirm_read(NodeId leader, NodeId sender) {
  return may_follow(leader, sender) || BIB_MUTANT(kAnyoneConfirmsReads);
}

// ---- transfer (dissertation §3.10) ----

// Proposals stop, so that the successor can come to have all of them.
inline bool takes_proposals(bool is_transferring) {
  return !is_transferring || BIB_MUTANT(kWritesDuringTransfer);
}

// The leadership goes to a node with a vote, and one that has lost its vote does not take it.
inline bool may_take_over(bool has_vote) {
  return has_vote || BIB_MUTANT(kTransfersToNonVoter);
}

// When it takes too long, the leader resumes.
inline bool transfer_has_failed(unsigned ticks, unsigned ticks_max) {
  return ticks >= ticks_max && !BIB_MUTANT(kTransferNeverEnds);
}

// A leader whose disk stalls hands over to a node whose disk has more: that disk works.
inline bool relieves_stalled(LogIndex successor, LogIndex own_durable) {
  return successor > own_durable && !BIB_MUTANT(kStalledLeaderStays);
}

// ---- suspicion (docs/decisions/0009-suspicion.md) ----

// A node forgets the leader that it suspects: so it grants the pre-votes of others, too.
inline NodeId leader_after_suspicion(NodeId leader) {
  return BIB_MUTANT(kSuspectRefusesPreVotes) ? leader : NodeId();
}

}  // namespace bib::consensus::rules
