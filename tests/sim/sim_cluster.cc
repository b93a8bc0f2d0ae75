#include "sim_cluster.h"

#include <utility>

namespace bib::sim {

namespace {

constexpr std::uint64_t kHappeningsMax = 30'000'000;

wire::ClusterId make_cluster_id(wire::Prng& random) {
  wire::ClusterId id;
  for (std::uint8_t& byte : id.bytes) byte = static_cast<std::uint8_t>(random.below(256));
  return id;
}

}  // namespace

Outcome run_seed(std::uint64_t seed, bool print_trace) {
  const Plan plan = draw_plan(seed);
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
      copies_(queue_, random_, trace_, network_),
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

}  // namespace bib::sim
