// The planted bugs of wire/base/mutant.h as tables, for a build that has them (BIB_MUTANTS).
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "wire/base/mutant.h"

namespace bib::sim {

struct Planted {
  unsigned rule;
  wire::Mutant mutant;
  std::string_view name;  // without the k
  const char* what;
};

#define BIB_PLANTED(rule, name, what) \
  Planted{rule, wire::Mutant::name, std::string_view(#name).substr(1), what},
// Those that seeds find, and those that a test case finds.
inline constexpr auto kPlanted = std::to_array<Planted>({BIB_MUTANT_LIST(BIB_PLANTED)});
inline constexpr auto kTested = std::to_array<Planted>({BIB_TESTED_MUTANT_LIST(BIB_PLANTED)});
#undef BIB_PLANTED

// Among all of them; nullptr if there is none.
inline const Planted* find_planted(std::string_view name) {
  const auto has_name = [&](const Planted& one) { return one.name == name; };
  const auto* found = std::find_if(kPlanted.begin(), kPlanted.end(), has_name);
  if (found != kPlanted.end()) return found;
  found = std::find_if(kTested.begin(), kTested.end(), has_name);
  return found == kTested.end() ? nullptr : found;
}

}  // namespace bib::sim
