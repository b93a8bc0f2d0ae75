#include "nemesis.h"

#include <signal.h>

#include <chrono>
#include <utility>

namespace bib::nemesis {
namespace {

// A number below `bound` from the lowest part of a choice, which goes on without it.
std::uint64_t take(std::uint64_t& choice, std::uint64_t bound) {
  const std::uint64_t taken = choice % bound;
  choice /= bound;
  return taken;
}

std::string node_name(std::size_t node) {
  return "node" + std::to_string(node + 1);
}

}  // namespace

void Nemesis::tell(FaultKind kind, const std::string& what) {
  ++faults_;
  recorder_.fault(name_of(kind), what);
}

std::size_t Nemesis::choose(std::uint64_t& choice) {
  const bool wants_leader = take(choice, 2) == 0;
  const std::size_t any = take(choice, cluster_.size());
  return wants_leader ? cluster_.leader().value_or(any) : any;
}

void Nemesis::begin(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::kKill:
      return kill(fault.choice);
    case FaultKind::kPause:
      return pause(fault.choice);
    case FaultKind::kPartition:
      return partition(fault.choice);
    case FaultKind::kSlowDisk:
      return slow_disk(fault.choice);
  }
}

void Nemesis::end(const Fault& fault) {
  recorder_.fault("end-" + name_of(fault.kind), "");
  switch (fault.kind) {
    case FaultKind::kKill:
      return restart_killed();
    case FaultKind::kPause:
      return resume_paused();
    case FaultKind::kPartition:
      return network_.mend();
    case FaultKind::kSlowDisk:
      return quicken_disks();
  }
}

// One node; a quarter of the time several, and a quarter all of them. They start together again.
void Nemesis::kill(std::uint64_t choice) {
  const std::uint64_t how = take(choice, 4);
  const std::size_t first = choose(choice);
  const std::size_t nodes = cluster_.size();
  const std::size_t count = how == 0 ? nodes : how == 1 ? 2 + take(choice, nodes - 2) : 1;
  std::string names;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t node = (first + i) % nodes;
    if (paused_.contains(node)) continue;
    recorder_.node_ends(node);
    cluster_.kill_9(node);
    recorder_.node_ends(node);
    killed_.insert(node);
    names += (names.empty() ? "" : " ") + node_name(node);
  }
  tell(FaultKind::kKill, names);
}

void Nemesis::pause(std::uint64_t choice) {
  const std::size_t node = choose(choice);
  if (killed_.contains(node)) return;
  cluster_.process(node).signal(SIGSTOP);
  paused_.insert(node);
  tell(FaultKind::kPause, node_name(node));
}

void Nemesis::cut_both_ways(std::size_t a, std::size_t b) {
  network_.cut(a, b);
  network_.cut(b, a);
}

void Nemesis::partition(std::uint64_t choice) {
  const std::uint64_t shape = take(choice, network_.can_cut_one_way() ? 5 : 3);
  const std::size_t first = choose(choice);
  const std::size_t nodes = cluster_.size();
  const auto other = [&](std::size_t i) { return (first + i) % nodes; };
  const std::size_t half = nodes / 2;
  switch (shape) {
    case 0:
      for (std::size_t i = 1; i < nodes; ++i) cut_both_ways(first, other(i));
      return tell(FaultKind::kPartition, node_name(first) + " alone");
    case 1:
      // `first` and the next ones are the smaller half.
      for (std::size_t a = 0; a < half; ++a) {
        for (std::size_t b = half; b < nodes; ++b) cut_both_ways(other(a), other(b));
      }
      return tell(FaultKind::kPartition,
                  std::to_string(half) + " nodes from " + node_name(first) + " on, and the rest");
    case 2:
      // Two sides that do not see each other, and `first`, which sees both.
      for (std::size_t a = 1; a <= half; ++a) {
        for (std::size_t b = half + 1; b < nodes; ++b) cut_both_ways(other(a), other(b));
      }
      return tell(FaultKind::kPartition, node_name(first) + " is a bridge");
    case 3:
      for (std::size_t i = 1; i < nodes; ++i) network_.cut(first, other(i));
      return tell(FaultKind::kPartition, node_name(first) + " is not heard");
    default:
      for (std::size_t i = 1; i < nodes; ++i) network_.cut(other(i), first);
      return tell(FaultKind::kPartition, node_name(first) + " does not hear");
  }
}

// One node, or a quarter of the time all: slow, or standing still for as long as the fault lasts.
void Nemesis::slow_disk(std::uint64_t choice) {
  const bool hits_all = take(choice, 4) == 0;
  const bool stands_still = take(choice, 3) == 0;
  const std::uint64_t delay_ms = stands_still ? 60'000 : 5 + take(choice, 300);
  const std::size_t node = choose(choice);
  for (std::size_t i = 0; i < disks_.size(); ++i) {
    if (hits_all || i == node) disks_[i]->set(std::chrono::milliseconds(delay_ms));
  }
  tell(FaultKind::kSlowDisk,
       (hits_all ? "all" : node_name(node)) +
           (stands_still ? " stand still" : ": " + std::to_string(delay_ms) + " ms"));
}

void Nemesis::restart_killed() {
  for (const std::size_t node : killed_) cluster_.start(node);
  killed_.clear();
}

void Nemesis::resume_paused() {
  for (const std::size_t node : paused_) cluster_.process(node).signal(SIGCONT);
  paused_.clear();
}

void Nemesis::quicken_disks() {
  for (auto& disk : disks_) disk->set(std::chrono::microseconds(0));
}

void Nemesis::heal() {
  network_.mend();
  quicken_disks();
  resume_paused();
  restart_killed();
  recorder_.fault("heal", "");
}

std::vector<std::size_t> Nemesis::dead_by_themselves() {
  std::vector<std::size_t> dead;
  for (std::size_t node = 0; node < cluster_.size(); ++node) {
    if (!killed_.contains(node) && !cluster_.process(node).is_running()) dead.push_back(node);
  }
  return dead;
}

}  // namespace bib::nemesis
