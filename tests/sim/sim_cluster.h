// SimCluster: one run: some nodes, the network between them, clients, and the faults that the plan
// allows; first a phase with faults, then healing, within a bound.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkers.h"
#include "plan.h"
#include "sim_copies.h"
#include "sim_network.h"
#include "sim_node.h"
#include "violation.h"
#include "workload.h"

namespace bib::sim {

struct Outcome {
  std::uint64_t hash = 0;  // of everything that happened
  Time simulated = 0;
  std::uint64_t happenings = 0;
  std::uint64_t committed = 0;  // entries
  std::uint64_t answered = 0;   // clients' requests
  std::uint64_t leaders = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t installations = 0;
  std::uint64_t cuts = 0;  // of logs
  std::optional<Violation> violation;
};

// Runs one seed from beginning to end.
Outcome run_seed(std::uint64_t seed, bool print_trace);

class SimCluster final : public EventTarget {
 public:
  SimCluster(const Plan& plan, bool print_trace);
  ~SimCluster() override;

  // Throws Violation.
  void run();
  Outcome outcome() const;

  void on_event(std::uint32_t code, std::uint64_t argument) override;

 private:
  enum Code : std::uint32_t {
    kKill,
    kPower,
    kBlackout,
    kPartition,
    kReset,
    kPause,
    kClockJump,
    kDiskStall,
    kSyncFailure,
    kDiskFull,
    kDescriptors,
    kRot,
    kSnapshotRot,
    kRowsRot,
    kWipe,
    kCopy,
    kStop,
    kMembership,
    kTransfer,
    kFaultKinds,
    kPartitionEnds,
    kCutOff,
    kResume,
    kSpaceAgain,
    kRelapse,
  };

  Time mean_of(std::uint32_t fault) const;
  void schedule_fault(std::uint32_t fault);
  void do_fault(std::uint32_t fault);
  void fill_disk(SimNode& node);
  void run_until(Time end);

  void found();
  void stop_node(SimNode& node, Death death);
  void stop_all();
  void start_partition();
  void isolate(NodeIndex one);
  // Now if it would do; otherwise looks again that many times.
  void cut_off_leader(std::uint64_t tries);
  void block(NodeIndex from, NodeIndex to) { network_.block(from, to); }
  void pause_some_node();
  void rot_some_disk();
  void damage_some_snapshot();
  void damage_some_rows();
  void wipe_some_disk();
  void change_membership();
  void ask_for_change();
  void ask_to_hand_over();
  bool may_lose_a_disk() const;
  void send(SimNode& node, wire::FrameKind kind, wire::ByteView body);
  NodeIndex node_to_change(const wire::Membership& membership);
  std::vector<consensus::MembershipChange> random_changes(const wire::Membership& membership);
  SimNode* some_running();
  SimNode* some_leader();
  // Every membership that some node follows keeps a majority without these nodes, and the lost and
  // wiped ones.
  bool may_be_without(const std::vector<NodeIndex>& nodes) const;
  bool can_elect_without(const std::vector<NodeIndex>& nodes) const;
  void note_loss();
  bool keeps_majority(const wire::Membership& membership,
                      const std::vector<NodeIndex>& without) const;
  // It is a learner that gets its vote without being asked for.
  bool may_be_promoted(wire::NodeId id) const;
  wire::Member member(NodeIndex node) const;

  void heal();
  void converge(bool all, const char* what);
  bool has_converged(bool all) const;
  std::uint64_t progress_of_all() const;
  std::string why_not_converged(bool all) const;
  void check_rows() const;
  // sim_cluster_rows.cc
  void change_rows();
  SimNode* node_to_change() const;
  bool can_compare(const SimNode& node) const;
  void write_key(const std::string& key);
  bool await_difference(SimNode& node, bool digest_too);
  void check_refusals(SimNode& node);

  const Plan plan_;
  EventQueue queue_;
  wire::Prng random_;
  Trace trace_;
  Oracle oracle_;
  SimNetwork network_;
  SimCopies copies_;
  Workload workload_;
  World world_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  wire::ClientEncoder encoder_;
  std::uint64_t requests_ = 0;
  std::uint64_t key_writes_ = 0;
  Time last_change_ = 0;
  Time last_loss_ = 0;       // of a disk
  wire::Term term_of_loss_;  // and the latest term then
  bool healing_ = false;
};

}  // namespace bib::sim
