// The members change while the cluster serves: by command, one or several at once, by force, and
// the leader itself.
#include <signal.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "cluster.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

std::string id_of(const Cluster& cluster, std::size_t node) {
  const auto seen = cluster.view(node);
  REQUIRE(seen);
  return wire::to_string(seen->node);
}

json run_json(const Cluster& cluster, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"-o", "json", "--timeout", "20s"});
  const Finished result = cluster.bib(arguments);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return json::parse(result.out);
}

// The part of each member, by id: "voter", "non-voter" and so on.
std::map<std::string, std::string> parts(const Cluster& cluster) {
  std::map<std::string, std::string> found;
  const json list = run_json(cluster, {"cluster", "member", "list"});
  for (const auto& member : list.at("members")) found[member.at("id")] = member.at("part");
  return found;
}

// As the leader sees it: who is a healthy member, voters only or all.
std::size_t healthy_members(const Cluster& cluster, bool voters_only) {
  const auto leader = cluster.leader();
  const auto seen = leader ? cluster.view(*leader) : std::nullopt;
  if (!seen) return 0;
  std::size_t count = 0;
  for (const cli::MemberView& member : seen->members) {
    if (member.healthy && (member.voter || !voters_only)) ++count;
  }
  return count;
}

std::size_t add_non_voter(Cluster& cluster) {
  const std::size_t node = cluster.add_node({"--cluster-join", cluster.token(), "--non-voter"});
  const std::size_t members = parts(cluster).size() + 1;  // it may be in before we look again
  cluster.start(node);
  REQUIRE(support::wait_until([&] { return healthy_members(cluster, false) >= members; }, 30s));
  return node;
}

void require_write(const Cluster& cluster, const std::string& value) {
  const Finished write = cluster.bib({"--timeout", "20s", "config", "set", "k", value});
  INFO(write.err);
  REQUIRE(write.exit_code == 0);
}

}  // namespace

TEST_CASE("the leader itself is removed, is silent, and its machine joins again under a new id") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t removed = leader_of(cluster);
  const std::string id = id_of(cluster, removed);
  const json change = run_json(cluster, {"cluster", "member", "remove", id.substr(0, 10)});
  CHECK(change.at("changed") == true);
  CHECK(change.at("joint") == false);
  CHECK(leader_of(cluster) != removed);
  CHECK(parts(cluster).size() == 2);
  require_write(cluster, "1");
  REQUIRE(support::wait_until(
      [&] {
        return cluster.node_log(removed).find("was removed from the cluster") != std::string::npos;
      },
      20s));
  const auto itself = cluster.view(removed);
  REQUIRE(itself);
  CHECK(itself->role == "removed");

  // Asked again, with the whole id, nothing changes.
  CHECK(run_json(cluster, {"cluster", "member", "remove", id}).at("changed") == false);

  // Also when it is restarted it disturbs nobody.
  const wire::Term term = cluster.view(leader_of(cluster))->term;
  cluster.kill_9(removed);
  cluster.start(removed);
  REQUIRE(support::wait_until(
      [&] {
        const auto seen = cluster.view(removed);
        return seen && seen->role == "removed";
      },
      20s));
  const Finished alone = run({program("BIB_BIB"), "--server", cluster.api(removed), "--timeout",
                              "20s", "config", "set", "k", "2"});
  CHECK(alone.exit_code == 0);  // by way of the members that it names
  CHECK(cluster.view(leader_of(cluster))->term == term);

  const std::size_t again = cluster.add_node({"--cluster-join", cluster.token()});
  cluster.start(again);
  REQUIRE(support::wait_until([&] { return healthy_members(cluster, true) == 3; }, 30s));
  CHECK(parts(cluster).at(id_of(cluster, again)) == "voter");
  require_write(cluster, "3");
}

TEST_CASE("a node that was away when it was removed learns of it and disturbs nobody") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t leader = leader_of(cluster);
  const std::size_t away = (leader + 1) % 3;
  const std::string id = id_of(cluster, away);
  cluster.kill_9(away);
  CHECK(run_json(cluster, {"cluster", "member", "remove", id}).at("changed") == true);
  const wire::Term term = cluster.view(leader_of(cluster))->term;
  cluster.start(away);
  REQUIRE(support::wait_until(
      [&] {
        return cluster.node_log(away).find("was removed from the cluster") != std::string::npos;
      },
      20s));
  require_write(cluster, "1");
  CHECK(cluster.view(leader_of(cluster))->term == term);
  CHECK(parts(cluster).size() == 2);
}

