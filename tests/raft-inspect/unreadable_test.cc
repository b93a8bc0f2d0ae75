// What cannot be read is neither clean nor damaged; and only plain files are opened.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <functional>

#include "log_writer.h"
#include "projections/apply/replay.h"
#include "projections/state/rocks_state.h"
#include "support/test_support.h"
#include "wire/log/data_directory.h"
#include "wire/log/log_start.h"
#include "wire/log/snapshot_manifest.h"

namespace bib::inspect {
namespace {

namespace fs = std::filesystem;

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  INFO(part);
  return text.find(part) != std::string::npos;
}

// A log, rows at entry 20, and a snapshot of entry 1 with one file that is none of RocksDB's.
void make_node(const fs::path& root) {
  LogWriter log(root / "log");
  std::vector<wire::Bytes> entries;
  for (std::uint64_t i = 1; i <= 30; ++i) {
    wire::EntryBuilder builder;
    builder.add_event(encoded(wire::ConfigSet{"key" + std::to_string(i), "value"}, 1));
    entries.push_back(builder.seal(log.stamp()));
    log.raw_entry(entries.back()).block();
    if (i == 12) log.roll();
  }
  log.watermark();
  auto store = projections::RocksStore::open(root / "state");
  REQUIRE(store);
  std::size_t next = 0;
  const auto feed = [&]() -> wire::Result<std::optional<wire::Bytes>> {
    if (next == 20) return std::nullopt;
    return entries[next++];
  };
  REQUIRE(projections::replay(feed, **store));
  REQUIRE((*store)->flush());

  const std::string content = "rows of a snapshot";
  wire::SnapshotFileMeasure measured;
  measured.add(wire::as_bytes(content));
  wire::SnapshotManifest manifest;
  manifest.cluster = LogWriterOptions::filled_cluster(0xc1);
  manifest.node = wire::NodeId(0xa1);
  manifest.index = wire::LogIndex(1);
  manifest.term = wire::Term(1);
  manifest.membership_index = wire::LogIndex(1);
  manifest.membership = wire::decode_membership(membership_bytes()).value();
  manifest.files = {measured.file("000001.sst")};
  const fs::path snapshot = root / "snapshots" / "1-1";
  fs::create_directories(snapshot / "state");
  support::write_file(snapshot / "state" / "000001.sst", content);
  const auto bytes = wire::encode_snapshot_manifest(manifest);
  support::write_file(snapshot / "manifest", std::string(wire::as_text(bytes)));
}

fs::path some_table(const fs::path& root) {
  for (const fs::path& table : support::files_of(root / "state", ".sst")) {
    if (fs::file_size(table) > 0) return table;
  }
  FAIL("there is no file of rows");
  return {};
}

std::vector<fs::path> some_of_each_kind(const fs::path& root) {
  std::vector<fs::path> files{root / "log" / wire::segment_file_name(1),
                              root / "log" / wire::segment_file_name(2),
                              root / "state" / "CURRENT",
                              some_table(root),
                              root / "snapshots" / "1-1" / "manifest",
                              root / "snapshots" / "1-1" / "state" / "000001.sst"};
  for (const auto& file : fs::directory_iterator(root / "state")) {
    if (file.path().filename().string().starts_with("MANIFEST")) files.push_back(file.path());
  }
  return files;
}

// Nobody in particular, where the test is run by root, who may read everything.
class Nobody {
 public:
  explicit Nobody(const fs::path& root) : was_root_(::geteuid() == 0) {
    if (!was_root_) return;
    REQUIRE(::chown(root.c_str(), kNobody, kNobody) == 0);
    for (const auto& each : fs::recursive_directory_iterator(root)) {
      REQUIRE(::lchown(each.path().c_str(), kNobody, kNobody) == 0);
    }
    REQUIRE(::seteuid(kNobody) == 0);
  }
  ~Nobody() {
    if (was_root_ && ::seteuid(0) != 0) std::abort();
  }
  Nobody(const Nobody&) = delete;
  Nobody& operator=(const Nobody&) = delete;

 private:
  static constexpr uid_t kNobody = 65534;
  const bool was_root_;
};

void check_incomplete(const fs::path& root, const fs::path& unread) {
  CAPTURE(unread);
  const fs::perms before = fs::status(unread).permissions();
  fs::permissions(unread, fs::perms::none);
  for (const std::vector<std::string>& options : {std::vector<std::string>{}, {"--replay"}}) {
    std::vector<std::string> arguments{"verify", root};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Outcome outcome = run_inspect(arguments);
    CHECK(outcome.code == 1);
    CHECK(has(outcome.out + outcome.err, "Permission denied"));
    CHECK_FALSE(has(outcome.out + outcome.err, "DAMAGE"));
    CHECK_FALSE(has(outcome.out, "\nclean"));
  }
  const Outcome status = run_inspect({"status", root});
  CHECK((status.code == 1 || status.code == 0));
  CHECK_FALSE(has(status.out + status.err, "DAMAGE"));
  fs::permissions(unread, before);
}

}  // namespace

