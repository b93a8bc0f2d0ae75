// Levels: reads of every level, each asked of one node, and whether their answers are what
// docs/consistency.md promises for the level: judged by the log, once the cluster is whole again.
#pragma once

#include <string>
#include <vector>

#include "recorder.h"

namespace bib::nemesis {

// What is wrong, a line each (at most twenty). `events`: as for audit_events(), of a log that
// begins there; where that is not the first entry, values that came before are not known.
struct LevelResult {
  std::vector<std::string> wrong;
  std::size_t reads = 0;  // that were judged
};
LevelResult judge_levels(const std::string& events, wire::LogIndex begins, const Recorder& recorder,
                         std::size_t nodes);

}  // namespace bib::nemesis
