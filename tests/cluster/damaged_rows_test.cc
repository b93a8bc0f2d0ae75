// Damage in a node's rows and snapshots, with real processes: who needs them gets whole ones, who
// reads is answered by another node, and what a node says that cannot go on is followed to the end.

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "steps.h"
#include "wire/base/prng.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

constexpr int kKeys = 60;

// Logs that are soon cut behind a snapshot, of which none is made but when it is asked for or due.
Environment short_logs() {
  Environment environment = quick_timeouts();
  environment["BIBD_LOG_SEGMENT_BYTES"] = "64KiB";
  environment["BIBD_CLUSTER_SNAPSHOT_THRESHOLD"] = "1000000";
  environment["BIBD_CLUSTER_SNAPSHOT_RETAIN_COUNT"] = "1";
  environment["BIBD_CLUSTER_RAFT_TRAILING_LOGS"] = "10";
  return environment;
}

std::string key_of(int number) {
  return "k." + std::to_string(number);
}

void write_keys(const Cluster& cluster) {
  wire::Prng prng(7);
  for (int i = 0; i < kKeys; ++i) {
    must_bib(cluster, {"config", "set", key_of(i), hex_text(prng, 4000)});
  }
}

Finished create_snapshot(const Cluster& cluster, std::size_t node) {
  return run({program("BIB_BIB"), "--server", cluster.api(node), "snapshot", "create"});
}

// Once what was written last has arrived there: before that the newest one is good enough.
bool fails_to_make_snapshot(const Cluster& cluster, std::size_t node) {
  return support::wait_until([&] { return create_snapshot(cluster, node).exit_code != 0; }, 20s);
}

// One snapshot on this node, of all that was written; its log is cut.
void cut_log(const Cluster& cluster, std::size_t node) {
  const Finished made = create_snapshot(cluster, node);
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  REQUIRE(support::wait_until(
      [&] {
        const auto seen = cluster.view(node);
        return seen && seen->first > wire::LogIndex(1);
      },
      20s));
}

std::vector<fs::path> tables_in(const fs::path& directory) {
  return support::files_of(directory, ".sst");
}

// The directory's largest file of rows.
fs::path largest_table(const fs::path& directory) {
  const std::vector<fs::path> tables = tables_in(directory);
  REQUIRE_FALSE(tables.empty());
  return *std::max_element(tables.begin(), tables.end(), [](const auto& one, const auto& other) {
    return fs::file_size(one) < fs::file_size(other);
  });
}

fs::path only_snapshot(const Cluster& cluster, std::size_t node) {
  fs::path found;
  for (const auto& entry : fs::directory_iterator(cluster.data(node) / "snapshots")) {
    REQUIRE(found.empty());
    found = entry.path();
  }
  REQUIRE_FALSE(found.empty());
  return found;
}

void require_well(const Cluster& cluster) {
  INFO(cluster.node_log(0));
  REQUIRE(support::wait_until([&] { return cluster.all_healthy() && cluster.converged(); }, 60s));
}

void damage_table(const fs::path& table) {
  for (std::size_t offset = 5000; offset + 5000 < fs::file_size(table); offset += 10'000) {
    support::flip_bit(table, offset);
  }
}

// The rows of a node that does not run are damaged, in the middle of each of their larger files.
void damage_rows(const Cluster& cluster, std::size_t node) {
  for (const fs::path& table : tables_in(cluster.data(node) / "state")) damage_table(table);
}

}  // namespace

TEST_CASE("a node joins although the leader's newest snapshot is damaged: another one is made") {
  Cluster cluster(short_logs());
  cluster.form(1);
  write_keys(cluster);
  cut_log(cluster, 0);
  const fs::path snapshot = only_snapshot(cluster, 0);
  bool is_missing = false;
  SECTION("a bit has flipped") {
    // Of a file that the rows have for themselves.
    support::flip_bit(snapshot / "manifest", 100);
  }
  SECTION("a file is missing") {
    fs::remove(largest_table(snapshot / "state"));
    is_missing = true;
  }
  cluster.start(cluster.add_node({"--cluster-join", cluster.token()}));
  require_well(cluster);
  const std::string leader = cluster.node_log(0);
  INFO(leader << cluster.node_log(1));
  CHECK(count_of(leader, "It is set aside as " + snapshot.filename().string() + ".damaged") == 1);
  CHECK_THAT(leader, Contains(is_missing ? "could not be read" : "its manifest came damaged"));
  CHECK(count_of(cluster.node_log(1), "the snapshot could not be fetched") == 1);
  CHECK(count_of(leader, "made snapshot") == 2);
  CHECK(support::wait_until([&] { return !fs::exists(snapshot.string() + ".damaged"); }, 20s));
}