TEST_CASE("what may not be read makes a check incomplete, and is not called damage") {
  support::TempDir dir;
  make_node(dir.path());
  CHECK(run_inspect({"verify", dir.path()}).code == 0);
  std::vector<fs::path> unread = some_of_each_kind(dir.path());
  for (const char* folder : {"log", "state", "snapshots", "snapshots/1-1", "snapshots/1-1/state"}) {
    unread.push_back(dir / folder);
  }
  const Nobody nobody(dir.path());
  for (const fs::path& each : unread) check_incomplete(dir.path(), each);
  CHECK(run_inspect({"verify", dir.path()}).code == 0);
  fs::permissions(dir.path(), fs::perms::none);
  CHECK(run_inspect({"verify", dir.path()}).code == 1);
  fs::permissions(dir.path(), fs::perms::owner_read);
  CHECK(run_inspect({"verify", dir.path()}).code == 1);
  fs::permissions(dir.path(), fs::perms::owner_all);
}

TEST_CASE("a note of an installation that may not be read makes a check incomplete") {
  support::TempDir dir;
  make_node(dir.path());
  support::write_file(dir / "snapshots" / "installing", "1-1\n");
  const Nobody nobody(dir.path());
  check_incomplete(dir.path(), dir / "snapshots" / "installing");
}

TEST_CASE("rows whose files are missing or damaged are never clean") {
  support::TempDir dir;
  make_node(dir.path());
  int expected = 1;
  std::string said;
  SECTION("CURRENT is missing") {
    fs::remove(dir / "state" / "CURRENT");
    said = "but not CURRENT";
  }
  SECTION("the MANIFEST that CURRENT names is missing") {
    for (const auto& file : fs::directory_iterator(dir / "state")) {
      if (file.path().filename().string().starts_with("MANIFEST")) fs::remove(file.path());
    }
    expected = 3;
    said = "MANIFEST";
  }
  SECTION("CURRENT is empty") {
    support::write_file(dir / "state" / "CURRENT", "");
    expected = 3;
    said = "CURRENT";
  }
  SECTION("a file of rows is missing") {
    fs::remove(some_table(dir.path()));
    expected = 3;
    said = "move " + (dir / "state").string() + " away";
  }
  SECTION("a byte of a file of rows has changed") {
    const fs::path table = some_table(dir.path());
    std::string bytes = support::read_file(table);
    bytes[20] = static_cast<char>(bytes[20] ^ 4);
    support::write_file(table, bytes);
    expected = 3;
    said = "move " + (dir / "state").string() + " away";
  }
  for (const std::vector<std::string>& options : {std::vector<std::string>{}, {"--replay"}}) {
    std::vector<std::string> arguments{"verify", dir.path()};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Outcome outcome = run_inspect(arguments);
    CHECK(outcome.code == expected);
    CHECK(has(outcome.out, said));
    CHECK_FALSE(has(outcome.out, "\nclean"));
  }
  CHECK(run_inspect({"status", dir.path()}).code != 4);
}

TEST_CASE("rows that nothing in the directory can replace are not to be moved away") {
  support::TempDir dir;
  {
    LogWriterOptions options;
    options.base_index = wire::LogIndex(10);
    options.base_term = wire::Term(1);
    LogWriter log(dir / "log", options);
    log.noop().block().watermark();
  }
  fs::create_directories(dir / "state");
  support::write_file(dir / "state" / "CURRENT", "");
  const Outcome outcome = run_inspect({"verify", dir.path()});
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "nothing in this directory can replace them"));
  CHECK(has(outcome.out, "bib cluster member remove"));
  CHECK_FALSE(has(outcome.out, "rebuilds them"));
}

TEST_CASE("a pipe, a device, a link or a socket in place of a file is not opened") {
  support::TempDir dir;
  make_node(dir.path());
  const fs::path aside = dir / "aside";
  const auto socket_at = [](const fs::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(path.string().size() < sizeof(address.sun_path));
    std::strcpy(address.sun_path, path.c_str());
    const int number = ::socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(::bind(number, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    ::close(number);
  };
  const std::vector<std::pair<std::string, std::function<void(const fs::path&)>>> kinds{
      {"special file", [](const fs::path& path) { CHECK(::mkfifo(path.c_str(), 0600) == 0); }},
      {"symbolic link", [](const fs::path& path) { fs::create_symlink("/dev/zero", path); }},
      {"symbolic link", [&](const fs::path& path) { fs::create_symlink(aside, path); }},
      {"socket", socket_at},
  };
  for (const fs::path& file : some_of_each_kind(dir.path())) {
    for (const auto& [name, make] : kinds) {
      CAPTURE(file, name);
      fs::rename(file, aside);
      make(file);
      for (const std::vector<std::string>& options :
           {std::vector<std::string>{"verify"}, {"verify", "--replay"}, {"status"}, {"log"}}) {
        std::vector<std::string> arguments = options;
        arguments.push_back(dir.path());
        const Outcome outcome = run_inspect(arguments);
        CHECK((outcome.code == 1 || outcome.code == 3 || options.front() != "verify"));
        CHECK((options.front() != "verify" || has(outcome.out, "is a " + name)));
      }
      fs::remove(file);
      fs::rename(aside, file);
    }
  }
  CHECK(run_inspect({"verify", dir.path()}).code == 0);
}

TEST_CASE("a pipe in place of the log is no log") {
  support::TempDir dir;
  make_node(dir.path());
  fs::rename(dir / "log", dir / "aside");
  REQUIRE(::mkfifo((dir / "log").c_str(), 0600) == 0);
  for (const char* command : {"status", "log", "verify"}) {
    const Outcome outcome = run_inspect({command, dir.path()});
    CHECK(outcome.code == 3);
    CHECK(has(outcome.out + outcome.err, "a directory belongs here, but this is a special file"));
  }
}

}  // namespace bib::inspect
