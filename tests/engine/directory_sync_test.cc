// Names of directories are durable: what make_directories() syncs is seen where the C library's
// fsync() would be.
#include <catch2/catch.hpp>

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "engine/ports/file.h"
#include "engine/uv/file_posix.h"
#include "support/test_support.h"

namespace {

// Of the whole program, as long as somebody watches.
struct Watch {
  std::mutex mutex;
  bool is_on = false;
  std::vector<std::string> synced;
};

Watch& watch() {
  static Watch one;
  return one;
}

std::vector<std::string> synced_during(const std::function<void()>& act) {
  {
    const std::lock_guard lock(watch().mutex);
    watch().is_on = true;
    watch().synced.clear();
  }
  act();
  const std::lock_guard lock(watch().mutex);
  watch().is_on = false;
  return watch().synced;
}

bool has(const std::vector<std::string>& paths, const std::string& path) {
  const std::string real = std::filesystem::canonical(path).string();
  return std::find(paths.begin(), paths.end(), real) != paths.end();
}

}  // namespace

// In the place of the C library's.
extern "C" int fsync(int descriptor) {
  {
    const std::lock_guard lock(watch().mutex);
    if (watch().is_on) {
      const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
      std::array<char, 4096> path{};
      const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
      if (size > 0) watch().synced.emplace_back(path.data(), static_cast<std::size_t>(size));
    }
  }
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

namespace bib::engine {

TEST_CASE("the name of each directory that is made is synced in the one above it") {
  const support::TempDir temp;
  FileSystem& files = posix_file_system();
  const auto synced = synced_during([&] { REQUIRE(files.make_directories(temp / "a/b/c")); });
  for (const char* parent : {"", "a", "a/b"}) {
    INFO(parent);
    CHECK(has(synced, temp / parent));
  }
}

TEST_CASE(
    "the name of a directory that was there already is synced: its maker may have been killed") {
  const support::TempDir temp;
  FileSystem& files = posix_file_system();
  std::filesystem::create_directories(temp / "a/b");
  const auto synced = synced_during([&] { REQUIRE(files.make_directories(temp / "a/b")); });
  CHECK(has(synced, temp / "a"));
}

}  // namespace bib::engine
