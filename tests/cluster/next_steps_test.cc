// What a node says that must not start, or that the others refuse: followed to the letter, on the
// same machine and with the same configuration file, until the node is well.

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "steps.h"
#include "wire/base/prng.h"
#include "wire/log/commit_note.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

// Of some kilobytes each, which do not compress well.
void write_entries(const Cluster& cluster, int count) {
  wire::Prng prng(7);
  for (int i = 0; i < count; ++i) {
    std::string value = std::to_string(i);
    while (value.size() < 6000) value += fmt::format("{:016x}", prng.next());
    must_bib(cluster, {"config", "set", "k", value});
  }
}

// Every member is a voter, healthy, and has all that was written.
void require_well(const Cluster& cluster) {
  REQUIRE(support::wait_until([&] { return cluster.all_healthy(); }, 60s));
  write_entries(cluster, 1);
  REQUIRE(support::wait_until([&] { return cluster.all_healthy() && cluster.converged(); }, 60s));
}

std::size_t a_follower(const Cluster& cluster) {
  return (leader_of(cluster) + 1) % cluster.size();
}

// Starts the node, which ends with this exit code; its last words.
std::string refused(Cluster& cluster, std::size_t node, int exit_code) {
  cluster.start(node);
  REQUIRE(cluster.process(node).wait(30s) == exit_code);
  return last_words(cluster, node);
}

// Changes one line of the node's configuration, and gives the file as it was before.
std::string replace_setting(const Cluster& cluster, std::size_t node, const std::string& setting,
                            const std::string& replacement) {
  const std::string before = support::read_file(cluster.config(node));
  const std::size_t at = before.find(setting);
  REQUIRE(at != std::string::npos);
  std::string text = before;
  text.replace(at, setting.size(), replacement);
  support::write_file(cluster.config(node), text);
  return before;
}

// Logs that are soon cut behind a snapshot.
Environment short_logs() {
  Environment environment = quick_timeouts();
  environment["BIBD_LOG_SEGMENT_BYTES"] = "64KiB";
  environment["BIBD_CLUSTER_SNAPSHOT_THRESHOLD"] = "20";
  environment["BIBD_CLUSTER_RAFT_TRAILING_LOGS"] = "10";
  return environment;
}

// How far the node has noted that its log is committed.
wire::LogIndex noted_commit(const Cluster& cluster, std::size_t node) {
  const fs::path path = cluster.data(node) / "log" / wire::kCommitNoteFileName;
  if (!fs::exists(path)) return {};
  const auto note = wire::decode_commit_note(wire::as_bytes(support::read_file(path)));
  return note ? note->committed.index : wire::LogIndex();
}

bool has_cut_log(const Cluster& cluster, std::size_t node) {
  const auto seen = cluster.view(node);
  return seen && seen->first > wire::LogIndex(1);
}

void is_well_again_as_told(Cluster& cluster, std::size_t node, const std::string& said,
                           wire::NodeId old_id) {
  join_again_as_told(cluster, node, said, old_id);
  require_well(cluster);
  CHECK(cluster.id(node) != old_id);
}

}  // namespace

TEST_CASE("a voter whose disk was wiped votes again once it has done what it is told") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  write_entries(cluster, 1);
  const std::size_t node = a_follower(cluster);
  const wire::NodeId id = cluster.id(node);
  cluster.kill_9(node);
  fs::remove_all(cluster.data(node));
  // A founder founds again, and the others tell it that there is a cluster already.
  const std::string said = refused(cluster, node, node == 0 ? 1 : 10);
  CHECK_THAT(said, Contains("disk was lost"));
  is_well_again_as_told(cluster, node, said, id);
}

TEST_CASE("a node that is given another one's directory is well once its setting is corrected") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t node = a_follower(cluster);
  const std::size_t other = (node + 1) % 3;
  const std::string id = to_string(cluster.id(node));
  const std::string other_id = to_string(cluster.id(other));
  std::string said;
  SECTION("the directory is wrong, and it uses another one: its own") {
    stop(cluster, node);
    stop(cluster, other);
    const std::string before =
        replace_setting(cluster, node, cluster.data(node).string(), cluster.data(other).string());
    said = refused(cluster, node, 3);
    CHECK_THAT(said, Contains("belongs to node " + other_id) && Contains("node_id says " + id));
    CHECK_THAT(said, Contains("use another data_dir"));
    support::write_file(cluster.config(node), before);
    cluster.start(other);
  }
  SECTION("the id is wrong, and is corrected to the one that is named") {
    stop(cluster, node);
    replace_setting(cluster, node, id, "00000000000000aa");
    said = refused(cluster, node, 3);
    CHECK_THAT(said, Contains("node_id says 00000000000000aa") && Contains("Correct node_id"));
    const std::string named = "belongs to node ";
    replace_setting(cluster, node, "00000000000000aa",
                    said.substr(said.find(named) + named.size(), id.size()));
  }
  cluster.start(node);
  require_well(cluster);
  CHECK(to_string(cluster.id(node)) == id);
}

