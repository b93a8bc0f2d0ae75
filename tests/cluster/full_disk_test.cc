// A node whose disk has less room than it must keep: it refuses writes, and does all else.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cluster.h"
#include "wire/base/prng.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kReserve = std::uint64_t{1} << 40;

// A file that takes so much of the disk; false: it could not be made.
bool fill(const std::filesystem::path& file, std::uint64_t bytes) {
  const int opened = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (opened < 0) return false;
  const int failed = ::fallocate(opened, 0, 0, static_cast<off_t>(bytes));
  ::close(opened);
  return failed == 0;
}

// Where the nodes' data directories will be.
std::uint64_t free_bytes() {
  const support::TempDir scratch;
  return std::filesystem::space(scratch.path()).available;
}

constexpr const char* kTooMuchRoom =
    "the disk has the terabyte that these nodes are to be short of";

// What the leader says of another node.
std::optional<cli::MemberView> member_of(const Cluster& cluster, std::size_t leader,
                                         std::size_t node) {
  const auto view = cluster.view(leader);
  if (!view) return std::nullopt;
  for (const cli::MemberView& member : view->members) {
    if (member.api_address == cluster.api(node) && member.known) return member;
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("a leader that is short of disk space refuses writes, says why, and answers reads") {
  if (free_bytes() >= kReserve) return support::skip(kTooMuchRoom);
  Environment environment = quick_timeouts();
  environment["BIBD_LIMITS_DISK_RESERVE"] = "1024GiB";
  Cluster cluster(environment);
  cluster.form(1);
  REQUIRE(support::wait_until(
      [&] { return cluster.node_log(0).find("is nearly full") != std::string::npos; }, 30s));
  const Finished set = cluster.bib({"--timeout", "1s", "config", "set", "key", "value"});
  CHECK(set.exit_code != 0);
  CHECK(set.err.find("less than limits.disk_reserve (1024GiB)") != std::string::npos);
  CHECK(set.err.find("Make room there") != std::string::npos);
  const Finished list = cluster.bib({"config", "list"});
  CHECK(list.exit_code == 0);
  const Finished status = cluster.bib({"-o", "json", "cluster", "status"});
  REQUIRE(status.exit_code == 0);
  CHECK(nlohmann::json::parse(status.out).at("node").at("counters").at("disk.is_nearly_full") == 1);
}

TEST_CASE("a leader whose disk filled up takes writes again by itself when there is room") {
  // What others may write or remove meanwhile: on a small disk they would decide the test.
  constexpr std::uint64_t kMarginMin = std::uint64_t{4} << 30;
  constexpr std::uint64_t kParts = 8;
  const support::TempDir scratch;
  const auto ballast = scratch / "ballast";
  const std::uint64_t free = free_bytes();
  const std::uint64_t margin = free / kParts;
  if (margin < kMarginMin) {
    return support::skip("less than 32 GiB are free: what others write could decide it");
  }
  if (free > kReserve)
    return support::skip("a terabyte is free, and a third of it is too much to take");
  if (!fill(ballast, 1U << 20)) return support::skip("the file system has no fallocate");
  // There is room again when an eighth more is free.
  const std::uint64_t reserve = (free - margin) / 9 * 8;
  Environment environment = quick_timeouts();
  environment["BIBD_LIMITS_DISK_RESERVE"] = std::to_string(reserve);
  Cluster cluster(environment);
  cluster.form(1);
  const auto takes_writes = [&] {
    return cluster.bib({"--timeout", "500ms", "config", "set", "key", "value"}).exit_code == 0;
  };
  REQUIRE(support::wait_until(takes_writes, 20s));
  REQUIRE(fill(ballast, free - reserve + margin));
  REQUIRE(support::wait_until([&] { return !takes_writes(); }, 20s));
  CHECK(cluster.bib({"config", "get", "key"}).exit_code == 0);
  std::filesystem::remove(ballast);
  CHECK(support::wait_until(takes_writes, 20s));
  CHECK(cluster.process(0).is_running());
}

TEST_CASE(
    "a learner without room for the snapshot says so, is shown as unhealthy, and gets there") {
  if (free_bytes() >= kReserve) return support::skip(kTooMuchRoom);
  Environment environment = quick_timeouts();
  environment["BIBD_LOG_SEGMENT_BYTES"] = "64KiB";
  environment["BIBD_CLUSTER_SNAPSHOT_THRESHOLD"] = "20";
  environment["BIBD_CLUSTER_RAFT_TRAILING_LOGS"] = "5";
  environment["BIBD_LIMITS_DISK_RESERVE"] = "0";
  Cluster cluster(environment);
  // The second node's disk must keep more than it has, as long as this file says so.
  const support::TempDir scratch;
  const std::string reserve = (scratch / "reserve").string();
  support::write_file(reserve, "BIBD_LIMITS_DISK_RESERVE=1024GiB");
  cluster.use_places(
      {{}, {.runner = {"/bin/sh", "-c", "exec env $(cat " + reserve + ") \"$@\"", "bibd"}}});
  cluster.form(1);

  wire::Prng random(11);
  for (int i = 0; i < 60; ++i) {
    const std::string value = hex_text(random, 16'000);
    REQUIRE(cluster.bib({"config", "set", "k" + std::to_string(i), "-"}, value).exit_code == 0);
  }
  REQUIRE(support::wait_until(
      [&] {
        const auto view = cluster.view(0);
        return view && view->first > wire::LogIndex(20);
      },
      30s));
  cluster.start(cluster.add_node({"--cluster-join", cluster.token(), "--non-voter"}));
  const bool is_shown = support::wait_until(
      [&] {
        const auto learner = member_of(cluster, 0, 1);
        return learner && !learner->healthy && count_of(cluster.node_log(1), "no room for it") > 0;
      },
      60s);
  INFO(cluster.node_log(1));
  REQUIRE(is_shown);
  CHECK(cluster.node_log(1).find("it is fetched by itself then") != std::string::npos);
  CHECK(count_of(cluster.node_log(1), "no room for it") <= 2);  // not at each attempt
  CHECK(cluster.process(1).is_running());

  support::write_file(reserve, "");
  cluster.kill_9(1);
  cluster.start(1);
  CHECK(support::wait_until([&] { return cluster.converged(); }, 60s));
  const auto learner = member_of(cluster, 0, 1);
  REQUIRE(learner);
  CHECK(learner->healthy);
}
