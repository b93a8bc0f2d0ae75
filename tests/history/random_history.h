// Random histories of one key: what a real register might have answered to several clients at once,
// and the same with something changed. A seed decides all.
#pragma once

#include <vector>

#include "support/linearizability.h"
#include "wire/base/prng.h"

namespace bib::history {

struct RandomHistoryOptions {
  std::size_t operations = 7;
  int processes = 3;
  std::uint64_t values = 4;    // how many different ones; 0: every write has its own
  bool with_revisions = true;  // answers name them
  std::uint32_t unknown_ppm = 150'000;
};

// Linearizable by construction: each operation takes effect at a place within its call, those of
// unknown outcome perhaps later or never.
std::vector<support::Operation> random_history(wire::Prng& random,
                                               const RandomHistoryOptions& options);

// Changes one thing: an answer, a place, an outcome. The result may be linearizable or not.
void mutate(wire::Prng& random, std::vector<support::Operation>& history);

}  // namespace bib::history
