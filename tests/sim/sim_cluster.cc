#include "sim_cluster.h"

#include <algorithm>
#include <utility>

#include "projections/apply/replay.h"
#include "wire/base/check.h"

namespace bib::sim {

using consensus::ChangeKind;
using consensus::MembershipChange;
using consensus::Raft;
using consensus::Role;
using wire::NodeId;

namespace {

constexpr std::uint64_t kHappeningsMax = 30'000'000;

wire::ClusterId make_cluster_id(wire::Prng& random) {
  wire::ClusterId id;
  for (std::uint8_t& byte : id.bytes) byte = static_cast<std::uint8_t>(random.below(256));
  return id;
}

}  // namespace

Outcome run_seed(std::uint64_t seed, bool print_trace, Scenario scenario) {
  const Plan plan = draw_plan(seed, scenario);
  if (print_trace) fmt::print("{}", describe(plan));
  SimCluster cluster(plan, print_trace);
  std::optional<Violation> violation;
  try {
    cluster.run();
  } catch (Violation& broken) {
    violation = std::move(broken);
  }
  Outcome outcome = cluster.outcome();
  outcome.violation = std::move(violation);
  return outcome;
}

SimCluster::SimCluster(const Plan& plan, bool print_trace)
    : plan_(plan),
      random_(plan.seed ^ 0x5eed'5eed'5eed'5eedULL),
      trace_(queue_, print_trace),
      oracle_(plan_, trace_),
      network_(queue_, random_, trace_, plan.network),
      workload_(queue_, random_, trace_, plan_, oracle_, network_),
      world_{queue_,  random_,  trace_,    plan_,
             oracle_, network_, workload_, make_cluster_id(random_)} {
  for (NodeIndex i = 0; i < plan_.voters + plan_.spares; ++i) {
    nodes_.push_back(std::make_unique<SimNode>(world_, i));
    network_.add_host(*nodes_.back());
    oracle_.add_node(*nodes_.back());
    workload_.add_node(*nodes_.back());
  }
}

SimCluster::~SimCluster() = default;

Outcome SimCluster::outcome() const {
  Outcome outcome;
  outcome.hash = trace_.hash();
  outcome.simulated = queue_.now();
  outcome.happenings = queue_.happened();
  outcome.committed = oracle_.committed().value();
  outcome.answered = workload_.answered();
  outcome.leaders = oracle_.leaders_elected();
  outcome.snapshots = oracle_.snapshots();
  outcome.installations = oracle_.installations();
  outcome.cuts = oracle_.cuts();
  return outcome;
}

void SimCluster::run() {
  if (plan_.scenario == Scenario::kTermJump) network_.lie_at(5 * kSecond);
  found();
  workload_.start();
  for (std::uint32_t fault = 0; fault < kFaultKinds; ++fault) schedule_fault(fault);
  run_until(plan_.duration);
  heal();
}

void SimCluster::run_until(Time end) {
  while (!queue_.empty() && queue_.next_time() <= end) {
    queue_.run_next();
    if (queue_.happened() > kHappeningsMax) {
      violated("healing", "{} happenings and no end", queue_.happened());
    }
  }
}

wire::Member SimCluster::member(NodeIndex node) const {
  return member_of(node, nodes_[node]->log_id());
}

// All founders begin with the same first entry, or one founds and the others ask to join; the
// spares know nothing.
void SimCluster::found() {
  wire::Membership membership;
  for (NodeIndex i = 0; i < plan_.voters; ++i) {
    membership.voters.push_back(id_of(i));
    membership.members.push_back(member(i));
  }
  for (const auto& node : nodes_) {
    if (plan_.grows && node->index() == 0) {
      node->found_alone();
    } else if (plan_.grows || (node->index() >= plan_.voters && plan_.spares_join)) {
      node->join_first();
    } else if (node->index() < plan_.voters) {
      node->found(membership);
    }
    if (plan_.faults.clock_rates) {
      node->set_tick(random_.between(kTickTime * 7 / 10, kTickTime * 14 / 10));
    }
    node->start_later(random_.below(200 * kMillisecond));
  }
}

// ---- faults

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
    case kRot:
      return faults.rot;
    case kWipe:
      return faults.wipe;
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
      trace_.line("", "all machines lose their power");
      for (const auto& each : nodes_) stop_node(*each, Death::kPower);
      return;
    case kPartition:
      return start_partition();
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
      trace_.line(node->name(), "its disk is nearly full");
      node->limit_space(random_.below(100'000));
      queue_.after(random_.between(500 * kMillisecond, 4 * kSecond), *this, kSpaceAgain,
                   node->index());
      return;
    case kRot:
      return rot_some_disk();
    case kWipe:
      return wipe_some_disk();
    case kStop:
      return node->stop(random_.between(5 * kMillisecond, 3 * kSecond));
    case kMembership:
      return random_.below(2) == 0 ? change_membership() : ask_for_change();
    default: {
      if (SimNode* leader = some_leader()) {
        // Mostly to whom it likes; else to anybody, also to who is no voter or not there.
        std::optional<NodeId> target;
        if (random_.below(3) == 0)
          target = id_of(static_cast<NodeIndex>(random_.below(nodes_.size())));
        trace_.line(leader->name(), "is asked to hand over to n{}",
                    target.value_or(NodeId()).value());
        wire::TransferLeadership request;
        request.target = target.value_or(NodeId());
        oracle_.on_transfer_asked(*leader);
        send(*leader, wire::FrameKind::kTransferLeadership, encoder_.encode(request));
      }
    }
  }
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
  if (death == Death::kPower && random_.chance_ppm(plan_.faults.relapse_ppm)) {
    queue_.after(down + random_.between(kMillisecond, 100 * kMillisecond), *this, kRelapse,
                 node.index());
  }
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
      between([&](NodeIndex from, NodeIndex to) { return from == one || to == one; });
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

void SimCluster::pause_some_node() {
  SimNode* leader = some_leader();
  SimNode* node = leader != nullptr && random_.below(2) == 0 ? leader : some_running();
  node->pause();
  queue_.after(random_.between(10 * kMillisecond, 5 * kSecond), *this, kResume, node->index());
}

// ---- what may not come back

bool SimCluster::keeps_majority(const wire::Membership& membership,
                                const std::vector<NodeIndex>& without) const {
  for (const std::vector<NodeId>* half : {&membership.voters, &membership.voters_outgoing}) {
    if (half->empty()) continue;
    const auto left = std::count_if(half->begin(), half->end(), [&](NodeId id) {
      const NodeIndex index = index_of(id);
      return !nodes_[index]->is_lost() && nodes_[index]->is_member_of(membership) &&
             std::find(without.begin(), without.end(), index) == without.end();
    });
    if (static_cast<std::size_t>(left) <= half->size() / 2) return false;
  }
  return true;
}

// Only when all others run: the membership of a node that is down is not known. And not without a
// learner that gets its vote by itself: the quorum would grow by one that is gone. The membership
// in effect may be lost with those that have its entry, and then the one before it counts again.
bool SimCluster::may_be_without(const std::vector<NodeIndex>& without) const {
  for (const NodeIndex node : without) {
    if (may_be_promoted(id_of(node))) return false;
  }
  return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
    if (node->is_lost() || node->is_wiped() || node->waits_to_join()) return true;
    if (!node->is_running()) return false;
    const Raft& raft = *node->raft();
    const consensus::MembershipAt* committed = raft.committed_membership();
    return keeps_majority(raft.membership(), without) &&
           (committed == nullptr || keeps_majority(committed->membership, without));
  });
}

bool SimCluster::may_be_promoted(NodeId id) const {
  return std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
    if (!node->is_running()) return false;
    const wire::Membership& membership = node->raft()->membership();
    const wire::Member* member = membership.find(id);
    return member != nullptr && member->wants_vote && !membership.is_voter(id);
  });
}

