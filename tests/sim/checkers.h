// Oracle: sees everything that happens on all nodes and checks, after each step, what must hold.
//
// It knows the one committed log (which the nodes only know in part), what every node has durably,
// and every answer that a client got. A broken promise is thrown as a Violation with one of these
// checkers' names:
//   election     one leader in a term; a term begins with a candidate; one vote in a term, for a
//                candidate, durable before it counts; only voters campaign, lead and are handed
//                the leadership
//   log          the same (index, term) is the same entry after the same entry; the membership in
//                effect is the log's latest; one change at a time
//   leader       a new leader has everything that is committed
//   commit       nodes agree on every committed entry; the commit index does not fall; a leader
//                commits by entries of its own term that a quorum has durably
//   durability   what was durable is there after a crash; an answer never promises more than the
//                disk has, nor what the leader does not have; what was acknowledged to a leader
//                stays so; what goes to the store is as of the end of an entry
//   digest       equal digests at equal index
//   snapshot     one is of a committed entry, with the rows, term and membership of that place;
//                installing one takes nothing back; no log is cut beyond a durable one
//   once         each request is in the log at most once, as its client has sent it, at the
//   revision
//                that it expects, and is answered by its own event; what was acknowledged is not
//                carried out any more
//   history      answers to clients fit one order, which respects real time, as the level of each
//                read promises; rows are no older than their node says
//   members      a change of members that is done is committed, and those asked for later follow it
//   join         who is told that it is a member is one, as of a committed entry
//   feed         events reach their readers in order, without a gap, as far as their level promises
//   frame        no answer is larger than what a client takes
//   rows         whose rows were changed notices, answers no reads of them and does not lead; no
//                other node takes its rows for different
//   stopped      no node ends by itself where its disk is whole
//   timing       check-quorum, transfers, the election timer and suspicion end when they must; a
//                leader takes nothing while it hands over, and hands over when its disk stalls
//   guard        a wiped disk is not counted under its old id; no other is called wiped
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "consensus/raft.h"
#include "engine/storage/log_locations.h"
#include "level_judge.h"
#include "plan.h"
#include "projections/apply/projector.h"
#include "request_judge.h"
#include "sim_network.h"
#include "trace.h"
#include "wire/client/client_message.h"
#include "wire/log/entry.h"
#include "wire/log/log_format.h"
#include "wire/log/snapshot_manifest.h"
#include "wire/model/event.h"

namespace bib::sim {

class SimNode;

class Oracle {
 public:
  Oracle(const Plan& plan, Trace& trace);

  void add_node(SimNode& node);

  // ---- from the nodes, while they run
  void on_founded(const wire::Bytes& entry, const wire::Membership& membership);
  // A node that asked to join was told that it is a member.
  void on_welcomed(const SimNode& node) const;
  void on_boot(SimNode& node, wire::HardState hard_state);
  // Somebody may come to be in it though nobody campaigns: one node was told of it, and may
  // believe.
  void expect_term(wire::Term term) { campaigned_.insert(term); }
  void before_message(SimNode& node, const wire::PeerMessage& message);
  void after_message(SimNode& node, const wire::PeerMessage& message);
  // The peer's connection has closed, or it has fallen silent.
  void before_suspicion(SimNode& node, wire::NodeId peer);
  void on_tick(SimNode& node);
  // The last of them is the entry `index`, in the leader's log or about to be.
  void on_change_asked(SimNode& node, wire::LogIndex index) { facts(node).change_asked = index; }
  // Somebody wants this one to have a vote.
  void on_promotion_asked(wire::NodeId peer) { promotions_asked_.insert(peer); }
  void on_transfer_asked(SimNode& node) {
    facts(node).ticks_transferring = 0;
    facts(node).ticks_since_asked = 0;
  }
  void on_sent(SimNode& node, const wire::PeerMessage& message);
  // Every entry of every log passes here, on its way to the disk.
  void on_written(SimNode& node, const consensus::LogWrite& write,
                  const std::vector<wire::Bytes>& entries);
  void on_applied(SimNode& node, const wire::Bytes& entry, const projections::StateMark& mark);
  // A delta on its way to the node's store.
  void on_stored(const SimNode& node, const projections::StateMark& mark) const;
  void after_step(SimNode& node);
  // Its step does not end; others may have been told of its commit index all the same.
  void on_death_in_turn(SimNode& node);
  // Rows that were found, made or fetched are those that the committed log gives.
  void check_rows_at(const SimNode& node, const projections::StateMark& mark) const;
  void check_snapshot(const SimNode& node, const wire::SnapshotManifest& snapshot) const;
  void on_installed(const SimNode& node, const projections::StateMark& before,
                    const projections::StateMark& after);
  // Raft figure 13, step 6: what follows the snapshot's last entry stays.
  void on_log_reset(const SimNode& node, wire::LogPosition position) const;
  // A row of this node is changed while it is down; and it has the rows of the log again.
  void on_rows_changed(const SimNode& node);
  void on_rows_rebuilt() { changed_rows_.reset(); }
  // It has applied what others have, and its digests are other ones.
  bool has_other_rows(const SimNode& node) const;
  void count_snapshot() { ++snapshots_; }
  void count_cut() { ++cuts_; }
  // A message of its sender's present run has come.
  void check_counted(const SimNode& node, const wire::PeerMessage& message) const;
  // A node's guard says that this one's disk has lost what it promised.
  void on_called_lost(const SimNode& node, wire::NodeId peer, const wire::Error& error) const;

