// DigestComparison: whether this node's rows are those that a majority has.
//
// Lives on the node loop, in RowsGuard; plain logic with time, consensus and digests handed in. It
// goes in rounds. The leader names the last entry of its log, beyond which nobody can have applied
// anything. Each node notes its digests when it has applied exactly that entry, whenever that is,
// and says them in its next answer to a heartbeat. The leader counts what the voters say, its own
// rows included; what a majority has (in both halves of a joint membership) goes out with the next
// heartbeats, and each node compares it with its own note. Learners compare, and are not counted.
//
// At whose word: a node speaks of its own rows only. What a majority has, the leader alone says;
// but no node differs because it is told so: it compares its own digests. A voter that says
// something wrong of its rows is one voice among the voters. Digests of other forms (projections or
// their versions) are not compared.
//
// Bounded: one round, a note for each member, the majority's digests of a few rounds.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "consensus/raft.h"
#include "wire/client/client_message.h"
#include "wire/peer/peer_message.h"

namespace bib::engine {

using wire::RowsVerdict;

class DigestComparison {
 public:
  using Values = std::vector<std::uint64_t>;

  // `form`: of this node's digests.
  explicit DigestComparison(std::uint64_t form) : form_(form) {}

  // The digests after this entry are to be noted, now that it is applied.
  bool wants(wire::LogIndex applied) const {
    return applied == wanted_ && wanted_ != wire::LogIndex();
  }
  void note(wire::LogIndex applied, Values values, const consensus::Raft& raft);
  // The rows are others now: what is known of the old ones does not count.
  void rows_exchanged();
  void leadership_begins();

  // A heartbeat, or a reply to one, that leaves now. It may begin a round: see wants().
  void stamp(wire::PeerMessage& message, std::uint64_t now_us, const consensus::Raft& raft);
  // What one said that consensus has been told of. See wants() afterwards.
  struct Heard {
    wire::MessageKind kind{};
    wire::NodeId from;
    wire::Term term;
    wire::DigestNote note;
  };
  void received(const Heard& heard, wire::LogIndex applied, const consensus::Raft& raft);

  RowsVerdict verdict() const { return verdict_; }
  // The entry after which they were compared.
  wire::LogIndex compared_at() const { return compared_at_; }
  // kDifferent: which of the digests, by their places.
  const std::vector<std::size_t>& differing() const { return differing_; }
  // Leader: what that member's last answer says.
  RowsVerdict of(wire::NodeId member) const;

 private:
  struct Round {
    wire::LogIndex asked;
    std::map<wire::NodeId, Values> said;  // by this node, too
    std::size_t stamps = 0;               // heartbeats that asked
    std::size_t stamps_after_own = 0;     // of these, when this node's own values were known
    bool is_settled = false;
  };

  bool is_paced(wire::NodeId to, std::uint64_t now_us);
  void begin_round(const consensus::Raft& raft);
  bool wants_next_round(const consensus::Raft& raft) const;
  void take_question(const Heard& heard, wire::LogIndex applied);
  void take_answer(const Heard& heard, const consensus::Raft& raft);
  void count(const consensus::Raft& raft);
  const Values* majority(const wire::Membership& membership) const;
  bool is_disputed(const wire::Membership& membership, bool round_ends) const;
  void settle(wire::DigestNote outcome);
  void compare(const wire::DigestNote& outcome);
  void judge_member(wire::NodeId member, const Values& values, const wire::DigestNote& outcome);

  const std::uint64_t form_;

  // This node's own rows: the entry to wait for, as asked in that term; the last note; what a
  // majority has after the entry that is waited for, as far as it was said already.
  wire::LogIndex wanted_;
  wire::Term wanted_in_;
  wire::DigestNote own_;
  std::optional<wire::DigestNote> expected_;
  RowsVerdict verdict_ = RowsVerdict::kUnknown;
  wire::LogIndex compared_at_;
  std::vector<std::size_t> differing_;
  std::map<wire::NodeId, std::uint64_t> stamped_us_;

  // Leader.
  std::optional<Round> round_;
  std::deque<wire::DigestNote> outcomes_;  // of the last few rounds, the latest at the end
  std::map<wire::NodeId, RowsVerdict> members_;
};

}  // namespace bib::engine
