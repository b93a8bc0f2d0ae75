// When a disk counts as nearly full, and when it has room again.
#include "engine/node/disk_space.h"

#include <catch2/catch.hpp>

#include "engine/uv/file_posix.h"
#include "faulty_file_system.h"

namespace bib::engine {

using News = std::optional<bool>;

TEST_CASE("a disk is nearly full below the reserve, until there is an eighth more than that") {
  DiskSpace space(800);
  CHECK_FALSE(space.is_short());
  CHECK(space.look(800) == News());
  CHECK(space.look(799) == News(true));
  CHECK(space.is_short());
  CHECK(space.look(10) == News());
  CHECK(space.look(899) == News());
  CHECK(space.look(900) == News(false));
  CHECK(space.look(800) == News());
  CHECK(space.free() == 800);
}

TEST_CASE("without a reserve a disk has room until it is full") {
  DiskSpace space(0);
  CHECK(space.look(0) == News());
  CHECK_FALSE(space.is_short());
}

TEST_CASE("a file system says how much may still be written") {
  FaultyFileSystem files;
  files.limit_space(1000);
  CHECK(files.free_bytes("/data").value() == 1000);
  {
    const auto file = files.open("/data/file", {.mode = OpenMode::kCreate, .direct = false});
    REQUIRE(file);
    REQUIRE((*file)->allocate(600));
  }
  CHECK(files.free_bytes("/data").value() == 400);
  REQUIRE(files.remove("/data/file"));
  CHECK(files.free_bytes("/data").value() == 1000);

  CHECK(posix_file_system().free_bytes("/").has_value());
  const auto nowhere = posix_file_system().free_bytes("/nowhere/at/all");
  REQUIRE_FALSE(nowhere);
  CHECK(nowhere.error().message.find("/nowhere/at/all") != std::string::npos);
}

}  // namespace bib::engine