TEST_CASE("a node whose note of an installation names none joins again as it is told") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  write_entries(cluster, 1);
  const std::size_t node = a_follower(cluster);
  const wire::NodeId id = cluster.id(node);
  stop(cluster, node);
  fs::create_directories(cluster.data(node) / "snapshots");
  support::write_file(cluster.data(node) / "snapshots/installing", "x");
  const std::string said = refused(cluster, node, 1);
  CHECK_THAT(said, Contains("does not name a snapshot"));
  is_well_again_as_told(cluster, node, said, id);
}

TEST_CASE("a node whose rows are lost behind a cut log joins again as it is told") {
  Cluster cluster(short_logs());
  cluster.form(3);
  const std::size_t node = a_follower(cluster);
  const wire::NodeId id = cluster.id(node);
  REQUIRE(support::wait_until(
      [&] {
        write_entries(cluster, 10);
        return has_cut_log(cluster, node);
      },
      60s));
  stop(cluster, node);
  fs::remove_all(cluster.data(node) / "state");
  fs::remove_all(cluster.data(node) / "snapshots");
  const std::string said = refused(cluster, node, 1);
  CHECK_THAT(said, Contains("no snapshot reaches that far"));
  is_well_again_as_told(cluster, node, said, id);
}

TEST_CASE("a node whose rows know more than its log joins again as it is told") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t node = a_follower(cluster);
  const wire::NodeId id = cluster.id(node);
  stop(cluster, node);
  const support::TempDir scratch;
  fs::copy(cluster.data(node) / "log", scratch / "log", fs::copy_options::recursive);
  cluster.start(node);
  require_well(cluster);
  stop(cluster, node);
  fs::remove_all(cluster.data(node) / "log");
  fs::copy(scratch / "log", cluster.data(node) / "log", fs::copy_options::recursive);
  const std::string said = refused(cluster, node, 1);
  CHECK_THAT(said, Contains("entries that were durable are missing"));
  is_well_again_as_told(cluster, node, said, id);
}

TEST_CASE("a node that has what the others lost says so, ends, and joins again as it is told") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const support::TempDir scratch;
  const auto save = [&](std::size_t node) {
    fs::copy(cluster.data(node), scratch / "saved", fs::copy_options::recursive);
  };
  const auto put_back = [&](std::size_t node) {
    fs::remove_all(cluster.data(node));
    fs::rename(scratch / "saved", cluster.data(node));
  };
  write_entries(cluster, 1);
  stop(cluster, 2);
  save(2);
  cluster.start(2);
  require_well(cluster);
  const wire::NodeId id = cluster.id(0);
  stop(cluster, 1);
  for (int i = 0; i < 5; ++i)
    must_bib(cluster, {"config", "set", "lost/" + std::to_string(i), "x"});
  SECTION("it was stopped") {
    stop(cluster, 0);
  }
  SECTION("it was killed") {
    const auto seen = cluster.view(0);
    REQUIRE(seen);
    REQUIRE(support::wait_until([&] { return noted_commit(cluster, 0) >= seen->commit; }, 20s));
    cluster.kill_9(0);
  }
  stop(cluster, 2);
  put_back(2);
  cluster.start(1);
  cluster.start(2);
  (void)leader_of(cluster);
  must_bib(cluster, {"config", "set", "k", "after"});

  const std::string said = refused(cluster, 0, 11);
  CHECK_THAT(said, Contains("lost entries that were acknowledged"));
  CHECK_THAT(said, Contains("raft-inspect log " + cluster.data(0).string()));
  for (const std::size_t other : {1U, 2U}) {
    const auto seen = cluster.view(other);
    REQUIRE(seen);
    CHECK(std::any_of(seen->members.begin(), seen->members.end(), [&](const cli::MemberView& one) {
      return one.id == id && one.report.find("this cluster has lost") != std::string::npos;
    }));
    CHECK_THAT(cluster.node_log(other), Contains("reports that it has entries"));
  }
  // What it holds is still there.
  const std::string log = support::read_file(cluster.log_path(0));
  CHECK_THAT(log, Contains("answers no reads"));
  is_well_again_as_told(cluster, 0, said, id);
}

TEST_CASE("a node whose log is lost founds and asks nothing, and joins again as it is told") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  write_entries(cluster, 1);
  const std::size_t node = GENERATE(0, 1);  // the founder; one that joined
  const wire::NodeId id = cluster.id(node);
  stop(cluster, node);
  fs::remove_all(cluster.data(node) / "log");
  if (node == 0) fs::create_directories(cluster.data(node) / "log");  // a mount point, not mounted
  const std::string said = refused(cluster, node, 1);
  CHECK_THAT(said, Contains("there is no segment of the log"));
  CHECK_FALSE(fs::exists(cluster.data(node) / "JOINING"));
  is_well_again_as_told(cluster, node, said, id);
}

