// The planted bugs that no seed finds: each must break the case that holds its rule, which passes
// without it. Linked with the cases' files; a program of preset `mutants`.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <string>

#include "mutants/planted.h"
#include "process.h"

namespace bib::sim {
namespace {

constexpr const char* kVariable = "BIB_MUTANT";

// Before anything runs, as in bib_sim.
const bool kIsSwitchedOn = [] {
  const char* name = std::getenv(kVariable);
  if (name == nullptr) return false;
  const Planted* planted = find_planted(name);
  if (planted == nullptr) std::abort();
  wire::mutant_in_effect = planted->mutant;
  return true;
}();

const std::map<std::string_view, std::string> kCases = {
    {"SnapshotDropsLog",
     "a snapshot that the log continues leaves the log\\, and is durable with it"},
    {"DebrisStays", "a stale block after a torn one does not come back when the gap is filled"},
    {"RefusesLongerLogs",
     "who has the longer log is not told that it was removed: the log may name it again"},
    {"FeedsReplacedLog", "what the log's files have is not read while a snapshot may replace it"},
};

cluster::Finished run_case(const std::string& spec, const cluster::Environment& environment) {
  return cluster::run({"/proc/self/exe", spec, "--warn", "NoTests"}, environment);
}

TEST_CASE("planted bugs that no seed finds break the cases that hold their rules") {
  REQUIRE_FALSE(kIsSwitchedOn);
  for (const Planted& planted : kTested) {
    INFO(planted.name);
    const auto found = kCases.find(planted.name);
    REQUIRE(found != kCases.end());
    const cluster::Finished without = run_case(found->second, {});
    INFO(without.out << without.err);
    REQUIRE(without.exit_code == 0);
    const cluster::Finished with =
        run_case(found->second, {{kVariable, std::string(planted.name)}});
    INFO(with.out << with.err);
    CHECK(with.exit_code != 0);
    // It is the case that fails, and not the program.
    CHECK(with.out.find("FAILED") != std::string::npos);
  }
}

}  // namespace
}  // namespace bib::sim
