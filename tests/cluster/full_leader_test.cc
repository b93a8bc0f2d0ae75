// The disk of a leader of three fills up while clients write: nothing acknowledged is lost, the
// others go on, the node says what is wrong, and is well again when there is room.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "cluster.h"
#include "load.h"
#include "whole.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

// A file system of a few MiB in memory, mounted on a directory, that only processes see which
// enter() has put before it. It is there as long as this object lives.
class SmallDisk {
 public:
  // Throws where nothing can be mounted.
  SmallDisk(const fs::path& directory, unsigned mebibytes) : directory_(directory) {
    fs::create_directories(directory);
    const std::string script = fmt::format(
        "mount -t tmpfs -o size={}m none '{}' && echo mounted && exec tail --pid={} -f /dev/null",
        mebibytes, directory.string(), ::getpid());
    holder_ = std::make_unique<Process>(
        std::vector<std::string>{"/usr/bin/env", "unshare", "-m", "/bin/sh", "-c", script},
        Environment{}, scratch_ / "said");
    support::write_file(scratch_ / "said", "");
    const auto said = [&] { return support::read_file(scratch_ / "said"); };
    const bool is_mounted = support::wait_until(
        [&] { return said().find("mounted") != std::string::npos || !holder_->is_running(); }, 30s);
    if (!is_mounted || !holder_->is_running()) throw std::runtime_error("no mount: " + said());
  }

  // What goes before a program that is to see the disk.
  std::string enter() const { return fmt::format("nsenter -t {} -m", holder_->id()); }

  // Takes the last byte, or all but so many.
  void fill(std::uint64_t but = 0) const {
    const fs::path inside = ballast();
    const int file = ::open(inside.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    static constexpr std::array<char, 4096> kBytes{};
    while (fs::space(inside).available > but && ::write(file, kBytes.data(), kBytes.size()) > 0) {
    }
    ::close(file);
  }
  void make_room() const { fs::remove(ballast()); }

 private:
  fs::path ballast() const {
    return fmt::format("/proc/{}/root{}/ballast", holder_->id(), directory_.string());
  }

  support::TempDir scratch_;
  fs::path directory_;
  std::unique_ptr<Process> holder_;
};

bool can_mount() {
  return run({"/usr/bin/env", "unshare", "-m", "/bin/sh", "-c",
              "mount -t tmpfs none /tmp && nsenter -t $$ -m true"})
             .exit_code == 0;
}

// Three nodes; the first, which leads, is on a small disk.
struct Stage {
  explicit Stage(const Environment& environment) : cluster(environment) {
    const std::string script = (scratch / "run").string();
    cluster.use_places({{.runner = {"/bin/sh", script}}});
    cluster.add_node({"--cluster"});
    disk = std::make_unique<SmallDisk>(cluster.data(0), 128);
    support::write_file(script, "exec " + disk->enter() + " \"$@\"\n");
    cluster.start(0);
    for (int i = 0; i < 2; ++i) {
      cluster.start(cluster.add_node({"--cluster-join", cluster.token()}));
    }
    REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 60s));
    load = std::make_unique<Load>(cluster, 8);
    REQUIRE(load->goes_on(200));
    REQUIRE(leader_of(cluster) == 0);
  }

  std::string last_words() const {
    const std::string log = cluster.node_log(0);
    return log.substr(std::min(log.size(), log.rfind("\nbibd: ")));
  }

  support::TempDir scratch;
  Cluster cluster;
  std::unique_ptr<SmallDisk> disk;
  std::unique_ptr<Load> load;  // ends first
};

// Room is needed again and again, for small files of the log.
Environment small_segments(const std::string& reserve) {
  Environment environment = quick_timeouts();
  environment["BIBD_LOG_SEGMENT_BYTES"] = "64KiB";
  environment["BIBD_LIMITS_DISK_RESERVE"] = reserve;
  return environment;
}

}  // namespace

TEST_CASE("a leader of three whose disk is full ends and says why; the others go on without it") {
  if (!can_mount()) return support::skip("nothing can be mounted here");
  Stage stage(small_segments("0"));
  Cluster& cluster = stage.cluster;
  stage.disk->fill();
  REQUIRE(cluster.process(0).wait(60s) == 1);
  CHECK_THAT(stage.last_words(),
             Contains("No space left on device") &&
                 Contains("free space on that disk", Catch::CaseSensitive::No) &&
                 Contains(cluster.data(0).string()));
  CHECK(stage.load->goes_on(1000));
  CHECK(leader_of(cluster) != 0);

  stage.disk->make_room();
  cluster.start(0);
  CHECK(stage.load->goes_on(200));
  require_whole(cluster, *stage.load);
}

TEST_CASE(
    "a leader of three whose disk is nearly full refuses writes until it need not take them") {
  if (!can_mount()) return support::skip("nothing can be mounted here");
  constexpr std::uint64_t kLeft = std::uint64_t{40} << 20;
  Stage stage(small_segments("48MiB"));
  Cluster& cluster = stage.cluster;
  stage.disk->fill(kLeft);
  REQUIRE(support::wait_until(
      [&] { return cluster.node_log(0).find("is nearly full") != std::string::npos; }, 60s));
  const Finished set = cluster.bib({"--timeout", "1s", "config", "set", "key", "value"});
  CHECK(set.exit_code != 0);
  CHECK_THAT(set.err, Contains("less than limits.disk_reserve (48MiB)") &&
                          Contains("Make room there") &&
                          Contains("the disk of node " + to_string(cluster.id(0))));
  SECTION("another voter, with more room, is made the leader") {
    const Finished done = cluster.bib({"--timeout", "30s", "cluster", "transfer"});
    INFO(done.err);
    CHECK(done.exit_code == 0);
    CHECK(stage.load->goes_on(1000));
    stage.disk->make_room();
  }
  SECTION("room is made") {
    stage.disk->make_room();
    CHECK(stage.load->goes_on(1000));
  }
  require_whole(cluster, *stage.load);
  CHECK(cluster.process(0).is_running());
}
