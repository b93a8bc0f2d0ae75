#include "engine/bibd/machine.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "support/test_support.h"

namespace bib::engine {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

struct Machine {
  void file(const std::string& path, const std::string& text) const {
    const std::filesystem::path whole = directory / path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  std::uint64_t limit() const { return memory_limit(directory.path().string()); }

  support::TempDir directory;
};

}  // namespace

TEST_CASE("the memory that a node may use is the machine's, or its control group's") {
  const Machine machine;
  machine.file("proc/meminfo", "MemFree:  1024 kB\nMemTotal:       8192 kB\nSwapTotal: 0 kB\n");
  CHECK(machine.limit() == 8 * kMiB);
  machine.file("proc/self/cgroup", "1:cpu:/other\n0::/system.slice/bibd.service\n");
  CHECK(machine.limit() == 8 * kMiB);
  machine.file("sys/fs/cgroup/system.slice/bibd.service/memory.max", "max\n");
  CHECK(machine.limit() == 8 * kMiB);
  machine.file("sys/fs/cgroup/system.slice/bibd.service/memory.max", "4194304\n");
  CHECK(machine.limit() == 4 * kMiB);
  machine.file("sys/fs/cgroup/system.slice/memory.max", "2097152\n");  // of all that are in it
  CHECK(machine.limit() == 2 * kMiB);
}

TEST_CASE("the cache of blocks is as configured, or an eighth of the memory within bounds") {
  CHECK(block_cache_bytes(5 * kMiB, 1024 * kMiB) == 5 * kMiB);
  CHECK(block_cache_bytes(0, 1024 * kMiB) == 128 * kMiB);
  CHECK(block_cache_bytes(0, 64 * kMiB) == 32 * kMiB);
  CHECK(block_cache_bytes(0, Machine().limit()) == 32 * kMiB);  // of which nothing is known
  CHECK(block_cache_bytes(0, std::uint64_t{1} << 50U) == 64 * 1024 * kMiB);
}

}  // namespace bib::engine
