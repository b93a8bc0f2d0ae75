// raft-inspect status.
#include <sys/file.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "inspect/text.h"
#include "log_writer.h"
#include "support/test_support.h"

namespace bib::inspect {
namespace {

namespace fs = std::filesystem;

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  INFO(part);
  return text.find(part) != std::string::npos;
}

TEST_CASE("status of a small log says it all in one screen") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  // After the header, whose size is the schema's: blocks of one or more sectors.
  const auto used = [](std::uint64_t offset) { return fmt::format("{:>8}", size_text(offset)); };
  const std::uint64_t header = log.header_size();
  const std::uint64_t first = LogWriter(dir / "other").header_size();
  const Outcome outcome = run_inspect({"status", dir.path()});
  CHECK(outcome.code == 0);
  CHECK(outcome.err.empty());
  std::string expected =
      R"(Cluster     c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1
Node        00000000000000a1
Log id      000000000000001d
Log         not closed cleanly: the node was killed or has crashed; it recovers at its next start
Term        3, no vote
Entries     12: 1 to 12, last term 3; 2 overwritten
Events      9
Time        2026-03-01 12:00:00.250000 to 2026-03-01 12:00:03.500000 UTC (3 s)
Bodies      )" +
      std::string("@BODIES@") + R"(
Durable     up to block 15 of 16; a block is vouched for by one that comes later

Members     as of entry 1
  NODE              ROLE       RAFT ADDRESS   API ADDRESS
  00000000000000a1  voter      10.0.0.1:4002  10.0.0.1:4000
  00000000000000a2  voter      10.0.0.2:4002  10.0.0.2:4000
  00000000000000a3  non-voter  10.0.0.3:4002  10.0.0.3:4000

Segments    3 in 192.0 KiB
  NUMBER      SIZE      USED  BLOCKS  FIRST  LAST  END
       1  64.0 KiB  )" +
      used(first + 6 * 512) + R"(       6      1     5  sealed
       2  64.0 KiB  )" +
      used(header + 7 * 512) + R"(       7      6     9  sealed
       3  64.0 KiB  )" +
      used(header + 3 * 512) + R"(       3     10    12  tail

Snapshots   none in )" +
      (dir / "snapshots").string() + "\n\nRows        none in " + (dir / "state").string() + "\n";
  const std::size_t bodies = outcome.out.find("Bodies      ");
  REQUIRE(bodies != std::string::npos);
  const std::string line =
      outcome.out.substr(bodies + 12, outcome.out.find('\n', bodies) - bodies - 12);
  CHECK(has(line, " stored as "));
  CHECK(has(line, " to 1)"));
  expected.replace(expected.find("@BODIES@"), 8, line);
  CHECK(outcome.out == expected);
}

TEST_CASE("status as JSON has the same facts") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  const Outcome outcome = run_inspect({"status", "-o", "json", dir.path()});
  CHECK(outcome.code == 0);
  const auto json = nlohmann::json::parse(outcome.out);
  CHECK(json["cluster"] == "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1");
  CHECK(json["node"] == "00000000000000a1");
  CHECK(json["closed_cleanly"] == false);
  CHECK(json["term"] == 3);
  CHECK(json["vote"].is_null());
  CHECK(json["first_index"] == 1);
  CHECK(json["last_index"] == 12);
  CHECK(json["entries"] == 12);
  CHECK(json["events"] == 9);
  CHECK(json["overwritten_entries"] == 2);
  CHECK(json["segments"].size() == 3);
  CHECK(json["segments"][1]["end"] == "sealed");
  CHECK(json["membership"]["members"][2]["role"] == "non-voter");
  CHECK(json["rows"]["exists"] == false);
  CHECK(json["findings"].empty());
}

TEST_CASE("status tells how the log ended") {
  support::TempDir dir;
  LogWriter log = write_sample_log(dir / "log");
  log.close();
  CHECK(has(run_inspect({"status", dir.path()}).out, "Log         closed cleanly\n"));
  CHECK(has(run_inspect({"status", dir.path()}).out, "closed\n"));

  std::string bytes = support::read_file(log.path(3));
  bytes.replace(log.end_offset(), 9, "BBLKtorn!");
  support::write_file(log.path(3), bytes);
  const Outcome torn = run_inspect({"status", dir.path()});
  CHECK(torn.code == 0);
  CHECK(has(torn.out, "torn\n"));
  CHECK(has(torn.out, "not closed cleanly"));
}

TEST_CASE("status of a new log without entries is no error") {
  support::TempDir dir;
  LogWriter log(dir / "log");
  const Outcome outcome = run_inspect({"status", dir.path()});
  CHECK(outcome.code == 0);
  CHECK(has(outcome.out, "Entries     none\n"));
  CHECK(has(outcome.out, "Members     not in the log"));
  CHECK(run_inspect({"verify", dir.path()}).code == 0);
}

TEST_CASE("status of a log that begins after a snapshot counts only what follows it") {
  support::TempDir dir;
  LogWriter log = write_sample_log(dir / "log");
  log.roll_after_snapshot(1000, 4).hard_state(5, 0xa1).noop().block().close();
  const Outcome outcome = run_inspect({"status", dir / "log"});
  CHECK(outcome.code == 0);
  CHECK(has(outcome.out, "Starts      after entry 1,000 of term 4\n"));
  CHECK(has(outcome.out, "Entries     1: 1,001 to 1,001, last term 5; 14 overwritten\n"));
  CHECK(has(outcome.out, "Events      0\n"));
}

TEST_CASE("status names the process that runs on the directory, without taking its lock") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  support::write_file(dir / "LOCK", "1\n");
  CHECK(has(run_inspect({"status", dir.path()}).out, "not closed cleanly"));
  const int lock = ::open((dir / "LOCK").c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(lock >= 0);
  REQUIRE(::flock(lock, LOCK_EX | LOCK_NB) == 0);
  const std::string expected =
      fmt::format("Log         open: process {} is running on it\n", ::getpid());
  CHECK(has(run_inspect({"status", dir.path()}).out, expected));
  ::close(lock);
}

TEST_CASE("status of a damaged log shows what is there, and the damage on stderr") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  fs::remove(log.path(2));
  const Outcome outcome = run_inspect({"status", dir.path()});
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "Log         damaged\n"));
  CHECK(has(outcome.out, "sealed\n"));
  CHECK(has(outcome.err, "entries 6 to 9 are gone"));
  CHECK(has(outcome.err, "What to do:"));
}

}  // namespace
}  // namespace bib::inspect
