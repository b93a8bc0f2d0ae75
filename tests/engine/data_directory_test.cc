// What a node makes of the states of its directory, and that each next step leads out of them.
#include "engine/storage/data_directory.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "engine/storage/state_install.h"
#include "engine/uv/file_posix.h"
#include "snapshot_fixture.h"
#include "support/test_support.h"

namespace bib::engine {
namespace {

namespace fs = std::filesystem;
using wire::DirectoryState;
using wire::DirectoryVerdict;
using wire::LogIndex;

wire::DirectoryStanding look(FileSystem& files, const std::string& directory = kDataDirectory) {
  return wire::judge_directory(must(look_at_directory(files, directory)), {.founds = true});
}

void starts_at(FaultyFileSystem& files, std::uint64_t rows) {
  const auto started = must(start(files));
  CHECK(started.state.projector->applied_index() == LogIndex(rows));
}

}  // namespace

TEST_CASE("an empty directory is founded in, and then started from") {
  FaultyFileSystem files;
  CHECK(look(files).state == DirectoryState::kEmpty);
  CHECK(look(files).verdict == DirectoryVerdict::kFound);
  {
    auto log = must(LogStore::open(files, kLogDirectory, test_options()));
    LogStoreWrite write;
    write.entries = {membership_entry(1, 1, 1)};
    must(log.store->append({&write, 1}));
  }
  CHECK(look(files).state == DirectoryState::kNode);
  starts_at(files, 0);
  CHECK(look(files).state == DirectoryState::kNode);
}

TEST_CASE("a node that was about to join is still joining, until it has a log") {
  FaultyFileSystem files;
  files.set_content("/data/JOINING", {'1'});
  CHECK(look(files).state == DirectoryState::kJoining);
  must(LogStore::open(files, kLogDirectory, test_options()));
  CHECK(look(files).state == DirectoryState::kNode);
  must(files.remove("/data/JOINING"));
  starts_at(files, 0);
}

TEST_CASE("an installation that was decided is seen, completed, and over") {
  Scene scene;
  must(decide_install(scene.files, InstallPlaces(kDataDirectory), scene.snapshot));
  CHECK(look(scene.files).state == DirectoryState::kInstalling);
  CHECK(look(scene.files).verdict == DirectoryVerdict::kComplete);
  starts_at(scene.files, 30);
  CHECK(look(scene.files).state == DirectoryState::kNode);
}

TEST_CASE("a log that is lost is seen before anything is founded, and can be put back") {
  Scene scene;
  must(scene.files.rename(kLogDirectory, "/elsewhere"));
  const auto before = scene.files.paths();
  const auto standing = look(scene.files);
  CHECK(standing.state == DirectoryState::kLogLost);
  CHECK(standing.verdict == DirectoryVerdict::kRefuse);
  CHECK(scene.files.paths() == before);
  SECTION("it is put back") {
    must(scene.files.rename("/elsewhere", kLogDirectory));
    starts_at(scene.files, 5);
  }
  SECTION("it is lost, and the data directory is moved away") {
    must(scene.files.rename(kDataDirectory, "/old"));
    CHECK(look(scene.files).state == DirectoryState::kEmpty);
  }
}

TEST_CASE("a snapshot that is lost while its rows are put in place can be put back") {
  Scene scene;
  must(decide_install(scene.files, InstallPlaces(kDataDirectory), scene.snapshot));
  must(scene.files.rename("/data/snapshots/30-1", "/elsewhere"));
  CHECK(look(scene.files).state == DirectoryState::kSnapshotLost);
  const auto refused = start(scene.files);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message == wire::refusal_of(look(scene.files)).message);
  must(scene.files.rename("/elsewhere", "/data/snapshots/30-1"));
  starts_at(scene.files, 30);
}

TEST_CASE("a snapshot without a manifest that can be read is no snapshot to install") {
  Scene scene;
  must(decide_install(scene.files, InstallPlaces(kDataDirectory), scene.snapshot));
  scene.files.flip_bit("/data/snapshots/30-1/manifest", 40, 1);
  CHECK(look(scene.files).state == DirectoryState::kSnapshotLost);
  CHECK_FALSE(start(scene.files));
}

TEST_CASE("a note of an installation that names none is refused, and the node joins again") {
  Scene scene;
  scene.files.set_content("/data/snapshots/installing", {'x'});
  CHECK(look(scene.files).state == DirectoryState::kInstallUnknown);
  scene.files.set_content("/data/snapshots/installing", std::vector<std::uint8_t>(100, 'x'));
  CHECK(look(scene.files).state == DirectoryState::kInstallUnknown);
  const auto refused = start(scene.files);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message == wire::refusal_of(look(scene.files)).message);
  join_from_empty_directory(scene.files);
}

TEST_CASE("what a crash left unfinished beside nothing else is an empty directory") {
  FaultyFileSystem files;
  files.set_content("/data/snapshots/receiving.tmp/manifest", {1});
  files.set_content("/data/log/next.tmp", {1});
  CHECK(look(files).state == DirectoryState::kEmpty);
}

TEST_CASE("a link in the place of the rows is refused, and what it points to is left alone") {
  const support::TempDir scratch;
  FileSystem& files = posix_file_system();
  const std::string data = (scratch / "data").string();
  fs::create_directories(scratch / "elsewhere");
  support::write_file(scratch / "elsewhere/CURRENT", "x");
  fs::create_directories(scratch / "data");
  fs::create_directory_symlink(scratch / "elsewhere", scratch / "data/state");
  CHECK(look(files, data).state == DirectoryState::kForeignFile);
  CHECK(fs::exists(scratch / "elsewhere/CURRENT"));
  // The directory itself instead: rows without a log.
  fs::remove(scratch / "data/state");
  fs::rename(scratch / "elsewhere", scratch / "data/state");
  CHECK(look(files, data).state == DirectoryState::kLogLost);
  fs::remove_all(scratch / "data/state");
  CHECK(look(files, data).state == DirectoryState::kEmpty);
}

TEST_CASE("every kind of file is told from the others") {
  const support::TempDir scratch;
  FileSystem& files = posix_file_system();
  support::write_file(scratch / "file", "x");
  fs::create_directory(scratch / "directory");
  fs::create_symlink("file", scratch / "link");
  fs::create_symlink("nowhere", scratch / "dangling");
  CHECK(must(files.kind((scratch / "file").string())) == wire::FileKind::kRegular);
  CHECK(must(files.kind((scratch / "directory").string())) == wire::FileKind::kDirectory);
  CHECK(must(files.kind((scratch / "link").string())) == wire::FileKind::kLink);
  CHECK(must(files.kind((scratch / "dangling").string())) == wire::FileKind::kLink);
  CHECK(must(files.kind((scratch / "nothing").string())) == wire::FileKind::kAbsent);
  CHECK(must(files.kind("/dev/null")) == wire::FileKind::kOther);
}

}  // namespace bib::engine