TEST_CASE("a read that meets damage in its node's rows is answered by another node") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  write_keys(cluster);
  const std::size_t node = (leader_of(cluster) + 1) % 3;
  const std::string id = to_string(cluster.id(node));
  stop(cluster, node);
  damage_rows(cluster, node);
  cluster.start(node);
  REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
  must_bib(cluster, {"cluster", "transfer", id});
  for (int i = 0; i < kKeys; ++i) {
    CHECK(must_bib(cluster, {"config", "get", key_of(i)}).size() >= 4000);
  }
  REQUIRE(cluster.process(node).wait(20s) == 1);
  const std::string said = last_words(cluster, node);
  CHECK_THAT(said, Contains("The rows in " + (cluster.data(node) / "state").string()) &&
                       Contains("start the node again"));
  // Until then it is known to be damaged.
  const Finished verify = run({program("BIB_RAFT_INSPECT"), "verify", cluster.data(node).string()});
  CHECK(verify.exit_code == 3);
  CHECK_THAT(verify.out, Contains("start the node"));
  // And what it says is all there is to do.
  cluster.start(node);
  require_well(cluster);
  CHECK_THAT(cluster.node_log(node), Contains("rebuilding the rows from the log"));
  stop(cluster, node);
  CHECK(run({program("BIB_RAFT_INSPECT"), "verify", "--state", cluster.data(node).string()})
            .exit_code == 0);
}

TEST_CASE("a leader whose rows are damaged hands over when a snapshot shows it") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  write_keys(cluster);
  const std::size_t node = leader_of(cluster);
  REQUIRE(create_snapshot(cluster, node).exit_code == 0);
  support::flip_bit(largest_table(cluster.data(node) / "state"), 3000);
  must_bib(cluster, {"config", "set", "one", "more"});
  CHECK(fails_to_make_snapshot(cluster, node));
  REQUIRE(cluster.process(node).wait(20s) == 1);
  CHECK_THAT(cluster.node_log(node),
             Contains("as a snapshot of them shows") && Contains("handing the leadership to"));
  cluster.start(node);
  require_well(cluster);
}

TEST_CASE(
    "a node whose rows and snapshots are damaged behind a cut log joins again as it is told") {
  Cluster cluster(short_logs());
  cluster.form(3);
  write_keys(cluster);
  const std::size_t node = (leader_of(cluster) + 1) % 3;
  const wire::NodeId id = cluster.id(node);
  cut_log(cluster, node);
  stop(cluster, node);
  damage_rows(cluster, node);
  const std::vector<fs::path> damaged = tables_in(cluster.data(node) / "state");
  for (const fs::path& table : tables_in(only_snapshot(cluster, node) / "state")) {
    const bool is_shared = std::any_of(damaged.begin(), damaged.end(), [&](const fs::path& one) {
      return fs::equivalent(one, table);
    });
    if (!is_shared) damage_table(table);
  }
  cluster.start(node);
  REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 30s));
  // A snapshot shows it; the first thing that is said is to start the node again.
  must_bib(cluster, {"config", "set", "one", "more"});
  CHECK(fails_to_make_snapshot(cluster, node));
  REQUIRE(cluster.process(node).wait(20s) == 1);
  CHECK_THAT(last_words(cluster, node), Contains("start the node again"));
  cluster.start(node);
  REQUIRE(cluster.process(node).wait(30s) == 1);
  const std::string said = last_words(cluster, node);
  CHECK_THAT(said, Contains("The log is whole, but starts at entry") &&
                       Contains("no snapshot to continue from that is whole") &&
                       Contains(".damaged") && Contains("Keep that directory"));
  CHECK(fs::exists(cluster.data(node) / "state"));

  join_again_as_told(cluster, node, said, id);
  require_well(cluster);
  CHECK(cluster.id(node) != id);
}
