// Mutants: small planted bugs, by which the simulator is tested (docs/testing.md, "The mutation
// run").
//
// BIB_MUTANT(kName) is an expression. It is the constant false, and nothing is left of it in the
// program, unless the build defines BIB_MUTANTS (preset `mutants`, never together with a release
// build): then it says whether this mutant is the one that is switched on. Each breaks one rule
// that implementations of Raft have broken before; where a rule has several layers of defence, its
// mutant takes out all of them.
#pragma once

#include <cstdint>

// M(rule, name, what it does wrong). docs/testing.md says what each rule is ("The mutation run").
#define BIB_MUTANT_LIST(M)                                                                        \
  M(1, kCommitsForeignTerm, "a leader commits an entry of an earlier term by counting")           \
  M(2, kVotesBeforeDurable, "answers leave before term and vote are durable")                     \
  M(2, kForgetsVote, "a vote is forgotten by a restart in its term")                              \
  M(3, kPreVoteRaisesTerm, "a node asked for a pre-vote enters the term asked about")             \
  M(3, kPreVoteResetsTimer, "granting a pre-vote restarts the election timer")                    \
  M(3, kPreVoteRefusalHidesTerm, "the refusal of a pre-vote does not teach its term")             \
  M(4, kPreVoteComparesLengths, "pre-votes go to the longer log, whatever its last term")         \
  M(5, kLeadsWithoutQuorum, "a leader that no quorum answers keeps leading")                      \
  M(6, kAcknowledgesWholeLog, "an answer covers the follower's log, not what was proven")         \
  M(6, kAcknowledgesBeforeDurable, "an answer covers what is not on the disk yet")                \
  M(7, kFollowerCommitsUnproven, "a follower commits up to its log's end, proven or not")         \
  M(8, kTruncatesWithoutConflict, "an append that is shorter than the log truncates it")          \
  M(9, kStaleRejectionLowersMatch, "an old rejection lowers what a follower has acknowledged")    \
  M(9, kCountsOldVotes, "a vote of an earlier term counts in this one")                           \
  M(10, kAcknowledgesOverwritten, "the end of an old write covers what was put in its place")     \
  M(11, kLeaderCountsUnsynced, "a leader counts itself for what its disk does not have yet")      \
  M(12, kTruncatesOnlyDurable, "what is on its way to the disk is not truncated there")           \
  M(13, kSnapshotKeepsConflict, "a log that disagrees with an installed snapshot stays")          \
  M(13, kInstallsUndecided, "a crash while a snapshot is put in place is not completed")          \
  M(13, kKeepsMakersRows, "rows from a snapshot stay those of the node that made it")             \
  M(13, kAdoptsUnsynced, "whose rows a snapshot's are now is not durable when it is in place")    \
  M(14, kPromotesDuringSnapshot, "a learner gets its vote while a snapshot is on its way to it")  \
  M(14, kWaitsForOldLeader,                                                                       \
    "a snapshot is waited for whose leader has gone, though a new one offers")                    \
  M(15, kIgnoresCutLog, "a follower behind the log's beginning is sent appends")                  \
  M(15, kCutsAboveSnapshot, "the log is cut further than the newest snapshot goes")               \
  M(16, kChangesBeforeNoop, "a new leader changes the membership before its first commit")        \
  M(16, kChangesTwiceAtOnce, "a membership follows one that is not committed")                    \
  M(16, kTruncatedChangeStays, "a membership stays in effect when its entry is truncated")        \
  M(16, kPresumesHealth, "a new leader takes all members for healthy until it misses them")       \
  M(17, kRemovedLeaderCounts, "a leader that is no longer a voter counts itself")                 \
  M(17, kRemovedLeaderStays, "a leader keeps leading when its removal is committed")              \
  M(18, kOutsiderDoesNotCampaign, "a node that an uncommitted change removes does not campaign")  \
  M(18, kOutsiderDoesNotVote, "a node that is no voter by its own log does not vote")             \
  M(19, kWritesDuringTransfer, "a leader takes writes while it hands over")                       \
  M(19, kTransferNeverEnds, "a transfer to a node that does not answer has no end")               \
  M(19, kTransfersToNonVoter, "the leadership is handed to a node that has no vote")              \
  M(20, kReadsBeforeNoop, "a new leader answers reads before its first commit")                   \
  M(21, kReadsByLease, "a leader answers reads because it led a moment ago by its own clock")     \
  M(21, kAgesByWallClock, "the age of rows is taken from a clock that jumps")                     \
  M(22, kTornTailIsDamage, "a write that did not complete is taken for damage")                   \
  M(22, kDamageIsTornTail, "a damaged middle is taken for a write that did not complete")         \
  M(23, kNoDirectorySync, "a new segment's name is not synced")                                   \
  M(23, kSnapshotNameUnsynced, "the name of a finished snapshot is not synced")                   \
  M(23, kBelievesNames, "a segment is taken for the one that its file's name says")               \
  M(23, kMisplacedIsTail, "another write at a block's place is taken for the end of the log")     \
  M(24, kRetriesFailedSync, "a failed sync is tried again, and its success believed")             \
  M(24, kFullDiskIsIgnored, "what a full disk has no room for is left out, and called durable")   \
  M(24, kStalledLeaderStays, "a leader whose disk stalls does not hand over")                     \
  M(24, kStalledNodeCampaigns, "a node whose disk stalls campaigns")                              \
  M(25, kTakesWipedDisks, "a node whose disk was emptied takes part under its old id")            \
  M(25, kCampaignsForOldDisk, "a node that joins again campaigns by the vote of its lost disk")   \
  M(25, kTakesOtherClusters, "a message of another cluster is taken")                             \
  M(25, kTakesOtherBoots, "a message of another run of its sender is taken")                      \
  M(25, kBelievesAnyTerm, "a node enters any term that one other names")                          \
  M(25, kBelievesAnyMatch, "a follower is counted for entries that its leader does not have")     \
  M(25, kTakesUnreadEntries, "entries are logged that nobody can apply")                          \
  M(25, kTakesContradictions, "a follower takes an append that contradicts what is committed")    \
  M(25, kBelievesFarSteps, "a node enters one far term after another at one node's word")         \
  M(25, kAnyoneConfirmsReads, "a read is confirmed by a node that does not lead")                 \
  M(25, kBelievesOneRefusal, "a node ends when one other says that its log is lost")              \
  M(25, kForgetsRequests, "a follower does not remember requests, and carries one out again")     \
  M(25, kExpiresLiveSessions, "requests are forgotten while their clients may repeat them")       \
  M(25, kAgesRecordsByWallClock, "the age of requests' records is taken from a clock that jumps") \
  M(25, kRemembersWithoutBound, "records of requests have no bound when they do not expire")      \
  M(25, kForgetsRefusals, "what was refused is carried out when its client has gone on")          \
  M(25, kTakesSecondRuns, "a copy of a node that runs is let in under the node's id")             \
  M(25, kTwiceWithoutProof, "a node is said to run twice that has only been restarted elsewhere") \
  M(25, kAnswersOtherBytes, "other bytes under a known sequence get the first one's answer")      \
  M(25, kExpectsAppliedRevision, "an expected revision is compared with what is applied only")    \
  M(26, kSeenTermIsVote, "the sender of a higher term has this node's vote in it")                \
  M(27, kStaleLeaderResetsTimer, "a message of a deposed leader restarts the election timer")     \
  M(28, kSuspectRefusesPreVotes, "a node that suspects its leader still refuses pre-votes")       \
  M(29, kStuckPipelineUnnoticed, "lost appends are not missed while heartbeats are answered")     \
  M(30, kAppliedIndexApart, "the applied index is written apart from the rows")                   \
  M(31, kFreezesInsideEntry, "rows go to the store between the events of one entry")              \
  M(32, kAnswersAllReads, "one confirmed read has all that wait answered")                        \
  M(32, kAppliesUnbounded, "a node applies more than its store has written, without a bound")     \
  M(32, kBelievesUnsyncedNote, "a note that a killed run left is relied on before it is durable") \
  M(32, kCarriesBeyondLog, "rows go to the store before the log that they come from is durable")  \
  M(32, kChangeAnsweredEarly, "a change of members is called done before it is committed")        \
  M(32, kCheckpointsBeyondLog, "a snapshot is made of rows whose log is not durable")             \
  M(32, kDigestsBelieveOne, "what one node says of its rows is taken for what a majority has")    \
  M(32, kDigestsUncompared, "rows that differ from those of a majority are not noticed")          \
  M(32, kFeedCountsStored, "a reply of a feed is bounded by its bytes on disk, not its own")      \
  M(32, kFeedSkipsRest, "a feed that stops within an entry continues after it")                   \
  M(32, kFeedsUncommitted, "a feed sends what its node has on its disk, committed or not")        \
  M(32, kForgetsJoining, "a node that asks to join again has another log than it said")           \
  M(32, kFullQueueDrops, "what the log has no room for is dropped")                               \
  M(32, kHoldsOnOldAcks, "a refusal is answered on acknowledgements older than its request")      \
  M(32, kLeaderReadsAnywhere, "a follower answers reads that only a leader may")                  \
  M(32, kLinearizableAtOnce, "a linearizable read is answered without asking the leader")         \
  M(32, kNotesUnsyncedCommit, "what is noted as committed may not be on the own disk yet")        \
  M(32, kKeepsDamagedSnapshots, "a snapshot that is found damaged is offered all the same")       \
  M(32, kBelievesSnapshotDoubts, "a snapshot is set aside at another node's word")                \
  M(32, kSealsUnchecked, "a snapshot is made of files that are damaged")                          \
  M(32, kNoDescriptorEndsNode, "what cannot be opened for want of a descriptor ends the node")    \
  M(32, kStopStoresAhead, "a node that stops stores rows although its log failed")                \
  M(32, kUnconfirmedRefusals, "a refusal is answered by a leader that nobody has confirmed")      \
  M(32, kFeedsBeyondDisk, "a feed reads entries that its node's own disk does not have yet")      \
  M(32, kLeaderReadsUnapplied, "a new leader answers reads before it has applied the old log")    \
  M(32, kStopDropsQueue, "a node that stops leaves out what its log had no room for yet")         \
  M(32, kWelcomesUncommitted, "a node is told that it is a member before that is committed")      \
  M(32, kListsAtOnce, "events are listed before the leader is confirmed")                         \
  M(32, kTakesAnyAge, "a bound on the age of rows is not looked at")

