// Family: the column families of the state, one for each projection and one for the store's own
// bookkeeping. The numbers are part of every row's digest: they are never reused.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bib::projections {

enum class Family : std::uint8_t {
  kMeta = 0,  // applied index, digests, projection versions; has no digest itself
  kSessions = 1,
  kTopics = 2,
  kCatalog = 3,
  kTasks = 4,
  kJobs = 5,
  kConfig = 6,
};

inline constexpr std::size_t kFamilyCount = 7;
inline constexpr std::array<Family, kFamilyCount> kFamilies = {
    Family::kMeta,  Family::kSessions, Family::kTopics, Family::kCatalog,
    Family::kTasks, Family::kJobs,     Family::kConfig};

constexpr std::size_t family_index(Family family) {
  return static_cast<std::size_t>(family);
}

// The column family's name, which is also the name of the projection that owns it.
constexpr std::string_view family_name(Family family) {
  constexpr std::array<std::string_view, kFamilyCount> kNames = {
      "meta", "sessions", "topics", "catalog", "tasks", "jobs", "config"};
  return kNames[family_index(family)];
}

}  // namespace bib::projections
