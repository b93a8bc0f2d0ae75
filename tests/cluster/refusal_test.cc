// Bad tokens, bad configurations, damaged logs: refused with words that help.
#include <catch2/catch.hpp>
#include <chrono>

#include "cluster.h"
#include "wire/peer/join_token.h"

using namespace bib;
using namespace bib::cluster;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

// A token with a secret that the cluster never issued.
std::string wrong_token(const std::string& token) {
  wire::JoinToken forged = wire::decode_join_token(token).value();
  forged.token = std::string(forged.token.size(), 'f');
  return wire::encode_join_token(forged);
}

std::string expired_token(const std::string& token) {
  wire::JoinToken old = wire::decode_join_token(token).value();
  old.expires_at = 1'000'000;
  return wire::encode_join_token(old);
}

Finished setup_with(const std::string& token, const support::TempDir& scratch) {
  return run({program("BIB_BIB"), "setup", "--daemon", "--yes", "--cluster-join", token, "--config",
              (scratch / "config.yaml").string(), "--data-dir", (scratch / "data").string()});
}

std::filesystem::path first_segment(const std::filesystem::path& data) {
  for (const auto& file : std::filesystem::directory_iterator(data / "log")) {
    if (file.path().filename() == "00000000000000000001.seg") return file.path();
  }
  throw std::runtime_error("no segment");
}

}  // namespace

TEST_CASE("a token that the cluster never issued ends the new node with exit code 5") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  const std::size_t stranger = cluster.add_node({"--cluster-join", wrong_token(cluster.token())});
  cluster.start(stranger);
  CHECK(cluster.process(stranger).wait(20s) == 5);
  CHECK_THAT(cluster.node_log(stranger), Contains("does not know this token"));
}

TEST_CASE("an expired or damaged token is refused before anything is written") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  const support::TempDir scratch;
  const Finished expired = setup_with(expired_token(cluster.token()), scratch);
  CHECK(expired.exit_code == 5);
  CHECK_THAT(expired.err, Contains("expired"));
  const Finished damaged = setup_with(cluster.token().substr(0, 50) + "!!!", scratch);
  CHECK(damaged.exit_code == 5);
  CHECK_FALSE(std::filesystem::exists(scratch / "config.yaml"));
}

TEST_CASE("a broken configuration names file, line and column and ends bibd with exit code 3") {
  const support::TempDir scratch;
  const std::string file = (scratch / "config.yaml").string();
  support::write_file(file, "cluster:\n  node_id: \"00000000000000aa\"\n  elction: 5s\n");
  const Finished result = run({program("BIB_BIBD"), "--config", file});
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.err, Contains(file + ":3:3"));
}

TEST_CASE("a bit that flipped in the log keeps the node from starting and is named") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(cluster.bib({"config", "set", "k", std::to_string(i)}).exit_code == 0);
  }
  cluster.kill_9(0);
  const auto segment = first_segment(cluster.data(0));
  const Finished before =
      run({program("BIB_RAFT_INSPECT"), "log", cluster.data(0).string(), "-o", "json"});
  REQUIRE(before.exit_code == 0);
  // In the middle of the first few blocks, far from the last one.
  const std::string bytes = support::read_file(segment);
  const std::size_t block = bytes.find("BBLK", 4096);
  REQUIRE(block != std::string::npos);
  support::flip_bit(segment, block + 100);
  cluster.start(0);
  CHECK(cluster.process(0).wait(20s) == 1);
  const std::string log = cluster.node_log(0);
  CHECK_THAT(log, Contains("00000000000000000001.seg"));
  CHECK_THAT(log, Contains("raft-inspect verify"));
  const Finished verify = run({program("BIB_RAFT_INSPECT"), "verify", cluster.data(0).string()});
  CHECK(verify.exit_code == 3);
}

TEST_CASE("a log that was cut off keeps the node from starting") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(cluster.bib({"config", "set", "k", std::to_string(i)}).exit_code == 0);
  }
  cluster.process(0).signal(15);
  REQUIRE(cluster.process(0).wait(15s) == 0);
  const auto segment = first_segment(cluster.data(0));
  const std::string bytes = support::read_file(segment);
  // Behind the first block: the rest is gone, and the rows know more than the log.
  const std::size_t first = bytes.find("BBLK", 4096);
  const std::size_t second = bytes.find("BBLK", first + 4);
  REQUIRE(second != std::string::npos);
  std::filesystem::resize_file(segment, second);
  cluster.start(0);
  CHECK(cluster.process(0).wait(20s) == 1);
  CHECK_THAT(cluster.node_log(0), Contains("raft-inspect verify"));
}

TEST_CASE("two nodes never share a data directory") {
  Cluster cluster(quick_timeouts());
  cluster.form(1);
  const Finished second =
      run({program("BIB_BIBD"), "--config", cluster.config(0).string()}, {}, {}, 20s);
  CHECK(second.exit_code != 0);
  CHECK_THAT(second.err, Contains("is in use by process"));
}
