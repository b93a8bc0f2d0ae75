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
};

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
  }
}

}  // namespace bib::sim