  // ---- clients
  using Question = judges::LevelJudge::Question;
  using Seen = judges::LevelJudge::Seen;
  // What was completed before: everything that begins now comes after it.
  wire::LogIndex completed() const { return levels_.completed(); }
  // A command is about to be sent, for the first time.
  void on_command(const wire::Command& command) { requests_.sent(command); }
  // It was carried out. `began`: completed() when it was first sent.
  void on_write_answered(Time now, NodeIndex node, wire::LogIndex began,
                         const wire::Command& command, const wire::CommandReply& reply);
  // It was refused because its sequence is another one's, or late.
  void on_reused(const wire::Command& command) const;
  // It was answered, however: what it acknowledges is not carried out from now on.
  void on_acknowledged(const wire::Command& command) {
    requests_.acknowledged(command.client, command.acknowledged_below);
  }
  // What a read must show if it comes to that node now (docs/consistency.md).
  Question ask(Time now, const SimNode& node, wire::Consistency level, Time max_age) const;
  // `question`: as it was when the read came to the node that answers it.
  void on_read_answered(Time now, std::uint32_t run, const Question& question, const Seen& seen);
  void on_unset_answered(const Question& question, const std::string& key) const;
  // A feed sent `event` to a reader that has everything before `from`: it is the next one.
  void check_feed(const std::string& who, wire::Position from, wire::Position event) const;
  // Its reader has everything before `from`, and is told to continue at `to`: nothing is between.
  void check_feed_goes_on(const std::string& who, wire::Position from, wire::Position to) const;
  // The node says that its rows show everything that was acknowledged `age` ago, by its own clock.
  void on_age(const SimNode& node, Time now, Time age, wire::LogIndex applied) const;
  // A command was answered without an event: because nothing would change, or another revision was
  // expected. Some state since the command began must have been so.
  void on_unchanged(wire::LogIndex began, const std::string& key,
                    const std::optional<std::string>& value) const;
  void on_conflict(wire::LogIndex began, const std::string& key, wire::Revision current) const;
  // A change of members is asked for, and said to be done: committed, and of no time before.
  void on_change_requested(std::uint64_t request) { changes_requested_[request] = change_done_; }
  void on_change_answered(const SimNode& node, std::uint64_t request,
                          const wire::ChangeMembershipReply& reply);

  // ---- facts for the cluster
  wire::LogIndex committed() const { return wire::LogIndex(committed_.size()); }
  wire::LogIndex applied() const { return wire::LogIndex(digests_.size()); }
  std::uint64_t leaders_elected() const { return leaders_.size(); }
  std::uint64_t events() const { return events_; }
  std::uint64_t snapshots() const { return snapshots_; }
  std::uint64_t installations() const { return installations_; }
  std::uint64_t cuts() const { return cuts_; }

