// bib_sim: simulated clusters, one for each seed.
//
//   bib_sim --seed N [--trace]     one seed; --trace tells every step
//   bib_sim --seeds A..B           many
//   bib_sim --count N [--from A]   the same
//   bib_sim --mutant NAME ...      any of these with a planted bug (a build with BIB_MUTANTS)
//   bib_sim --mutants              each planted bug, until it is caught
//
// Exit code: 0 every promise was kept, 1 one was broken (the seed is printed), 2 wrong usage.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <thread>

#include "mutants/mutation_run.h"
#include "plan.h"
#include "runner.h"
#include "sim_cluster.h"

namespace bib::sim {
namespace {

int run_single(std::uint64_t seed, bool trace, bool twice) {
  const Outcome outcome = run_seed(seed, trace);
  if (!trace) fmt::print("{}", describe(draw_plan(seed)));
  fmt::print(
      "seed {}: {:.1f} s simulated, {} happenings, {} entries committed, {} answers, {} leaders, "
      "{} snapshots, {} installed, {} cuts, hash {:016x}\n",
      seed, static_cast<double>(outcome.simulated) / kSecond, outcome.happenings, outcome.committed,
      outcome.answered, outcome.leaders, outcome.snapshots, outcome.installations, outcome.cuts,
      outcome.hash);
  if (outcome.violation) {
    fmt::print("seed {} FAILED: {}: {}\n", seed, outcome.violation->checker,
               outcome.violation->what);
    return 1;
  }
  if (twice && run_seed(seed, false).hash != outcome.hash) {
    fmt::print("seed {} FAILED: determinism: two runs differ\n", seed);
    return 1;
  }
  return 0;
}

int run_many(const RunOptions& options) {
  const RunResult result = run_seeds(options);
  for (const Failure& failure : result.failures) {
    fmt::print("seed {} FAILED: {}: {}\n  replay: bib_sim --seed {} --trace\n", failure.seed,
               failure.checker, failure.what, failure.seed);
  }
  fmt::print(
      "{} seeds: {:.0f} simulated s in {:.1f} s ({:.0f} times real time, {:.1f} seeds/s); {} "
      "happenings, {} entries, {} answers, {} leaders; {} snapshots, {} installed, {} cuts of "
      "logs; {} failed\n",
      result.seeds, static_cast<double>(result.simulated) / kSecond, result.seconds,
      static_cast<double>(result.simulated) / kSecond / result.seconds,
      static_cast<double>(result.seeds) / result.seconds, result.happenings, result.committed,
      result.answered, result.leaders, result.snapshots, result.installations, result.cuts,
      result.failures.size());
  return result.failures.empty() ? 0 : 1;
}

int main(int argc, char** argv) {
  CLI::App app{"Simulated clusters of bib nodes, one for each seed"};
  std::uint64_t seed = 0;
  bool trace = false;
  bool twice = false;
  std::string range;
  std::uint64_t count = 0;
  RunOptions options;
  options.jobs = std::max(1U, std::thread::hardware_concurrency());
  std::string mutant;
  bool mutants = false;
  MutationOptions mutation;
  app.add_option("--seed", seed, "run this seed only");
  app.add_flag("--trace", trace, "with --seed: print every step");
  app.add_flag("--twice", twice, "with --seed: run it again and compare");
  app.add_option("--seeds", range, "run the seeds A..B");
  app.add_option("--count", count, "run so many seeds");
  app.add_option("--from", options.first, "the first of them");
  app.add_option("--jobs", options.jobs, "processes; all cores when not given");
  app.add_option("--repeat-every", options.repeat_every, "run every n-th seed twice and compare");
  app.add_option("--failures", options.failures_max, "stop after so many failures");
  app.add_option("--mutant", mutant, "with this planted bug");
  app.add_flag("--mutants", mutants, "all planted bugs in turn, until each is caught");
  app.add_option("--seeds-max", mutation.seeds_max, "with --mutants: seeds for each");
  app.add_option("--control", mutation.control, "with --mutants: seeds without any, at first");
  app.add_option("--only", mutation.only, "with --mutants: only these")->delimiter(',');
  CLI11_PARSE(app, argc, argv);
  if (mutants) {
    mutation.jobs = options.jobs;
    return run_mutants(mutation);
  }
  if (!mutant.empty() && !switch_mutant_on(mutant)) {
    fmt::print(stderr, "there is no planted bug {} in this build; tools/check.sh mutants\n",
               mutant);
    return 2;
  }
  if (seed != 0) return run_single(seed, trace, twice);
  if (!range.empty()) {
    const std::size_t dots = range.find("..");
    if (dots == std::string::npos) {
      fmt::print(stderr, "--seeds wants A..B\n");
      return 2;
    }
    options.first = std::strtoull(range.c_str(), nullptr, 10);
    options.last = std::strtoull(range.c_str() + dots + 2, nullptr, 10);
  } else if (count > 0) {
    options.last = options.first + count - 1;
  } else {
    fmt::print(stderr, "{}", app.help());
    return 2;
  }
  return run_many(options);
}

}  // namespace
}  // namespace bib::sim

int main(int argc, char** argv) {
  return bib::sim::main(argc, argv);
}
