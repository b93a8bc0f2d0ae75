#include "scenarios.h"

#include <algorithm>
#include <array>

namespace bib::sim {

namespace {

constexpr std::array kScenarios = {
    ScenarioInfo{
        Scenario::kStaleAfterStart, "stale-after-start", "history",
        "stale reads go back when a node is started again: its rows are older than what it "
        "had shown"},
    ScenarioInfo{Scenario::kClockAndExpiry, "clock-and-expiry", "once",
                 "a clock that jumps lets records of requests expire while they are repeated"},
    ScenarioInfo{Scenario::kSessions, "sessions", "bound",
                 "more records of requests come than expire, whatever limits.sessions_max says"},
};

// Every fault out of the way that has nothing to do with it.
void keep_calm(Plan& plan) {
  const Time duration = plan.duration;
  FaultPlan none;
  plan.faults = none;
  plan.duration = std::max(duration, 20 * kSecond);
  plan.grows = false;
  plan.spares = 0;
  plan.voters = 3;
  plan.on_rocksdb = false;
  plan.network.loss_ppm = 0;
  plan.network.lie_ppm = 0;
}

}  // namespace

std::span<const ScenarioInfo> scenarios() {
  return kScenarios;
}

const ScenarioInfo* find_scenario(std::string_view name) {
  const auto found = std::find_if(kScenarios.begin(), kScenarios.end(),
                                  [&](const ScenarioInfo& one) { return one.name == name; });
  return found == kScenarios.end() ? nullptr : &*found;
}

void apply_scenario(Scenario scenario, Plan& plan) {
  plan.scenario = scenario;
  switch (scenario) {
    case Scenario::kNone:
      return;
    case Scenario::kStaleAfterStart:
      plan.faults.kill = 2 * kSecond;
      plan.work.write_ppm = 400'000;
      return;
    case Scenario::kClockAndExpiry:
      keep_calm(plan);
      plan.faults.clock_jump = kSecond;
      plan.faults.kill = 4 * kSecond;
      plan.network.loss_ppm = 200'000;
      plan.work.attempts_max = 12;
      plan.work.patience = 300 * kMillisecond;
      plan.work.duplicate_ppm = 300'000;
      plan.work.session_retention = 60 * kSecond;
      return;
    case Scenario::kSessions:
      keep_calm(plan);
      plan.duration = 40 * kSecond;
      plan.work.clients = 5;
      plan.work.think_min = 0;
      plan.work.think_max = 5 * kMillisecond;
      plan.work.write_ppm = 950'000;
      plan.work.session_retention = 600 * kSecond;
      plan.snapshots.exist = false;
      return;
  }
}

}  // namespace bib::sim