void SimCluster::rot_some_disk() {
  SimNode* node = some_running();
  if (!may_lose_a_disk() || !may_be_without({node->index()})) return;
  last_loss_ = queue_.now();
  stop_node(*node, random_.below(2) == 0 ? Death::kKilled : Death::kPower);
  (void)node->rot();
}

void SimCluster::wipe_some_disk() {
  SimNode* node = some_running();
  if (node->is_wiped() || !may_lose_a_disk() || !may_be_without({node->index()})) return;
  last_loss_ = queue_.now();
  node->die(Death::kPower, std::nullopt);
  node->wipe();
  node->start_later(random_.between(5 * kMillisecond, 2 * kSecond));
}

// ---- membership

// Whoever has lost its disk is removed, and joins anew, more often than chance has it.
NodeIndex SimCluster::node_to_change(const wire::Membership& membership) {
  const auto any = static_cast<NodeIndex>(random_.below(nodes_.size()));
  if (plan_.faults.wipe == 0 || random_.below(2) == 0) return any;
  for (const auto& node : nodes_) {
    const bool is_named = membership.find(node->id()) != nullptr;
    if (node->is_wiped() || (is_named && !node->is_member_of(membership))) return node->index();
  }
  return any;
}

std::vector<MembershipChange> SimCluster::random_changes(const wire::Membership& membership) {
  std::vector<MembershipChange> changes;
  if (membership.is_joint()) return changes;  // leave
  const std::uint64_t count = 1 + random_.below(random_.below(3) == 0 ? 3 : 1);
  for (std::uint64_t i = 0; i < count; ++i) {
    const NodeIndex index = node_to_change(membership);
    if (nodes_[index]->waits_to_join()) continue;
    MembershipChange change;
    change.member = member(index);
    change.member.wants_vote = random_.below(4) != 0;
    const wire::Member* line = membership.find(id_of(index));
    const bool is_member = line != nullptr;
    // Whoever asks for a change of a member does not know its log, nor may he replace it.
    if (is_member) change.member.log_id = line->log_id;
    if (nodes_[index]->is_lost() || (is_member && !nodes_[index]->is_member_of(membership))) {
      change.kind = ChangeKind::kRemove;
    } else if (!is_member) {
      change.kind = random_.below(3) == 0 ? ChangeKind::kAddVoter : ChangeKind::kAddLearner;
    } else {
      switch (random_.below(5)) {
        case 0:
          change.kind = ChangeKind::kAddLearner;
          break;
        case 1:
          change.kind = ChangeKind::kAddVoter;
          break;
        case 2:
          change.kind = ChangeKind::kUpdate;
          break;
        default:
          change.kind = ChangeKind::kRemove;
          break;
      }
    }
    changes.push_back(std::move(change));
  }
  return changes;
}