 private:
  struct Known {  // an entry that stands in some log
    wire::Term previous_term;
    std::uint64_t checksum = 0;
    std::optional<wire::Membership> membership;
  };
  struct Committed {
    wire::Term term;
    wire::Term committed_in;  // no later than this term
  };
  struct Facts {  // of one node
    wire::LogIndex commit;
    wire::Term term;
    consensus::Role role = consensus::Role::kFollower;
    wire::LogIndex membership_index;
    wire::NodeId vote;
    unsigned ticks_since_timer = 0;
    unsigned ticks_transferring = 0;
    unsigned ticks_since_asked = 1000;  // to hand over, which may begin a second later
    unsigned ticks_stalled = 0;         // a leader's, without handing over although it could
    wire::LogIndex transfer_end;        // where the log ended when the transfer began; 0: none
    wire::LogIndex change_asked;        // the last membership that was asked for stands there
    wire::LogIndex match;               // of the peer whose answer is being taken
    bool suspects = false;
    bool must_grant = false;
    unsigned pre_votes_in_turn = 0;
    wire::NodeId asker;
    std::vector<unsigned> ticks_since_heard;
  };

  // Terms may be far, where a member lies; runs are not so long.
  static std::uint64_t place(wire::LogIndex index, wire::Term term) {
    return index.value() << 40 | term.value();
  }
  Facts& facts(const SimNode& node);
  void check_base(const SimNode& node, const consensus::Raft& raft) const;
  void check_role(SimNode& node, const consensus::Raft& raft, Facts& facts);
  void check_leader_completeness(const SimNode& node, const consensus::Raft& raft) const;
  void check_commit(SimNode& node, const consensus::Raft& raft, Facts& facts);
  void check_own_commit(const SimNode& node, const consensus::Raft& raft, const Facts& known) const;
  void check_membership(const SimNode& node, const consensus::Raft& raft, Facts& facts) const;
  void check_vote_given(const SimNode& node, const consensus::Raft& raft, const Facts& facts) const;
  void check_campaign(const SimNode& node, const consensus::Raft& raft, const Facts& facts) const;
  void check_leader(const SimNode& node, const consensus::Raft& raft, Facts& facts) const;
  void check_stalled(const SimNode& node, const consensus::Raft& raft, Facts& facts) const;
  void check_promotion(const SimNode& node, const consensus::Raft& raft, wire::LogIndex index,
                       const wire::Membership& membership) const;
  void check_acknowledgement(const SimNode& node, const wire::PeerMessage& message) const;
  void check_vote(const SimNode& node, const wire::PeerMessage& message);
  bool quorum_has_durably(const wire::Membership& membership, wire::LogIndex index,
                          wire::Term term) const;
  bool has_in(const engine::LogLocations* log, const SimNode& node, wire::LogIndex index,
              wire::Term term) const;
  void check_verdict(const SimNode& node) const;
  void take_committed_entry(const wire::Bytes& entry);
  void take_event(const wire::Event& event, wire::Position position);

  const Plan& plan_;
  Trace& trace_;
  std::vector<SimNode*> nodes_;
  std::vector<Facts> facts_;

  std::unordered_map<std::uint64_t, Known> known_;
  std::vector<Committed> committed_;                   // of entry 1 + i
  std::vector<std::optional<std::uint64_t>> digests_;  // absent: known of changed rows only
  std::optional<NodeIndex> changed_rows_;
  std::vector<consensus::MembershipAt> memberships_;  // of the committed log, in order
  std::map<wire::Term, wire::NodeId> leaders_;
  std::set<wire::Term> campaigned_;
  std::set<std::pair<wire::Term, wire::NodeId>> campaigners_;
  std::map<std::tuple<wire::Term, wire::NodeId, std::uint64_t>, wire::NodeId> votes_;  // by log id
  judges::LevelJudge levels_;
  judges::RequestJudge requests_;
  std::vector<wire::Position> positions_;  // of the committed log's events, in order
  wire::LogIndex change_done_;  // the latest membership that somebody was told of as done
  std::map<std::uint64_t, wire::LogIndex> changes_requested_;  // what it was when they were asked
  std::set<wire::NodeId> promotions_asked_;
  std::uint64_t events_ = 0;
  std::uint64_t snapshots_ = 0;
  std::uint64_t installations_ = 0;
  std::uint64_t cuts_ = 0;
};

}  // namespace bib::sim