TEST_CASE("a node whose log is on a disk that is not there is well once it has what it is told") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  write_entries(cluster, 1);
  const std::size_t node = a_follower(cluster);
  const wire::NodeId id = cluster.id(node);
  const fs::path log = cluster.data(node) / "log";
  const fs::path disk = cluster.data(node).string() + ".disk";
  const fs::path elsewhere = cluster.data(node).string() + ".elsewhere";
  stop(cluster, node);
  fs::create_directories(disk);
  fs::rename(log, disk / "log");
  fs::create_directory_symlink(disk / "log", log);
  cluster.start(node);
  require_well(cluster);
  stop(cluster, node);

  fs::rename(disk, elsewhere);
  const std::string said = refused(cluster, node, 3);
  CHECK_THAT(said, Contains(log.string() + ": this symbolic link points to nothing") &&
                       Contains("Mount the disk that it points to, or correct the link"));
  SECTION("the disk is mounted") {
    fs::rename(elsewhere, disk);
  }
  SECTION("the link is corrected") {
    fs::remove(log);
    fs::create_directory_symlink(elsewhere / "log", log);
  }
  cluster.start(node);
  require_well(cluster);
  CHECK(cluster.id(node) == id);
  CHECK(fs::is_symlink(log));
}

TEST_CASE("a node without the snapshot that it was putting in place does what it is told") {
  Cluster cluster(short_logs());
  cluster.form(3);
  const std::size_t node = a_follower(cluster);
  const wire::NodeId id = cluster.id(node);
  REQUIRE(support::wait_until(
      [&] {
        write_entries(cluster, 10);
        return has_cut_log(cluster, node);
      },
      60s));
  stop(cluster, node);
  const fs::path snapshots = cluster.data(node) / "snapshots";
  const fs::path away = cluster.data(node).string() + ".snapshot";
  std::string newest;
  for (const auto& snapshot : fs::directory_iterator(snapshots)) {
    newest = std::max(newest, snapshot.path().filename().string());
  }
  fs::rename(snapshots / newest, away);
  support::write_file(snapshots / "installing", newest + "\n");

  const std::string said = refused(cluster, node, 1);
  CHECK_THAT(said, Contains("snapshot " + newest + " was being put in place") &&
                       Contains(snapshots.string() + " no longer holds it") &&
                       Contains("If the snapshot was moved, put it back"));
  SECTION("it was moved") {
    fs::rename(away, snapshots / newest);
    cluster.start(node);
    require_well(cluster);
    CHECK_THAT(cluster.node_log(node), Contains("completing the installation of snapshot"));
    CHECK(cluster.id(node) == id);
  }
  SECTION("it is lost") {
    is_well_again_as_told(cluster, node, said, id);
  }
}

TEST_CASE("a node that is given the rows of another one says so, and is well once it has its own") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  write_entries(cluster, 1);
  const std::size_t node = a_follower(cluster);
  const fs::path state = cluster.data(node) / "state";
  const fs::path away = cluster.data(node).string() + ".state";
  const fs::path wrong = cluster.data(node).string() + ".wrong";
  stop(cluster, node);
  SECTION("a member's: put back") {
    const std::size_t other = (node + 1) % 3;
    stop(cluster, other);
    fs::rename(state, away);
    fs::copy(cluster.data(other) / "state", state, fs::copy_options::recursive);
    cluster.start(other);
    const std::string said = refused(cluster, node, 1);
    CHECK_THAT(said,
               Contains("the rows are another node's") && Contains("put this node's own back"));
    fs::rename(state, wrong);
    fs::rename(away, state);
  }
  SECTION("another cluster's: moved away") {
    Cluster other(quick_timeouts());
    other.form(1);
    stop(other, 0);
    fs::rename(state, away);
    fs::copy(other.data(0) / "state", state, fs::copy_options::recursive);
    const std::string said = refused(cluster, node, 1);
    CHECK_THAT(said, Contains("the rows are those of another cluster") &&
                         Contains("move this one away and start the node again"));
    fs::rename(state, wrong);
  }
  cluster.start(node);
  require_well(cluster);
}

TEST_CASE("a node whose rows lie behind a link is well once the directory itself is there") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t node = a_follower(cluster);
  const fs::path state = cluster.data(node) / "state";
  const fs::path elsewhere = cluster.data(node).string() + ".state";
  stop(cluster, node);
  fs::rename(state, elsewhere);
  fs::create_directory_symlink(elsewhere, state);
  const std::string said = refused(cluster, node, 3);
  CHECK_THAT(said, Contains("put the directory itself here", Catch::CaseSensitive::No));
  CHECK_FALSE(fs::is_empty(elsewhere));
  fs::remove(state);
  fs::rename(elsewhere, state);
  cluster.start(node);
  require_well(cluster);
}

TEST_CASE("a node whose rows are damaged or lost restores them at its next start by itself") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  write_entries(cluster, 5);
  const std::size_t node = a_follower(cluster);
  const fs::path state = cluster.data(node) / "state";
  stop(cluster, node);
  SECTION("damaged") {
    for (const auto& file : fs::directory_iterator(state)) {
      if (!file.path().filename().string().starts_with("MANIFEST-")) continue;
      std::string bytes = support::read_file(file.path());
      bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
      support::write_file(file.path(), bytes);
    }
  }
  SECTION("without CURRENT") {
    fs::remove(state / "CURRENT");
  }
  cluster.start(node);
  require_well(cluster);
}