// A change that was asked for may be made a second later: meanwhile no disk is taken, since whoever
// counts on it may not have noticed yet.
bool SimCluster::may_lose_a_disk() const {
  return last_change_ == 0 || queue_.now() > last_change_ + 3 * kSecond;
}

void SimCluster::send(SimNode& node, wire::FrameKind kind, wire::ByteView body) {
  const engine::Asker asker{static_cast<engine::SessionId>(2000), ++requests_};
  node.on_request(asker, kind, {body.begin(), body.end()});
}

// As `bib cluster member` does.
void SimCluster::ask_for_change() {
  SimNode* leader = some_leader();
  // A leader takes a voter for healthy until it has missed its answers for up to two timeouts.
  const Time blind = 3 * kSecond + 2 * kTickTime * plan_.raft.election_ticks_min;
  if (leader == nullptr || (last_loss_ != 0 && queue_.now() < last_loss_ + blind)) return;
  const wire::Membership& membership = leader->raft()->membership();
  if (membership.members.empty()) return;
  wire::ChangeMembership request;
  request.explicit_leave = random_.below(4) == 0;
  const std::uint64_t count = 1 + random_.below(random_.below(3) == 0 ? 2 : 1);
  for (std::uint64_t i = 0; i < count && !membership.is_joint(); ++i) {
    const wire::Member& member = membership.members[random_.below(membership.members.size())];
    wire::MemberChange change;
    change.kind = static_cast<wire::MemberChangeKind>(random_.between(1, 4));
    change.id = member.id;
    if (change.kind == wire::MemberChangeKind::kAddVoter) oracle_.on_promotion_asked(member.id);
    request.changes.push_back(change);
  }
  const bool removes_all =
      std::all_of(membership.voters.begin(), membership.voters.end(), [&](NodeId id) {
        return std::any_of(request.changes.begin(), request.changes.end(), [&](const auto& one) {
          return one.id == id && one.kind != wire::MemberChangeKind::kAddVoter;
        });
      });
  if (removes_all && !request.changes.empty()) return;
  last_change_ = queue_.now();
  trace_.line("", "{} is asked for a change of {} members", leader->name(), request.changes.size());
  send(*leader, wire::FrameKind::kChangeMembership, encoder_.encode(request));
}

void SimCluster::change_membership() {
  SimNode* leader = some_leader();
  if (leader == nullptr) return;
  const Raft& raft = *leader->raft();
  const auto changes = random_changes(raft.membership());
  const auto next = leader->raft()->prepare_membership_change(changes);
  if (!next || !keeps_majority(*next, {})) return;
  const wire::Status status = leader->change_membership(changes);
  for (const MembershipChange& change : changes) {
    SimNode& node = *nodes_[index_of(change.member.id)];
    if (!status || !node.is_wiped() || !node.is_member_of(*next)) continue;
    trace_.line(node.name(), "joins anew under its old id");
    node.join_anew();
  }
  trace_.line("", "a change of membership is asked for: {}",
              status ? "taken" : status.error().message);
}

