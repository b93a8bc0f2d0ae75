// Trial: one seed: a directory is harmed, raft-inspect looks at it, its node starts beside its two
// peers, and what follows is judged.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace bib::damage {

struct Verdict {
  int inspected = 0;      // exit code of `raft-inspect verify`
  std::string ended;      // "equal", or how the node was brought back
  std::string violation;  // empty: none
  std::string details;    // what was said, for a person
};

// `scenes`: where the scenes were built. `scratch` is this trial's alone, and empty. `say` hears
// what is about to happen: the harm first.
Verdict run_trial(std::uint64_t seed, const std::string& scenes, const std::string& scratch,
                  const std::function<void(const std::string&)>& say);

}  // namespace bib::damage
