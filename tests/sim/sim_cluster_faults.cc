// The faults: when they come, and what they do.
#include <algorithm>
#include <optional>
#include <vector>

#include "sim_cluster.h"

namespace bib::sim {

using consensus::Role;
using wire::NodeId;

Time SimCluster::mean_of(std::uint32_t fault) const {
  const FaultPlan& faults = plan_.faults;
  switch (fault) {
    case kKill:
      return faults.kill;
    case kPower:
      return faults.power;
    case kBlackout:
      return faults.blackout;
    case kPartition:
      return faults.partition;
    case kReset:
      return faults.reset;
    case kPause:
      return faults.pause;
    case kClockJump:
      return faults.clock_jump;
    case kDiskStall:
      return faults.disk_stall;
    case kSyncFailure:
      return faults.sync_failure;
    case kDiskFull:
      return faults.disk_full;
    case kDescriptors:
      return faults.descriptors;
    case kRot:
      return faults.rot;
    case kSnapshotRot:
      return faults.snapshot_rot;
    case kRowsRot:
      return faults.rows_rot;
    case kWipe:
      return faults.wipe;
    case kCopy:
      return faults.copy;
    case kMembership:
      return faults.membership;
    case kTransfer:
      return faults.transfer;
    case kStop:
      return faults.stop;
    default:
      return 0;
  }
}

void SimCluster::schedule_fault(std::uint32_t fault) {
  const Time mean = mean_of(fault);
  if (mean != 0) queue_.after(random_.below(2 * mean), *this, fault);
}

void SimCluster::on_event(std::uint32_t code, std::uint64_t argument) {
  if (healing_) return;
  if (code < kFaultKinds) {
    do_fault(code);
    return schedule_fault(code);
  }
  switch (code) {
    case kPartitionEnds:
      trace_.line("", "the partition ends");
      return network_.unblock_all();
    case kCutOff:
      return cut_off_leader(argument);
    case kResume:
      return nodes_[argument]->resume();
    case kRelapse:
      return stop_node(*nodes_[argument], Death::kPower);
    default:
      return nodes_[argument]->limit_space(std::nullopt);
  }
}

void SimCluster::do_fault(std::uint32_t fault) {
  SimNode* node = some_running();
  if (node == nullptr) return;
  switch (fault) {
    case kKill:
    case kPower: {
      const Death death = fault == kKill ? Death::kKilled : Death::kPower;
      // Mostly one; the one that leads more often than chance has it.
      SimNode* leader = some_leader();
      stop_node(leader != nullptr && random_.below(3) == 0 ? *leader : *node, death);
      while (random_.below(4) == 0) {
        if (SimNode* another = some_running()) stop_node(*another, death);
      }
      return;
    }
    case kBlackout:
      return stop_all();
    case kPartition:
      return plan_.faults.cuts_off_leaders ? cut_off_leader(kSecond / kMillisecond)
                                           : start_partition();
    case kReset: {
      const auto other = static_cast<NodeIndex>(random_.below(nodes_.size()));
      if (other == node->index()) return;
      trace_.line("", "connections between {} and n{} are reset", node->name(), other + 1);
      return network_.reset(node->index(), other);
    }
    case kPause:
      return pause_some_node();
    case kClockJump: {
      const Time span = random_.below(2) == 0 ? 8 * 3600 * kSecond : kSecond;
      return node->jump_clock(static_cast<std::int64_t>(random_.below(span)) -
                              static_cast<std::int64_t>(span / 2));
    }
    case kDiskStall:
      trace_.line(node->name(), "its disk stalls");
      return node->stall_disk(random_.between(50 * kMillisecond, 6 * kSecond));
    case kSyncFailure:
      trace_.line(node->name(), "its next sync fails");
      return node->fail_next_sync(random_.below(2) == 0);
    case kDiskFull:
      return fill_disk(*node);
    case kDescriptors:
      trace_.line(node->name(), "it has no descriptor left");
      return node->take_descriptors();
    case kRot:
      return rot_some_disk();
    case kSnapshotRot:
      return damage_some_snapshot();
    case kRowsRot:
      return damage_some_rows();
    case kWipe:
      return wipe_some_disk();
    case kCopy:
      return copies_.start(static_cast<NodeIndex>(random_.below(nodes_.size())));
    case kStop:
      return node->stop(random_.between(5 * kMillisecond, 3 * kSecond));
    case kMembership:
      return random_.below(2) == 0 ? change_membership() : ask_for_change();
    default:
      return ask_to_hand_over();
  }
}

// Mostly to whom the leader likes; else to anybody, also to who is no voter or not there.
void SimCluster::ask_to_hand_over() {
  SimNode* leader = some_leader();
  if (leader == nullptr) return;
  std::optional<NodeId> target;
  if (random_.below(3) == 0) target = id_of(static_cast<NodeIndex>(random_.below(nodes_.size())));
  trace_.line(leader->name(), "is asked to hand over to n{}", target.value_or(NodeId()).value());
  wire::TransferLeadership request;
  request.target = target.value_or(NodeId());
  oracle_.on_transfer_asked(*leader);
  send(*leader, wire::FrameKind::kTransferLeadership, encoder_.encode(request));
}

void SimCluster::fill_disk(SimNode& node) {
  trace_.line(node.name(), "its disk is nearly full");
  node.limit_space(random_.below(100'000));
  queue_.after(random_.between(500 * kMillisecond, 4 * kSecond), *this, kSpaceAgain, node.index());
}

SimNode* SimCluster::some_running() {
  std::vector<SimNode*> running;
  for (const auto& node : nodes_) {
    if (node->is_running() && !node->is_paused()) running.push_back(node.get());
  }
  return running.empty() ? nullptr : running[random_.below(running.size())];
}

SimNode* SimCluster::some_leader() {
  std::vector<SimNode*> leaders;
  for (const auto& node : nodes_) {
    if (node->is_running() && !node->is_paused() && node->raft()->role() == Role::kLeader) {
      leaders.push_back(node.get());
    }
  }
  return leaders.empty() ? nullptr : leaders[random_.below(leaders.size())];
}

void SimCluster::stop_node(SimNode& node, Death death) {
  if (!node.is_running()) return;
  const Time down = random_.below(3) == 0 ? random_.between(kSecond, 8 * kSecond)
                                          : random_.between(5 * kMillisecond, kSecond);
  node.die(death, down);
  // Its machine is replaced, and the connections of the old one seem to be there.
  if (plan_.faults.copy != 0 && death == Death::kPower && random_.below(4) == 0) {
    copies_.start(node.index());
  }
  if (death == Death::kPower && random_.chance_ppm(plan_.faults.relapse_ppm)) {
    queue_.after(down + random_.between(kMillisecond, 100 * kMillisecond), *this, kRelapse,
                 node.index());
  }
}

void SimCluster::stop_all() {
  const bool power = random_.below(2) == 0;
  trace_.line("", "{}", power ? "all machines lose their power" : "all processes are killed");
  for (const auto& each : nodes_) stop_node(*each, power ? Death::kPower : Death::kKilled);
}

void SimCluster::start_partition() {
  network_.unblock_all();
  const auto count = static_cast<NodeIndex>(nodes_.size());
  const auto between = [&](auto&& are_apart) {
    for (NodeIndex from = 0; from < count; ++from) {
      for (NodeIndex to = 0; to < count; ++to) {
        if (from != to && are_apart(from, to)) block(from, to);
      }
    }
  };
  std::vector<bool> side(count);
  for (NodeIndex i = 0; i < count; ++i) side[i] = random_.below(2) == 0;
  SimNode* leader = some_leader();
  const NodeIndex one = leader != nullptr && random_.below(2) == 0
                            ? leader->index()
                            : static_cast<NodeIndex>(random_.below(count));
  switch (random_.below(6)) {
    case 0:
      trace_.line("", "partition: n{} alone", one + 1);
      isolate(one);
      break;
    case 1:
      trace_.line("", "partition: two halves");
      between([&](NodeIndex from, NodeIndex to) { return side[from] != side[to]; });
      break;
    case 2:
      trace_.line("", "partition: n{} is the bridge between two halves", one + 1);
      between([&](NodeIndex from, NodeIndex to) {
        return from != one && to != one && side[from] != side[to];
      });
      break;
    case 3:
      trace_.line("", "partition: n{} hears nobody", one + 1);
      between([&](NodeIndex, NodeIndex to) { return to == one; });
      break;
    case 4:
      trace_.line("", "partition: nobody hears n{}", one + 1);
      between([&](NodeIndex from, NodeIndex) { return from == one; });
      break;
    default:
      trace_.line("", "partition: some links, one way");
      between([&](NodeIndex, NodeIndex) { return random_.below(3) == 0; });
      break;
  }
  queue_.after(random_.between(50 * kMillisecond, 6 * kSecond), *this, kPartitionEnds);
}

void SimCluster::isolate(NodeIndex one) {
  for (NodeIndex other = 0; other < nodes_.size(); ++other) {
    if (other == one) continue;
    block(one, other);
    block(other, one);
  }
}

// When its last entry is on its way to being committed, so that the others commit it and this one
// hears of it late.
void SimCluster::cut_off_leader(std::uint64_t tries) {
  if (tries == 0) return start_partition();
  const SimNode* leader = some_leader();
  const auto has_last_entry = [&](const auto& node) {
    return node->is_running() && node->raft()->last_index() >= leader->raft()->last_index();
  };
  const auto having =
      leader == nullptr ? 0 : std::count_if(nodes_.begin(), nodes_.end(), has_last_entry);
  if (leader == nullptr || leader->raft()->commit() >= leader->raft()->last_index() ||
      2 * having <= static_cast<std::ptrdiff_t>(nodes_.size())) {
    queue_.after(kMillisecond, *this, kCutOff, tries - 1);
    return;
  }
  network_.unblock_all();
  trace_.line("", "partition: {} alone, which leads", leader->name());
  isolate(leader->index());
  // Mostly before their connections are given up.
  queue_.after(random_.between(kSecond, 2 * kSecond), *this, kPartitionEnds);
}

void SimCluster::pause_some_node() {
  SimNode* leader = some_leader();
  SimNode* node = leader != nullptr && random_.below(2) == 0 ? leader : some_running();
  node->pause();
  queue_.after(random_.between(10 * kMillisecond, 5 * kSecond), *this, kResume, node->index());
}

}  // namespace bib::sim
