// Nodes whose rows were changed while they were stopped: they say so themselves, answer no reads
// and do not lead, until their rows are rebuilt.

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "projections/apply/replay.h"
#include "projections/state/keys.h"
#include "projections/state/rocks_state.h"
#include "steps.h"
#include "wire/log/data_directory.h"
#include "wire/model/row.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using projections::Family;
using projections::RowPtr;
using projections::StoredRow;

namespace {

constexpr char kKey[] = "k";

std::filesystem::path rows_of(const Cluster& cluster, std::size_t node) {
  return cluster.data(node) / wire::kStateName;
}

// Of the row of kKey, in a stopped node's store; with `digest_too` as if the log had it so.
void change_row(const Cluster& cluster, std::size_t node, const char* value, bool digest_too) {
  const auto store = projections::RocksStore::open(rows_of(cluster, node).string());
  REQUIRE(store);
  const std::string key = projections::keys::config(kKey);
  const auto before = (*store)->find(Family::kConfig, key);
  REQUIRE((before && *before));
  auto row = wire::read_row_as<wire::ConfigRow>((*before)->value());
  REQUIRE(row);
  row->value = value;
  wire::RowEncoder encoder;
  const RowPtr after =
      StoredRow::make(projections::make_row_key(Family::kConfig, key), encoder.encode(*row));
  std::vector<RowPtr> batch;
  if (digest_too) {
    const auto mark = projections::read_mark(**store);
    REQUIRE(mark);
    projections::Digest digest = mark->digests[family_index(Family::kConfig)];
    digest.remove((*before)->digest());
    digest.add(after->digest());
    std::string text;
    for (const std::uint64_t part : {digest.low, digest.high, digest.rows}) {
      projections::keys::append_u64(text, part);
    }
    const std::string name = projections::keys::digest(family_name(Family::kConfig));
    batch.push_back(
        StoredRow::make(projections::make_row_key(Family::kMeta, name), wire::as_bytes(text)));
  }
  batch.push_back(after);
  REQUIRE((*store)->write(batch));
  REQUIRE((*store)->flush());
}

// As this node answers, or whom it sends the client to.
std::string stale_value(const Cluster& cluster, std::size_t node) {
  return run({program("BIB_BIB"), "--server", cluster.api(node), "--consistency", "stale",
              "--timeout", "5s", "config", "get", kKey})
      .out;
}

// What the leader's status says of that member's rows.
nlohmann::json rows_in_status(const Cluster& cluster, const std::string& id) {
  const Finished status = cluster.bib({"cluster", "status", "-o", "json"});
  const auto json = nlohmann::json::parse(status.out, nullptr, false);
  if (json.is_discarded()) return nullptr;
  for (const auto& member : json.at("members")) {
    if (member.at("id") == id) return member.at("rows");
  }
  return nullptr;
}

bool says(const Cluster& cluster, std::size_t node, const char* what) {
  return support::wait_until([&] { return cluster.node_log(node).find(what) != std::string::npos; },
                             30s);
}

constexpr char kDiffers[] = "differ from those of a majority of the voters";

}  // namespace

TEST_CASE("a node whose rows were changed while it was stopped is taken out of service, and back") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  REQUIRE(cluster.bib({"config", "set", kKey, "right"}).exit_code == 0);
  REQUIRE(support::wait_until([&] { return cluster.converged(); }, 20s));
  const std::size_t node = (leader_of(cluster) + 1) % 3;
  const std::string id = to_string(cluster.id(node));
  REQUIRE(support::wait_until([&] { return rows_in_status(cluster, id) == "equal"; }, 20s));

  stop(cluster, node);
  change_row(cluster, node, "wrong", true);
  cluster.start(node);
  REQUIRE(says(cluster, node, kDiffers));
  CHECK_THAT(cluster.node_log(node), Contains("in 'config'") &&
                                         Contains("bib cluster status --digests") &&
                                         Contains("raft-inspect verify") && Contains("--replay"));
  CHECK(count_of(cluster.node_log(node), kDiffers) == 1);
  CHECK(stale_value(cluster, node) == "right\n");
  REQUIRE(support::wait_until([&] { return rows_in_status(cluster, id) == "different"; }, 20s));
  const Finished status = cluster.bib({"cluster", "status"});
  CHECK_THAT(status.out, Contains("rows differ") && Contains("degraded") && Contains(id));
  const Finished digests = cluster.bib({"cluster", "status", "--digests"});
  CHECK(digests.exit_code == 1);
  CHECK_THAT(digests.out, Contains("DIFFERENT"));
  CHECK(cluster.bib({"--timeout", "20s", "cluster", "transfer", id}).exit_code != 0);

  // The next steps, as the log and raft-inspect's document name them.
  stop(cluster, node);
  const Finished verify =
      run({program("BIB_RAFT_INSPECT"), "verify", cluster.data(node).string(), "--replay"});
  CHECK(verify.exit_code != 0);
  CHECK_THAT(verify.out + verify.err, Contains("config"));
  std::filesystem::rename(rows_of(cluster, node), rows_of(cluster, node).string() + ".away");
  cluster.start(node);
  REQUIRE(support::wait_until([&] { return rows_in_status(cluster, id) == "equal"; }, 30s));
  CHECK(stale_value(cluster, node) == "right\n");
  CHECK(count_of(cluster.node_log(node), kDiffers) == 1);
  CHECK(support::wait_until([&] { return cluster.converged(); }, 20s));
}

TEST_CASE("a changed row whose digest was not changed with it is noticed once it is written") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  REQUIRE(cluster.bib({"config", "set", kKey, "right"}).exit_code == 0);
  REQUIRE(support::wait_until([&] { return cluster.converged(); }, 20s));
  const std::size_t node = (leader_of(cluster) + 1) % 3;
  stop(cluster, node);
  change_row(cluster, node, "wrong", false);
  cluster.start(node);
  REQUIRE(cluster.bib({"--timeout", "20s", "config", "set", kKey, "next"}).exit_code == 0);
  REQUIRE(says(cluster, node, kDiffers));
  CHECK(stale_value(cluster, node) == "next\n");
}

TEST_CASE(
    "two of three that differ both say so; the third decides it, and who differs does not lead") {
  Cluster cluster(quick_timeouts());
  cluster.form(3);
  REQUIRE(cluster.bib({"config", "set", kKey, "right"}).exit_code == 0);
  REQUIRE(support::wait_until([&] { return cluster.converged(); }, 20s));
  const std::size_t node = leader_of(cluster);
  for (std::size_t i = 0; i < 3; ++i) stop(cluster, i);
  change_row(cluster, node, "wrong", true);
  const std::size_t other = (node + 1) % 3;
  const std::size_t third = (node + 2) % 3;
  cluster.start(node);
  cluster.start(other);
  constexpr char kDisputed[] = "no majority of the voters has the same rows";
  CHECK(says(cluster, node, kDisputed));
  CHECK(says(cluster, other, kDisputed));
  CHECK(count_of(cluster.node_log(node), kDiffers) == 0);
  cluster.start(third);
  REQUIRE(says(cluster, node, kDiffers));
  REQUIRE(support::wait_until(
      [&] {
        const auto leader = cluster.leader();
        return leader && *leader != node;
      },
      30s));
  CHECK(cluster.bib({"--timeout", "20s", "config", "set", kKey, "next"}).exit_code == 0);
  CHECK(cluster.bib({"--timeout", "20s", "config", "get", kKey}).out == "next\n");
  CHECK(count_of(cluster.node_log(other), kDiffers) == 0);
  CHECK(count_of(cluster.node_log(third), kDiffers) == 0);
}