// ---- healing

void SimCluster::heal() {
  trace_.line("", "the faults end");
  healing_ = true;
  world_.faults_are_on = false;
  network_.heal();
  for (const auto& node : nodes_) {
    node->heal();
    node->start();
  }
  workload_.heal();
  if (plan_.leaves_minority_dead) {
    // The same must work with a bare majority.
    std::vector<NodeIndex> dead;
    std::vector<NodeIndex> order;
    for (NodeIndex i = 0; i < nodes_.size(); ++i) order.push_back(i);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random_.below(i)]);
    for (const NodeIndex candidate : order) {
      dead.push_back(candidate);
      if (!may_be_without(dead)) dead.pop_back();
    }
    for (const NodeIndex node : dead) nodes_[node]->die(Death::kKilled, std::nullopt);
    converge(false, "a bare majority");
    for (const NodeIndex node : dead) nodes_[node]->start();
  }
  converge(true, "the whole cluster");
  check_rows();
}

// As long as nodes get on with catching up, they may take their time, up to a point.
void SimCluster::converge(bool all, const char* what) {
  const Time last = queue_.now() + 10 * plan_.heal_bound();
  Time end = queue_.now() + plan_.heal_bound();
  std::uint64_t progress = 0;
  workload_.probe();
  while (!has_converged(all)) {
    const Time step = queue_.now() + 10 * kTickTime;
    if (const std::uint64_t now = progress_of_all(); now > progress) {
      progress = now;
      end = std::min(last, queue_.now() + plan_.heal_bound());
    }
    if (step > end) {
      violated("healing", "{} does not converge within {} s: {}", what,
               plan_.heal_bound() / kSecond, why_not_converged(all));
    }
    queue_.after(10 * kTickTime, *this, kFaultKinds);  // so that time passes in any case
    run_until(step);
  }
  trace_.line("", "{} has converged", what);
}

std::uint64_t SimCluster::progress_of_all() const {
  std::uint64_t sum = 0;
  for (const auto& node : nodes_) {
    if (!node->is_running()) continue;
    sum += node->mark()->applied_index.value() + node->raft()->durable_index().value();
  }
  return sum;
}

bool SimCluster::has_converged(bool all) const {
  return why_not_converged(all).empty();
}

std::string SimCluster::why_not_converged(bool all) const {
  if (!workload_.is_quiet()) return "a client waits for an answer";
  const SimNode* leader = nullptr;
  for (const auto& node : nodes_) {
    if (!node->is_running() || node->raft()->role() != Role::kLeader) continue;
    if (leader == nullptr || node->raft()->term() > leader->raft()->term()) leader = node.get();
  }
  if (leader == nullptr) return "nobody leads";
  const Raft& raft = *leader->raft();
  if (raft.commit() != raft.last_index()) return "the leader has entries that are not committed";
  if (raft.membership().is_joint() && raft.membership().auto_leave) return "joint membership";
  for (const auto& node : nodes_) {
    if (!node->is_member_of(raft.membership()) || node->is_lost()) continue;
    if (!node->is_running()) {
      if (all) return fmt::format("{} does not run", node->name());
      continue;
    }
    if (*node->mark() == *leader->mark()) continue;
    std::string text = fmt::format("{} has applied {}, {} leads and has applied {}", node->name(),
                                   node->mark()->applied_index.value(), leader->name(),
                                   leader->mark()->applied_index.value());
    for (const consensus::PeerStatus& peer : raft.peers()) {
      if (peer.id != node->id()) continue;
      static constexpr const char* kStates[] = {"probe", "replicate", "snapshot"};
      text += fmt::format(" (there: {}, match {}, next {}, {} in flight)",
                          kStates[static_cast<int>(peer.state)], peer.match.value(),
                          peer.next.value(), peer.messages_in_flight);
    }
    return text;
  }
  return {};
}

// The digests are those of the rows.
void SimCluster::check_rows() const {
  for (const auto& node : nodes_) {
    if (!node->is_running()) continue;
    if (const auto status = node->check_rows(); !status) {
      violated("digest", "{}: {}", node->name(), status.error().message);
    }
  }
}

}  // namespace bib::sim
