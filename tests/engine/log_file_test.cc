// The real file system: what the log relies on.
#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "engine/ports/file.h"
#include "engine/uv/file_posix.h"
#include "support/test_support.h"

namespace bib::engine {
namespace {

using wire::ErrorCode;

TEST_CASE("what was written in parts is read back, buffered and direct") {
  const support::TempDir temp;
  for (const bool direct : {false, true}) {
    const std::string path = temp / (direct ? "direct" : "buffered");
    auto file = posix_file_system().open(path, {.mode = OpenMode::kCreate, .direct = direct});
    REQUIRE(file);
    REQUIRE((*file)->allocate(1 << 20));
    CHECK((*file)->size() == 1U << 20);
    std::vector<AlignedBuffer> buffers;
    std::vector<wire::ByteView> parts;
    for (std::uint8_t i = 0; i < 100; ++i) {  // more than one system call takes
      buffers.emplace_back(4096);
      std::memset(buffers.back().data(), i, 4096);
      parts.push_back(buffers.back().view());
    }
    REQUIRE((*file)->write(8192, parts));
    REQUIRE((*file)->sync());
    AlignedBuffer back(4096);
    for (std::uint8_t i = 0; i < 100; ++i) {
      REQUIRE((*file)->read(8192 + i * 4096U, std::span(back.data(), back.size())) == 4096U);
      CHECK(std::memcmp(back.data(), buffers[i].data(), 4096) == 0);
    }
    CHECK((*file)->read((1 << 20) - 4096, std::span(back.data(), 4096)) == 4096U);
    CHECK((*file)->read(1 << 20, std::span(back.data(), 4096)) == 0U);
  }
}

TEST_CASE("a file that ends at an odd place is read to its end with direct I/O") {
  const support::TempDir temp;
  support::write_file(temp / "odd", std::string(10001, 'x'));
  auto file = posix_file_system().open(temp / "odd", {.mode = OpenMode::kRead, .direct = true});
  REQUIRE(file);
  AlignedBuffer buffer(12288);
  CHECK((*file)->read(0, std::span(buffer.data(), buffer.size())) == 10001U);
  CHECK(buffer.data()[10000] == 'x');
}

TEST_CASE("errors of the system name the path and the reason") {
  const support::TempDir temp;
  FileSystem& files = posix_file_system();
  const auto absent = files.open(temp / "absent", {});
  REQUIRE_FALSE(absent);
  CHECK(absent.error().code == ErrorCode::kIo);
  CHECK(absent.error().message.find(temp / "absent") != std::string::npos);
  CHECK(absent.error().message.find("ENOENT") != std::string::npos);
  REQUIRE(files.open(temp / "there", {.mode = OpenMode::kCreate}));
  CHECK(files.open(temp / "there", {.mode = OpenMode::kCreate}).error().message.find("EEXIST") !=
        std::string::npos);
  CHECK_FALSE(files.remove(temp / "absent"));
  CHECK_FALSE(files.rename(temp / "absent", temp / "b"));
  CHECK_FALSE(files.sync_directory(temp / "absent"));
  CHECK_FALSE(files.make_directories(temp / "there"));
}

TEST_CASE("directories are made with their parents and listed in order") {
  const support::TempDir temp;
  FileSystem& files = posix_file_system();
  const std::string directory = temp / "a/b/c/";
  CHECK(files.list(directory)->empty());
  REQUIRE(files.make_directories(directory));
  REQUIRE(files.make_directories(directory));
  for (const char* name : {"2", "10", "1"}) {
    REQUIRE(files.open(join_path(directory, name), {.mode = OpenMode::kCreate}));
  }
  REQUIRE(files.rename(join_path(directory, "2"), join_path(directory, "3")));
  REQUIRE(files.sync_directory(directory));
  CHECK(*files.list(directory) == std::vector<std::string>{"1", "10", "3"});
  const auto unit = files.write_unit(directory);
  REQUIRE(unit);
  CHECK((*unit == 512 || *unit == 4096));
}

TEST_CASE("two processes cannot hold one data directory, and the refusal names the holder") {
  const support::TempDir temp;
  std::array<int, 2> ready{};
  std::array<int, 2> done{};
  REQUIRE(::pipe(ready.data()) == 0);
  REQUIRE(::pipe(done.data()) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = posix_file_system().lock(temp.path());
    char byte = lock ? 'y' : 'n';
    static_cast<void>(!::write(ready[1], &byte, 1));
    ::close(done[1]);
    static_cast<void>(!::read(done[0], &byte, 1));
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  REQUIRE(byte == 'y');
  const auto refused = posix_file_system().lock(temp.path());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::kRefused);
  CHECK(refused.error().message.find(fmt::format("process {}", child)) != std::string::npos);
  CHECK(refused.error().message.find(temp.path().string()) != std::string::npos);

  ::close(done[1]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  for (const int descriptor : {ready[0], ready[1], done[0]}) ::close(descriptor);
  // The end of the process gives the directory free.
  const auto lock = posix_file_system().lock(temp.path());
  CHECK(lock);
  CHECK_FALSE(posix_file_system().lock(temp.path()));
}

}  // namespace
}  // namespace bib::engine
