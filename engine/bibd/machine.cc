#include "engine/bibd/machine.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string_view>

namespace bib::engine {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// "max" and what cannot be read are no limit.
std::uint64_t read_limit(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t limit = 0;
  return file >> limit ? limit : kUnlimited;
}

std::uint64_t total_memory(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  std::string name;
  std::uint64_t kib = 0;
  while (file >> name >> kib) {
    if (name == "MemTotal:") return kib * 1024;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return kUnlimited;
}

// "0::/a/b" names the group of cgroup v2.
std::string control_group(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  constexpr std::string_view kUnified = "0::";
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kUnified)) return line.substr(kUnified.size());
  }
  return {};
}

}  // namespace

std::uint64_t memory_limit(const std::string& root) {
  std::uint64_t limit = total_memory(root);
  std::string group = control_group(root);
  while (!group.empty()) {
    limit = std::min(limit, read_limit(root + "/sys/fs/cgroup" + group + "/memory.max"));
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
  return limit;
}

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t block_cache_bytes(std::uint64_t configured, std::uint64_t memory) {
  if (configured != 0) return configured;
  const std::uint64_t known = memory == kUnlimited ? 0 : memory;
  return std::clamp(known / 8, 32 * kMiB, 64 * 1024 * kMiB);
}

}  // namespace bib::engine
