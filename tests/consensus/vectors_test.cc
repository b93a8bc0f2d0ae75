// Quorum arithmetic and membership changes against test vectors of etcd's raft, which lie outside
// the repository: in BIB_VECTORS_DIR, else in vectors/etcd-raft of the shared data; skipped where
// there are none. And the reading of such files itself, which may be anybody's.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>

#include "datadriven.h"
#include "runner.h"
#include "support/test_support.h"

namespace bib::vectors {

namespace {

std::optional<std::filesystem::path> vectors_dir() {
  if (const char* dir = std::getenv("BIB_VECTORS_DIR")) return std::filesystem::path(dir);
  const auto shared = support::shared_dir();
  if (!shared || !std::filesystem::exists(*shared / "vectors/etcd-raft")) return std::nullopt;
  return *shared / "vectors/etcd-raft";
}

std::vector<std::string> failures_of(std::string_view text) {
  std::vector<std::string> lines;
  for (const Failure& failure : run_text(text).failures) {
    lines.push_back(std::to_string(failure.line) + ": " + failure.what);
  }
  return lines;
}

bool has_failure(std::string_view text, const std::string& begins_with) {
  const auto failures = failures_of(text);
  return failures.size() == 1 && failures[0].starts_with(begins_with);
}

}  // namespace

TEST_CASE("Quorum arithmetic and membership changes agree with etcd's vectors") {
  const auto dir = vectors_dir();
  if (!dir) return support::skip("no vectors of etcd's raft beside the checkout");
  const auto files = vector_files(*dir);
  std::ostringstream out;
  std::size_t cases = 0;
  const std::size_t failed = run_files(files, out, cases);
  INFO(out.str());
  CHECK(failed == 0);
  CHECK(cases > 0);
}

TEST_CASE("The datadriven format is read with all that it allows") {
  const auto cases = read_cases(
      "# a comment\n"
      "\n"
      "first cfg=(1, 2,3) idx=(_,5) flag word=x\r\n"
      "----\n"
      "one\n"
      "  two  \n"
      "\n"
      "# another\n"
      "second a=1 \\\n"
      "  b=()\n"
      "v1 v2\n"
      "\n"
      "r3\n"
      "----\n"
      "----\n"
      "with\n"
      "\n"
      "blank lines\n"
      "----\n"
      "----\n"
      "\n"
      "third\n"
      "----\n"
      "last");
  REQUIRE(cases.size() == 3);
  CHECK(cases[0].line == 3);
  CHECK(cases[0].command == "first");
  CHECK(cases[0].arguments.at("cfg") == std::vector<std::string>{"1", "2", "3"});
  CHECK(cases[0].arguments.at("idx") == std::vector<std::string>{"_", "5"});
  CHECK(cases[0].arguments.at("flag").empty());
  CHECK(cases[0].arguments.at("word") == std::vector<std::string>{"x"});
  CHECK(cases[0].expected == std::vector<std::string>{"one", "two"});
  CHECK(cases[1].line == 9);
  CHECK(cases[1].arguments.at("a") == std::vector<std::string>{"1"});
  CHECK(cases[1].arguments.at("b").empty());
  CHECK(cases[1].input == std::vector<std::string>{"v1 v2", "r3"});
  CHECK(cases[1].expected == std::vector<std::string>{"with", "blank lines"});
  CHECK(cases[2].line == 22);
  CHECK(cases[2].expected == std::vector<std::string>{"last"});
}

TEST_CASE("A vector that is wrong fails with its line, and a right one does not") {
  CHECK(failures_of("committed cfg=(1,2,3) idx=(5,6,7)\n----\n6\n").empty());
  CHECK(
      failures_of("committed cfg=(1,2) cfgj=zero idx=(5,6)\n----\n idx\nx> 5 (id=1)\n5\n").empty());
  CHECK(failures_of("committed\n----\n<empty majority quorum>∞\n").empty());
  CHECK(failures_of("vote cfg=(1,2,3) cfgj=(3,4) votes=(y,y,n,_)\n----\nVotePending\n").size() ==
        1);
  CHECK(failures_of("vote cfg=(1,2,3) cfgj=(3,4) votes=(y,y,n,_)\n----\nVoteLost\n").empty());
  CHECK(has_failure("\ncommitted cfg=(1,2,3) idx=(5,6,7)\n----\n7\n",
                    "2: committed: expected \"7\""));
  CHECK(failures_of("simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=1\n").empty());
  CHECK(has_failure("simple\nv1\n----\nvoters=(2)\n2: StateProbe match=0 next=1\n",
                    "1: simple: expected \"voters=(2)"));
  CHECK(has_failure("simple\nv1\n----\nrefused\n", "1: simple: expected an error"));
  CHECK(has_failure("leave-joint\n----\nvoters=(1)\n",
                    "1: leave-joint: expected \"voters=(1)\", but"));
}

TEST_CASE("A joint change lasts through its file and leaves by itself when told so") {
  CHECK(failures_of("simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=1\n\n"
                    "enter-joint autoleave=true\nv2\nl1\n----\n"
                    "voters=(2)&&(1) learners_next=(1) autoleave\n"
                    "1: StateProbe match=0 next=1\n2: StateProbe match=0 next=1\n\n"
                    "simple\nv3\n----\ncannot do that\n\n"
                    "leave-joint\n----\nvoters=(2) learners=(1)\n"
                    "1: StateProbe match=0 next=1 learner\n2: StateProbe match=0 next=1\n")
            .empty());
}

TEST_CASE("What no vector should contain is a failure, not a crash") {
  CHECK(has_failure("add-nodes 3 voters=(1,2,3)\n----\nok\n\ncampaign 1\n----\nok\n",
                    "1: unknown command 'add-nodes'"));
  CHECK(
      has_failure("committed cfg=(1,x) idx=(5,6)\n----\n5\n", "1: committed: expected \"5\", but"));
  CHECK(has_failure("committed cfg=(1,2) idx=(5)\n----\n5\n", "1: committed: expected \"5\", but"));
  CHECK(failures_of("committed cfg=(1,2) idx=(5)\n----\nerror: mismatched input\n").empty());
  CHECK(has_failure("committed cfg=(1,99999999999999999999) idx=(5,6)\n----\n5\n", "1: "));
  CHECK(has_failure("vote cfg=(1) votes=(maybe)\n----\nVoteWon\n", "1: "));
  CHECK(failures_of("simple\nx1\n----\nunknown input: x1\n").empty());
  CHECK(failures_of("simple\nv\n----\nunknown token v\n").empty());
  CHECK(has_failure("simple\nv1\n", "1: simple: there is no line '----'"));
  CHECK(failures_of("").empty());
  CHECK(failures_of("# only a comment").empty());
  for (const char* odd : {"=", "a=", "a=(", "a=)", "vote cfg", "vote cfg=", "committed cfg=(", "\\",
                          "simple\n----\n----\n----\n", "----\n----"}) {
    INFO(odd);
    CHECK(run_text(odd).cases <= 2);
  }
}

TEST_CASE("Only what can hold vectors is looked into") {
  const support::TempDir dir;
  std::filesystem::create_directories(dir / "deep/er");
  support::write_file(dir / "NOTICE.txt", "prose");
  support::write_file(dir / "README.md", "prose");
  support::write_file(dir / "deep/er/vote.txt", "vote cfg=(1) votes=(y)\n----\nVoteWon\n");
  support::write_file(dir / "deep/plain", "vote cfg=(1) votes=(y)\n----\nVoteLost\n");
  const auto files = vector_files(dir.path());
  REQUIRE(files.size() == 2);
  std::ostringstream out;
  std::size_t cases = 0;
  CHECK(run_files(files, out, cases) == 1);
  CHECK(cases == 2);
  CHECK(out.str().find("deep/plain:1: vote: expected") != std::string::npos);
  CHECK(vector_files(dir / "deep/plain").size() == 1);
  CHECK(vector_files(dir / "nowhere").empty());
}

}  // namespace bib::vectors
