// Scenarios: faults of the node that are known and wait to be mended. Each is a kind of run in
// which a checker finds it, by its name; ordinary seeds keep out of their way.
//
// A scenario whose fault has been mended finds nothing: then its run with --seeds fails, and the
// scenario is taken out, so that ordinary seeds hold the promise from there on.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "plan.h"

namespace bib::sim {

struct ScenarioInfo {
  Scenario scenario;
  std::string_view name;
  std::string_view checker;  // that finds it
  std::string_view what;
};

std::span<const ScenarioInfo> scenarios();
const ScenarioInfo* find_scenario(std::string_view name);

// Changes what the seed has drawn so that the fault can show.
void apply_scenario(Scenario scenario, Plan& plan);

}  // namespace bib::sim
