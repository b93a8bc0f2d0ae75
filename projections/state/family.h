// Family: the column families of the state, one for each projection and one for the store's own
// bookkeeping.
//
// BIB_FAMILIES is the only list of them: F(enumerator, number, name, version). The number is part
// of every row's digest and is never reused. The name is the column family's and the projection's.
// The version is that of the rows: whatever changes what evolve() writes counts it up, and states
// of other versions are rebuilt from the log.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bib::projections {

// kMeta: applied index, owner, digests, projection versions; it has no digest and no version
// itself.
#define BIB_FAMILIES(F)          \
  F(kMeta, 0, "meta", 0)         \
  F(kSessions, 1, "sessions", 1) \
  F(kTopics, 2, "topics", 1)     \
  F(kCatalog, 3, "catalog", 1)   \
  F(kTasks, 4, "tasks", 1)       \
  F(kJobs, 5, "jobs", 1)         \
  F(kConfig, 6, "config", 1)

enum class Family : std::uint8_t {
#define BIB_FAMILY(enumerator, number, name, version) enumerator = number,
  BIB_FAMILIES(BIB_FAMILY)
#undef BIB_FAMILY
};

inline constexpr std::array kFamilies = {
#define BIB_FAMILY(enumerator, number, name, version) Family::enumerator,
    BIB_FAMILIES(BIB_FAMILY)
#undef BIB_FAMILY
};
inline constexpr std::size_t kFamilyCount = kFamilies.size();

constexpr std::size_t family_index(Family family) {
  return static_cast<std::size_t>(family);
}
static_assert(
    [] {
      for (std::size_t i = 0; i < kFamilyCount; ++i) {
        if (family_index(kFamilies[i]) != i) return false;
      }
      return true;
    }(),
    "a family's number is its place in the list: arrays of kFamilyCount elements lean on it");

// The column family's name, which is also the name of the projection that owns it.
constexpr std::string_view family_name(Family family) {
  constexpr std::array<std::string_view, kFamilyCount> names = {
#define BIB_FAMILY(enumerator, number, name, version) name,
      BIB_FAMILIES(BIB_FAMILY)
#undef BIB_FAMILY
  };
  return names[family_index(family)];
}

constexpr std::uint32_t projection_version(Family family) {
  constexpr std::array<std::uint32_t, kFamilyCount> versions = {
#define BIB_FAMILY(enumerator, number, name, version) version,
      BIB_FAMILIES(BIB_FAMILY)
#undef BIB_FAMILY
  };
  return versions[family_index(family)];
}

}  // namespace bib::projections
