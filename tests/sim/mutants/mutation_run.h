// The mutation run: each planted bug (wire/base/mutant.h) switched on in turn, seed after seed,
// until a checker catches it.
//
// Only in a build with BIB_MUTANTS. One process runs one mutant; the number of the first seed that
// catches it is the same in every run, however many jobs there are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runner.h"

namespace bib::sim {

struct MutationOptions {
  std::uint64_t seeds_max = 10'000;  // whoever is not caught by then has survived
  std::uint64_t control = 2'000;     // seeds without a planted bug, which must all be clean
  unsigned jobs = 1;
  std::vector<std::string> only;  // names; empty: all
};

// False when there is no such mutant.
bool switch_mutant_on(std::string_view name);

// Prints a table; the exit code: 0 all are caught, 1 one has survived or the control is not clean,
// 2 a name is not known.
int run_mutants(const MutationOptions& options);

}  // namespace bib::sim
