// Finding: one thing that is not as it should be, or that a person should know. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/base/ids.h"

namespace bib::inspect {

enum class FindingKind : std::uint8_t {
  kNote,    // a legal state that is worth knowing: a torn last write, a file that a crash left
  kUndone,  // a check that could not be made: what was to be read cannot be
  kDamage,  // the node must not start, or its rows are wrong
};

struct Finding {
  FindingKind kind = FindingKind::kNote;
  std::string path;          // the file or directory
  std::uint64_t offset = 0;  // in the file; 0: its beginning, or the whole
  wire::LogIndex index;      // the first entry that is affected; 0: none
  std::string what;
  std::string advice;  // what to do; empty where there is nothing to do
};

using Findings = std::vector<Finding>;

bool has_damage(const Findings& findings);
// All was read, and nothing of it is damaged.
bool is_whole(const Findings& findings);

}  // namespace bib::inspect
