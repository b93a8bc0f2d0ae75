#include "steps.h"

#include <signal.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

namespace bib::cluster {

using namespace std::chrono_literals;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

std::string must_bib(const Cluster& cluster, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--timeout", "20s"});
  const Finished result = cluster.bib(arguments);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return result.out;
}

void stop(Cluster& cluster, std::size_t node) {
  cluster.process(node).signal(SIGTERM);
  REQUIRE(cluster.process(node).wait(20s) == 0);
}

std::string last_words(const Cluster& cluster, std::size_t node) {
  const std::string log = cluster.node_log(node);
  const std::size_t last = log.rfind("\nbibd: ");
  REQUIRE(last != std::string::npos);
  return log.substr(last);
}

// The words of the printed command that begins so, with `value` for its placeholder.
std::vector<std::string> printed_command(const std::string& said, const std::string& beginning,
                                         const std::string& placeholder, const std::string& value) {
  INFO(said);
  const std::size_t begin = said.find("`" + beginning);
  REQUIRE(begin != std::string::npos);
  const std::size_t end = said.find('`', begin + 1);
  REQUIRE(end != std::string::npos);
  std::istringstream text(said.substr(begin + 1, end - begin - 1));
  std::vector<std::string> words{std::istream_iterator<std::string>(text), {}};
  std::replace(words.begin(), words.end(), placeholder, value);
  return words;
}

void join_again_as_told(Cluster& cluster, std::size_t node, const std::string& said,
                        wire::NodeId old_id) {
  const auto remove = printed_command(said, "bib cluster member remove", "ID", to_string(old_id));
  must_bib(cluster, {remove.begin() + 1, remove.end()});

  CHECK_THAT(said, Contains("move its data directory away", Catch::CaseSensitive::No));
  fs::rename(cluster.data(node), cluster.data(node).string() + ".away");

  const std::string token =
      nlohmann::json::parse(must_bib(cluster, {"-o", "json", "cluster", "token", "create"}))
          .at("token");
  const auto setup = printed_command(said, "bib setup", "TOKEN", token);
  const Finished done = cluster.set_up_again(node, {setup.begin() + 2, setup.end()});
  INFO(done.err);
  REQUIRE(done.exit_code == 0);

  cluster.start(node);
}

}  // namespace bib::cluster