// Those that no seed finds: for each, a test case that it breaks is in tests/sim/mutants/tested.cc.
#define BIB_TESTED_MUTANT_LIST(M)                                                                 \
  M(13, kSnapshotDropsLog, "a snapshot from within the log drops what the log has after it")      \
  M(22, kDebrisStays, "what a torn write left after the log's end is not cleared")                \
  M(25, kRefusesLongerLogs, "a node that knows no later membership is refused, whatever its log") \
  M(32, kFeedsReplacedLog, "a feed reads entries that an installed snapshot replaces")

namespace bib::wire {

enum class Mutant : std::uint8_t {
  kNone,
#define BIB_MUTANT_NAME(rule, name, what) name,
  BIB_MUTANT_LIST(BIB_MUTANT_NAME) BIB_TESTED_MUTANT_LIST(BIB_MUTANT_NAME)
#undef BIB_MUTANT_NAME
};

}  // namespace bib::wire

#ifdef BIB_MUTANTS

namespace bib::wire {

// One for the process, set before anything else runs: a planted bug is no part of any object.
inline Mutant mutant_in_effect = Mutant::kNone;

}  // namespace bib::wire

#define BIB_MUTANT(name) (::bib::wire::mutant_in_effect == ::bib::wire::Mutant::name)

#else

// The name is checked all the same.
#define BIB_MUTANT(name) (::bib::wire::Mutant::name == ::bib::wire::Mutant::kNone)

#endif