TEST_CASE("voters are replaced, demoted and promoted, one and two at a time") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t spare = add_non_voter(cluster);
  const std::string new_id = id_of(cluster, spare);
  CHECK(parts(cluster).at(new_id) == "non-voter");
  const std::size_t old = (leader_of(cluster) + 1) % 3;
  const std::string old_id = id_of(cluster, old);
  const json replaced = run_json(cluster, {"cluster", "member", "replace", old_id, new_id});
  CHECK(replaced.at("changed") == true);
  CHECK(replaced.at("joint") == false);
  auto now = parts(cluster);
  CHECK(now.size() == 3);
  CHECK(now.at(new_id) == "voter");
  CHECK_FALSE(now.contains(old_id));
  CHECK(run_json(cluster, {"cluster", "member", "replace", old_id, new_id}).at("changed") == false);

  run_json(cluster, {"cluster", "member", "demote", new_id});
  CHECK(parts(cluster).at(new_id) == "non-voter");
  // It stays one: nobody promotes it by itself.
  require_write(cluster, "1");
  CHECK(parts(cluster).at(new_id) == "non-voter");
  run_json(cluster, {"cluster", "member", "promote", new_id});
  CHECK(parts(cluster).at(new_id) == "voter");

  // Two at once, with a joint phase that stays until it is told to end.
  const std::size_t leader = leader_of(cluster);
  std::string other;
  for (const auto& [id, part] : parts(cluster)) {
    if (id != new_id && id != id_of(cluster, leader)) other = id;
  }
  const std::size_t second = add_non_voter(cluster);
  const std::string second_id = id_of(cluster, second);
  const json joint =
      run_json(cluster, {"cluster", "member", "change", "--add-voter", second_id, "--remove", other,
                         "--demote", new_id, "--leave", "explicit"});
  CHECK(joint.at("joint") == true);
  now = parts(cluster);
  CHECK(now.at(second_id) == "voter, joining");
  CHECK(now.at(new_id) == "voter, leaving");
  require_write(cluster, "2");
  const Finished another = cluster.bib({"cluster", "member", "promote", new_id});
  CHECK(another.exit_code == 10);
  CHECK_THAT(another.err, Contains("leave-joint"));
  CHECK(run_json(cluster, {"cluster", "member", "leave-joint"}).at("joint") == false);
  now = parts(cluster);
  CHECK(now.at(second_id) == "voter");
  CHECK(now.at(new_id) == "non-voter");
  CHECK_FALSE(now.contains(other));
  CHECK(run_json(cluster, {"cluster", "member", "leave-joint"}).at("changed") == false);
  require_write(cluster, "3");
}

TEST_CASE("a change that would leave no quorum of healthy voters is refused, and made by force") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t leader = leader_of(cluster);
  const std::size_t down = (leader + 1) % 3;
  const std::string down_id = id_of(cluster, down);
  const std::string well_id = id_of(cluster, (leader + 2) % 3);
  cluster.kill_9(down);
  REQUIRE(support::wait_until([&] { return healthy_members(cluster, true) == 2; }, 20s));
  const Finished refused = cluster.bib({"cluster", "member", "remove", well_id});
  CHECK(refused.exit_code == 10);
  CHECK_THAT(refused.err, Contains("1 of 2 voters healthy"));
  CHECK_THAT(refused.err, Contains("not " + down_id));
  CHECK_THAT(refused.err, Contains("2 needed"));
  CHECK_THAT(refused.err, Contains("--force"));
  CHECK(parts(cluster).size() == 3);

  // By force it waits for the missing voter, and says so; with it, it is done.
  const Finished forced =
      cluster.bib({"--timeout", "2s", "cluster", "member", "remove", well_id, "--force"});
  INFO(forced.err);
  CHECK(forced.exit_code != 0);
  cluster.start(down);
  REQUIRE(support::wait_until(
      [&] {
        return cluster.bib({"--timeout", "5s", "cluster", "member", "remove", well_id, "--force"})
                   .exit_code == 0;
      },
      60s));
  CHECK(parts(cluster).size() == 2);
  require_write(cluster, "1");
}

TEST_CASE("a member's id may be shortened, and one that names nobody or several is refused") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  CHECK(cluster.bib({"cluster", "member", "demote", "zz"}).exit_code == 2);
  CHECK(cluster.bib({"cluster", "member", "demote", "ffffffffffffffff"}).exit_code == 9);
  const Finished last = cluster.bib({"cluster", "member", "remove", id_of(cluster, 0)});
  CHECK(last.exit_code == 10);
  CHECK_THAT(last.err, Contains("without a voter"));
}

TEST_CASE("a member's new address is followed by the others") {
  Cluster cluster(quick_timeouts());
  cluster.form(2);
  const std::size_t follower = 1 - leader_of(cluster);
  const std::string id = id_of(cluster, follower);
  const std::string address = "127.0.0.1:" + std::to_string(free_port());
  run_json(cluster, {"cluster", "member", "update", id, "--api-address", address});
  const json list = run_json(cluster, {"cluster", "member", "list"});
  for (const auto& member : list.at("members")) {
    if (member.at("id") == id) CHECK(member.at("api_address") == address);
  }
  CHECK(cluster.bib({"cluster", "member", "update", id, "--address", "0.0.0.0:1"}).exit_code == 2);
}

TEST_CASE("the leadership is handed to the best voter or to a chosen one, and it is said how") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  const std::size_t first = leader_of(cluster);
  const json best = run_json(cluster, {"cluster", "transfer"});
  CHECK(best.at("changed") == true);
  CHECK(best.at("from") == id_of(cluster, first));
  CHECK(leader_of(cluster) != first);
  const std::string first_id = id_of(cluster, first);
  const json chosen = run_json(cluster, {"cluster", "transfer", first_id});
  CHECK(chosen.at("leader") == first_id);
  CHECK(leader_of(cluster) == first);
  CHECK(run_json(cluster, {"cluster", "transfer", first_id}).at("changed") == false);
  require_write(cluster, "1");

  CHECK(cluster.bib({"cluster", "transfer", "ffffffffffffffff"}).exit_code == 9);
  const std::size_t listener = add_non_voter(cluster);
  const Finished cannot = cluster.bib({"cluster", "transfer", id_of(cluster, listener)});
  CHECK(cannot.exit_code == 10);
  CHECK_THAT(cannot.err, Contains("promote"));
  const std::size_t down = (first + 1) % 3;
  const std::string down_id = id_of(cluster, down);
  cluster.kill_9(down);
  REQUIRE(support::wait_until([&] { return healthy_members(cluster, true) == 2; }, 20s));
  CHECK(cluster.bib({"cluster", "transfer", down_id}).exit_code == 10);
}
