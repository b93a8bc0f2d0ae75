#include "schedule.h"

#include <algorithm>
#include <array>
#include <utility>

#include "wire/base/prng.h"

namespace bib::nemesis {
namespace {

using std::chrono::milliseconds;

constexpr std::array<std::pair<FaultKind, const char*>, 4> kNames{{
    {FaultKind::kKill, "kill"},
    {FaultKind::kPause, "pause"},
    {FaultKind::kPartition, "partition"},
    {FaultKind::kSlowDisk, "slow-disk"},
}};

}  // namespace

std::string name_of(FaultKind kind) {
  return std::find_if(kNames.begin(), kNames.end(),
                      [&](const auto& known) { return known.first == kind; })
      ->second;
}

wire::Result<std::vector<FaultKind>> parse_faults(const std::string& text) {
  std::vector<FaultKind> kinds;
  if (text == "none") return kinds;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    const auto found = std::find_if(kNames.begin(), kNames.end(),
                                    [&](const auto& known) { return word == known.second; });
    if (found == kNames.end()) {
      return wire::fail(wire::ErrorCode::kInvalid,
                        "'{}' is not a fault: kill, pause, partition, slow-disk, or none", word);
    }
    if (std::find(kinds.begin(), kinds.end(), found->first) == kinds.end()) {
      kinds.push_back(found->first);
    }
    begin = end + 1;
  }
  return kinds;
}

std::vector<Fault> draw_schedule(std::uint64_t seed, milliseconds duration,
                                 const std::vector<FaultKind>& kinds, FaultLength length) {
  wire::Prng random(seed);
  const auto between = [&](std::uint64_t low, std::uint64_t high) {
    return milliseconds(random.between(low, high));
  };
  std::vector<Fault> schedule;
  for (const FaultKind kind : kinds) {
    // The more kinds, the longer the pauses of each, so that the cluster gets on meanwhile.
    const std::uint64_t pause_max = 1000 + 1000 * kinds.size();
    milliseconds at = between(500, pause_max);
    for (;;) {
      Fault fault{kind, at, at + between(length.min, length.max), random.next()};
      if (fault.ends >= duration) break;
      at = fault.ends + between(300, pause_max);
      schedule.push_back(fault);
    }
  }
  std::stable_sort(schedule.begin(), schedule.end(),
                   [](const Fault& a, const Fault& b) { return a.begins < b.begins; });
  return schedule;
}

}  // namespace bib::nemesis
