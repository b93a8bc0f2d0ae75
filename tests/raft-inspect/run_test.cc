// The command line: usage, exit codes, and that nothing is changed.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <ostream>

#include "inspect/run.h"
#include "log_writer.h"
#include "support/test_support.h"

namespace bib::inspect {
namespace {

namespace fs = std::filesystem;

TEST_CASE("a command line that makes no sense is refused with exit code 2 and nothing on stdout") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  const std::string path = dir.path();
  const std::vector<std::vector<std::string>> lines = {
      {},
      {"frobnicate"},
      {"status"},
      {"status", path, "surplus"},
      {"status", path, "-20"},
      {"verify", path, "--depth", "3"},
      {"verify", path, "-o", "xml"},
      {"log", path, "57..40"},
      {"log", path, "nonsense"},
      {"log", path, "0"},
      {"log", path, "-0"},
      {"log", path, "-20", "-30"},
      {"log", path, "4", "-20"},
      {"log", path, "--stream"},
  };
  for (const auto& line : lines) {
    CAPTURE(line);
    const Outcome outcome = run_inspect(line);
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    CHECK(outcome.err.find("raft-inspect --help") != std::string::npos);
  }
}

TEST_CASE("help and version are data and succeed") {
  const Outcome help = run_inspect({"--help"});
  CHECK(help.code == 0);
  CHECK(help.err.empty());
  for (const char* word : {"status", "log", "verify", "Exit codes"}) {
    CHECK(help.out.find(word) != std::string::npos);
  }
  CHECK(run_inspect({"log", "--help"}).out.find("RANGE") != std::string::npos);
  CHECK(run_inspect({"--version"}).out.starts_with("raft-inspect "));
}

TEST_CASE("a directory that holds no log of ours is exit code 4, one that is not there 1") {
  support::TempDir dir;
  fs::create_directories(dir / "empty");
  fs::create_directories(dir / "node" / "log");
  support::write_file(dir / "file", "text");
  fs::create_directories(dir / "other");
  support::write_file(dir / "other" / "1.seg", "text");
  for (const char* command : {"status", "log", "verify"}) {
    CAPTURE(command);
    for (const char* name : {"empty", "node", "file", "other"}) {
      CAPTURE(name);
      const Outcome outcome = run_inspect({command, dir / name});
      CHECK(outcome.code == 4);
      CHECK(outcome.out.empty());
      CHECK(outcome.err.find(name) != std::string::npos);
    }
    const Outcome outcome = run_inspect({command, dir / "nowhere"});
    CHECK(outcome.code == 1);
    CHECK(outcome.err.find("No such file") != std::string::npos);
  }
}

TEST_CASE("the data directory and its log directory are both accepted, with trailing slashes") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  const std::string path = dir.path();
  const std::string expected = run_inspect({"log", path}).out;
  CHECK_FALSE(expected.empty());
  for (const std::string& other : {path + "/", path + "//", path + "/log", path + "/log/"}) {
    CHECK(run_inspect({"log", other}).out == expected);
    CHECK(run_inspect({"verify", other}).code == 0);
  }
}

TEST_CASE("output that cannot be written is an error") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  std::ofstream full("/dev/full");
  std::ostringstream err;
  const std::vector<std::string> args = {"log", dir.path()};
  CHECK(run(args, {.out = full, .err = err}) == 1);
  CHECK(err.str().find("could not be written") != std::string::npos);
}

TEST_CASE("colours change nothing but colours") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  for (const char* command : {"status", "log", "verify"}) {
    std::ostringstream out;
    std::ostringstream err;
    const std::vector<std::string> args = {command, dir.path()};
    CHECK(run(args, {.out = out, .err = err, .colour_out = true}) == 0);
    std::string text = out.str();
    CHECK(text.find("\x1b[") != std::string::npos);
    while (true) {
      const std::size_t begin = text.find('\x1b');
      if (begin == std::string::npos) break;
      text.erase(begin, text.find('m', begin) - begin + 1);
    }
    CHECK(text == run_inspect(args).out);
  }
}

}  // namespace
}  // namespace bib::inspect
