// Schedule: which fault begins and ends when, drawn from a seed before the run. Whom it hits may
// depend on the run (the leader of that moment), so each fault carries its own number to choose by.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "wire/base/result.h"

namespace bib::nemesis {

enum class FaultKind : std::uint8_t { kKill, kPause, kPartition, kSlowDisk };

struct Fault {
  FaultKind kind = FaultKind::kKill;
  std::chrono::milliseconds begins{0};
  std::chrono::milliseconds ends{0};
  std::uint64_t choice = 0;
};

std::string name_of(FaultKind kind);
// "kill,pause,partition,slow-disk", or "none". kInvalid names the word that is none of them.
wire::Result<std::vector<FaultKind>> parse_faults(const std::string& text);

// How long a fault lasts, in milliseconds.
struct FaultLength {
  std::uint64_t min = 200;
  std::uint64_t max = 3000;
};

// In order of their beginnings. Faults of one kind follow one another, those of different kinds
// overlap; the last ends before the time is up.
std::vector<Fault> draw_schedule(std::uint64_t seed, std::chrono::milliseconds duration,
                                 const std::vector<FaultKind>& kinds, FaultLength length = {});

}  // namespace bib::nemesis
