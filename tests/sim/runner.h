// Runner: many seeds on several processes, so that a failed check, which ends a process, ends one
// seed only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "event_queue.h"
#include "plan.h"

namespace bib::sim {

struct RunOptions {
  std::uint64_t first = 1;
  std::uint64_t last = 1;
  unsigned jobs = 1;
  std::uint64_t repeat_every = 0;  // runs every n-th seed twice and compares; 0: none
  unsigned failures_max = 1;       // stop after so many
  bool quiet = false;
};

struct Failure {
  std::uint64_t seed = 0;
  std::string checker;  // a checker's name, "check" (BIB_CHECK), "crash" or "hang"
  std::string what;
};

struct RunResult {
  std::uint64_t seeds = 0;
  Time simulated = 0;
  std::uint64_t happenings = 0;
  std::uint64_t committed = 0;
  std::uint64_t answered = 0;
  std::uint64_t leaders = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t installations = 0;
  std::uint64_t cuts = 0;
  double seconds = 0;
  std::vector<Failure> failures;  // by seed
};

RunResult run_seeds(const RunOptions& options);

}  // namespace bib::sim
