// What tests of all folders share: scratch folders, waiting without sleeping, the files that come
// with the repository or from outside, skipping, and watching a BIB_CHECK fire.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bib::support {

// A new, empty folder that is removed with everything in it at the end of its life.
// With BIB_KEEP_TEMP set in the environment it stays, and its path is printed.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// Asks again and again, first every millisecond, later every twenty, until the condition holds or
// the time is up; true if it held. Under a sanitizer it waits five times as long.
// REQUIRE(wait_until([&] { return node.is_leader(); }, 5s));
bool wait_until(const std::function<bool()>& condition, std::chrono::milliseconds within);

// The root of the source tree, and tests/golden/<name> in it.
std::filesystem::path source_dir();
std::filesystem::path golden(std::string_view name);

// Where data from outside the repository lives: BIB_SHARED_DIR, or "shared" beside the checkout,
// if it is there. Tests that need it skip without it.
std::optional<std::filesystem::path> shared_dir();

// Prints "skipped: <reason>", which ctest counts as skipped. In a TEST_CASE, before any CHECK:
//   if (!shared_dir()) return skip("no shared data beside the checkout");
void skip(std::string_view reason);

// The whole file; both end the test with an exception if the file system refuses.
std::string read_file(const std::filesystem::path& file);
void write_file(const std::filesystem::path& file, std::string_view bytes);

// The folder's files with that extension (".sst"), not those below it, in no order.
std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder,
                                            std::string_view extension);
// One bit of the byte there, in place: other names of the file see it, too. Throws as above, also
// where the file ends before it.
void flip_bit(const std::filesystem::path& file, std::uintmax_t offset);

// How often the part occurs in the text.
std::size_t count_of(std::string_view text, std::string_view part);

// Runs the action in a child process, and returns what it printed to stderr if it ended by abort(),
// which is what BIB_CHECK does; nullopt if it ended in any other way.
std::optional<std::string> aborts(const std::function<void()>& action);

}  // namespace bib::support
