#include "mutants/mutation_run.h"

#include <fmt/format.h>

#include <cstdio>

#include "mutants/planted.h"
#include "wire/base/mutant.h"

#ifdef BIB_MUTANTS

namespace bib::sim {

namespace {

// The processes that run the seeds are forked from this one.
RunResult run_with(wire::Mutant mutant, std::uint64_t seeds, unsigned jobs) {
  wire::mutant_in_effect = mutant;
  RunOptions options;
  options.last = seeds;
  options.jobs = jobs;
  options.quiet = true;
  return run_seeds(options);
}

bool control_is_clean(const MutationOptions& options) {
  if (options.control == 0) return true;
  const RunResult result = run_with(wire::Mutant::kNone, options.control, options.jobs);
  if (result.failures.empty()) {
    fmt::print("{} seeds without a planted bug: clean, {:.0f} s\n", result.seeds, result.seconds);
    return true;
  }
  const Failure& failure = result.failures.front();
  fmt::print("without a planted bug: seed {} FAILED: {}: {}\n", failure.seed, failure.checker,
             failure.what);
  return false;
}

bool is_caught(const Planted& planted, const MutationOptions& options) {
  const RunResult result = run_with(planted.mutant, options.seeds_max, options.jobs);
  const bool caught = !result.failures.empty();
  fmt::print("{:>4}  {:<26} {:<10} {:>6} {:>7.1f}  {}\n", planted.rule, planted.name,
             caught ? result.failures.front().checker : "SURVIVED",
             caught ? result.failures.front().seed : result.seeds, result.seconds, planted.what);
  if (caught) fmt::print("      {}\n", result.failures.front().what.substr(0, 150));
  std::fflush(stdout);
  return caught;
}

}  // namespace

bool switch_mutant_on(std::string_view name) {
  const Planted* planted = find_planted(name);
  if (planted == nullptr) return false;
  wire::mutant_in_effect = planted->mutant;
  return true;
}

int run_mutants(const MutationOptions& options) {
  std::vector<const Planted*> chosen;
  for (const Planted& planted : kPlanted) {
    if (options.only.empty()) chosen.push_back(&planted);
  }
  for (const std::string& name : options.only) {
    chosen.push_back(find_planted(name));
    if (chosen.back() == nullptr) {
      fmt::print(stderr, "there is no mutant {}; see wire/base/mutant.h\n", name);
      return 2;
    }
  }
  if (!control_is_clean(options)) return 1;
  fmt::print("rule  mutant                     caught by   seeds seconds  what it does wrong\n");
  std::vector<std::string_view> survivors;
  for (const Planted* planted : chosen) {
    if (!is_caught(*planted, options)) survivors.push_back(planted->name);
  }
  fmt::print("{} of {} mutants are caught\n", chosen.size() - survivors.size(), chosen.size());
  for (const std::string_view name : survivors) {
    fmt::print("{} has survived {} seeds: a hole in the simulator\n", name, options.seeds_max);
  }
  return survivors.empty() ? 0 : 1;
}

}  // namespace bib::sim

#else

namespace bib::sim {

bool switch_mutant_on(std::string_view) {
  return false;
}

int run_mutants(const MutationOptions&) {
  fmt::print(stderr, "no bugs are planted in this build; tools/check.sh mutants makes one\n");
  return 2;
}

}  // namespace bib::sim

#endif
