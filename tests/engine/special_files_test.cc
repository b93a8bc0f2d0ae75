// Links, FIFOs, devices and directories in the place of a file: refused at once, whatever file it
// is, and nothing is removed through them.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/bibd/bibd.h"
#include "engine/storage/data_directory.h"
#include "engine/storage/snapshot_files.h"
#include "engine/storage/state_install.h"
#include "engine/uv/file_posix.h"
#include "snapshot_fixture.h"
#include "support/test_support.h"

namespace bib::engine {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using wire::ErrorCode;
using wire::FileKind;

enum class Odd { kLink, kDanglingLink, kFifo, kSocket, kDirectory };
constexpr Odd kOddOnes[] = {Odd::kLink, Odd::kDanglingLink, Odd::kFifo, Odd::kSocket,
                            Odd::kDirectory};

void make(Odd odd, const fs::path& path) {
  switch (odd) {
    case Odd::kLink:
      return fs::create_symlink("/dev/zero", path);
    case Odd::kDanglingLink:
      return fs::create_symlink("/nowhere", path);
    case Odd::kFifo:
      REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
      return;
    case Odd::kSocket: {
      sockaddr_un name{};
      name.sun_family = AF_UNIX;
      // By way of the working directory: the path may be too long for a socket.
      const fs::path here = fs::current_path();
      fs::current_path(path.parent_path());
      std::strncpy(name.sun_path, path.filename().c_str(), sizeof name.sun_path - 1);
      const int made = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      REQUIRE(::bind(made, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
      ::close(made);
      fs::current_path(here);
      return;
    }
    case Odd::kDirectory:
      fs::create_directory(path);
      return;
  }
}

wire::NodeConfig config_in(const support::TempDir& scratch) {
  wire::NodeConfig config;
  config.node_id = test_options().node;
  config.data_dir = (scratch / "data").string();
  config.bootstrap = true;
  config.listen_addr = "127.0.0.1:0";
  config.api_listen_addr = "127.0.0.1:0";
  config.api_socket = (scratch / "s").string();
  config.log_level = "error";
  return config;
}

// A node's directory with a log, rows and a snapshot on a real disk.
void make_node(const fs::path& data) {
  FileSystem& files = posix_file_system();
  fs::create_directories(data / "snapshots");
  fs::create_directories(data / "log");
  const auto log = log_of(30);
  {
    auto store = must(LogStore::open(files, (data / "log").string(), test_options()));
    LogStoreWrite write;
    write.hard_state = wire::HardState{wire::Term(1), wire::NodeId()};
    write.entries.assign(log.begin(), log.end());
    must(store.store->append({&write, 1}));
    must(store.store->close());
  }
  const auto rows = must(projections::RocksStore::open(data / "state"));
  const auto projector = must(projections::Projector::open(*rows));
  for (const wire::Bytes& entry : log) REQUIRE(projector->apply(entry));
  must(projections::store_deltas(projector->take_for_store(), *rows));
  must(rows->flush());
  must(begin_partial_snapshot(files, (data / "snapshots").string(), kMakingName));
  const auto mark = must(projections::create_checkpoint(
      *rows, snapshot_state_directory((data / "snapshots").string(), kMakingName)));
  wire::SnapshotManifest manifest;
  manifest.cluster = test_options().cluster;
  manifest.node = wire::NodeId(0xfeed);
  manifest.index = mark.applied_index;
  manifest.term = mark.applied_term;
  manifest.membership_index = wire::LogIndex(1);
  manifest.membership = must(wire::decode_membership(membership_of(0xfeed)));
  manifest.projections = projections::snapshot_projections(mark);
  must(seal_snapshot(files, (data / "snapshots").string(), kMakingName, manifest));
}

wire::DirectoryStanding look(const fs::path& data) {
  return wire::judge_directory(must(look_at_directory(posix_file_system(), data.string())),
                               {.node = {}, .founds = true});
}

// Every file that a start may open, below the data directory.
std::vector<fs::path> files_of_node(const fs::path& data) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(data)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  files.push_back(data / "JOINING");
  files.push_back(data / "LOCK");
  files.push_back(data / "log/log.start");
  files.push_back(data / "snapshots/installing");
  return files;
}

}  // namespace

TEST_CASE("only a regular file is opened, and what else is there is named at once") {
  const support::TempDir scratch;
  FileSystem& files = posix_file_system();
  const std::string path = (scratch / "file").string();
  for (const Odd odd : kOddOnes) {
    CAPTURE(static_cast<int>(odd));
    make(odd, path);
    for (const OpenMode mode : {OpenMode::kRead, OpenMode::kReadWrite}) {
      for (const bool direct : {false, true}) {
        const auto opened = files.open(path, {.mode = mode, .direct = direct});
        REQUIRE_FALSE(opened);
        CHECK(opened.error().code == ErrorCode::kIo);
        CHECK_THAT(opened.error().message,
                   Contains(path + ": a file belongs here, but this is a "));
      }
    }
    CHECK_FALSE(files.open(path, {.mode = OpenMode::kCreate, .direct = false}));
    fs::remove_all(path);
  }
  const auto device = files.open("/dev/zero", {});
  REQUIRE_FALSE(device);
  CHECK_THAT(device.error().message, Contains("special file"));
}

TEST_CASE("nothing but a file in the place of any file of a node lets it start, or hang") {
  const support::TempDir scratch;
  const fs::path data = scratch / "data";
  make_node(data);
  const wire::NodeConfig config = config_in(scratch);
  for (const fs::path& file : files_of_node(data)) {
    const bool was_there = fs::exists(file);
    if (was_there) fs::rename(file, scratch / "kept");
    for (const Odd odd : kOddOnes) {
      CAPTURE(file, static_cast<int>(odd));
      make(odd, file);
      const auto node = Bibd::create(config);
      REQUIRE_FALSE(node);
      CHECK_THAT(node.error().message,
                 Contains(file.string() + ": a file belongs here, but this is a "));
      CHECK(fs::exists(fs::symlink_status(file)));
      fs::remove_all(file);
    }
    if (was_there) fs::rename(scratch / "kept", file);
  }
  // And with all of them back it may start.
  CHECK(look(data).verdict == wire::DirectoryVerdict::kStart);
}

TEST_CASE("nothing is removed through a link, whatever removes") {
  const support::TempDir scratch;
  FileSystem& files = posix_file_system();
  const fs::path data = scratch / "data";
  const fs::path treasure = scratch / "elsewhere/treasure";
  fs::create_directories(scratch / "elsewhere");
  support::write_file(treasure, "x");
  fs::create_directories(data / "snapshots");
  const std::string root = (data / "snapshots").string();
  const InstallPlaces places(data.string());
  const auto link = [&](const fs::path& path) {
    fs::create_directory_symlink(scratch / "elsewhere", path);
  };
  SECTION("a tree that is one, or holds some") {
    link(data / "state.old");
    must(remove_tree(files, places.previous));
    fs::create_directories(data / "state.new/deeper");
    link(data / "state.new/link");
    link(data / "state.new/deeper/link");
    must(remove_tree(files, places.next));
    CHECK_FALSE(fs::exists(data / "state.new"));
  }
  SECTION("what a crash left of snapshots") {
    link(data / "snapshots/receiving.tmp");
    fs::create_directories(data / "snapshots/30-1.tmp");
    link(data / "snapshots/30-1.tmp/state");
    CHECK(must(find_snapshots(files, root, {})).snapshots.empty());
    CHECK(fs::is_empty(root));
  }
  SECTION("a snapshot that is removed, fetched, or made again") {
    link(data / "snapshots/30-1");
    must(remove_snapshot(files, root, "30-1"));
    link(data / "snapshots/receiving.tmp");
    must(begin_partial_snapshot(files, root, kReceivingName));
    CHECK(fs::is_directory(fs::symlink_status(data / "snapshots/receiving.tmp")));
  }
  SECTION("an installation") {
    link(data / "state.old");
    link(data / "state");
    fs::create_directories(data / "state.new");
    must(swap_state(files, places));
    must(remove_install_leftovers(files, places));
    CHECK_FALSE(fs::exists(fs::symlink_status(data / "state.old")));
  }
  SECTION("a link that cannot be removed") {
    fs::create_directories(data / "state.old");
    link(data / "state.old/link");
    if (::geteuid() != 0) {
      fs::permissions(data / "state.old", fs::perms::owner_read | fs::perms::owner_exec);
      CHECK_FALSE(remove_tree(files, places.previous));
      fs::permissions(data / "state.old", fs::perms::owner_all);
    }
  }
  CHECK(fs::exists(treasure));
}

TEST_CASE("a link in the place of a snapshot, or of the rows' incoming files, is refused") {
  const support::TempDir scratch;
  const fs::path data = scratch / "data";
  make_node(data);
  fs::create_directories(scratch / "elsewhere");
  support::write_file(scratch / "elsewhere/treasure", "x");
  std::vector<fs::path> places = {data / "state/incoming", data / "state/anything",
                                  data / "snapshots/30-1/state"};
  SECTION("a directory of rows") {
    fs::rename(data / "snapshots/30-1/state", scratch / "kept");
  }
  SECTION("the whole snapshot") {
    fs::rename(data / "snapshots/30-1", scratch / "kept");
    places = {data / "snapshots/30-1"};
  }
  for (const fs::path& place : places) {
    fs::create_directory_symlink(scratch / "elsewhere", place);
    const auto standing = look(data);
    CHECK(standing.state == wire::DirectoryState::kForeignFile);
    CHECK(standing.path == place.string());
    CHECK_FALSE(Bibd::create(config_in(scratch)));
    fs::remove(place);
  }
  CHECK(fs::exists(scratch / "elsewhere/treasure"));
}

TEST_CASE("a log on another disk that is not mounted is no empty log, for a founder and a joiner") {
  const support::TempDir scratch;
  fs::create_directories(scratch / "data");
  wire::NodeConfig config = config_in(scratch);
  for (const bool founds : {true, false}) {
    config.bootstrap = founds;
    fs::create_symlink(scratch / "disk/log", scratch / "data/log");
    const auto node = Bibd::create(config);
    REQUIRE_FALSE(node);
    CHECK(node.error().code == ErrorCode::kConfig);
    CHECK_THAT(node.error().message, Contains("points to nothing") && Contains("Mount the disk"));
    CHECK_FALSE(fs::exists(scratch / "data/JOINING"));
    fs::remove(scratch / "data/log");
  }
  // The disk is mounted.
  fs::create_directories(scratch / "disk/log");
  fs::create_symlink(scratch / "disk/log", scratch / "data/log");
  CHECK(look(scratch / "data").verdict == wire::DirectoryVerdict::kFound);
  must(LogStore::open(posix_file_system(), (scratch / "data/log").string(), test_options()));
  CHECK_FALSE(fs::is_empty(scratch / "disk/log"));
  CHECK(look(scratch / "data").verdict == wire::DirectoryVerdict::kStart);
}

}  // namespace bib::engine
