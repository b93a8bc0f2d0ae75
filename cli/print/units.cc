#include "cli/print/units.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <utility>

namespace bib::cli {
namespace {

// For reading, where a digit of precision is enough.
constexpr std::pair<std::string_view, std::uint64_t> kSizeUnits[] = {
    {"GiB", std::uint64_t{1} << 30}, {"MiB", std::uint64_t{1} << 20}, {"KiB", 1024}};

// Levenshtein's distance with one row of memory.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string format_size_short(std::uint64_t bytes) {
  for (const auto& [name, factor] : kSizeUnits) {
    if (bytes >= factor) {
      return fmt::format("{:.1f} {}", static_cast<double>(bytes) / static_cast<double>(factor),
                         name);
    }
  }
  return fmt::format("{} B", bytes);
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::vector<std::string> near_matches(std::string_view text,
                                      std::span<const std::string_view> names) {
  constexpr std::size_t kTextSizeMax = 128;
  constexpr std::size_t kMatchesMax = 3;
  if (text.empty() || text.size() > kTextSizeMax) return {};
  std::vector<std::pair<std::size_t, std::string_view>> found;
  for (const std::string_view name : names) {
    const std::size_t distance = edit_distance(text, name);
    if (distance <= std::max<std::size_t>(2, name.size() / 4)) found.emplace_back(distance, name);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  if (found.size() > kMatchesMax) found.resize(kMatchesMax);
  std::vector<std::string> matches;
  for (const auto& [distance, name] : found) matches.emplace_back(name);
  return matches;
}

std::string did_you_mean(std::string_view text, std::span<const std::string_view> names) {
  const std::vector<std::string> matches = near_matches(text, names);
  if (matches.empty()) return {};
  return fmt::format(" (did you mean {}?)", fmt::join(matches, " or "));
}

}  // namespace bib::cli
