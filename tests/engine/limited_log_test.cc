// What is written of lines that anybody outside can cause, and of text from outside.
#include "engine/ports/limited_log.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "lines.h"

using namespace bib::engine;

TEST_CASE("of the lines of a period the first is written, and then how many more there were") {
  Lines log;
  LimitedLog limited(log, "api", "clients were refused");
  for (std::uint64_t ms = 0; ms < 1000; ++ms) limited.warn(ms, "refused client {}", ms);
  limited.look(LimitedLog::kPeriodMs - 1);
  CHECK(log.lines == std::vector<std::string>{"api: refused client 0"});
  limited.look(LimitedLog::kPeriodMs);
  limited.look(LimitedLog::kPeriodMs + 1);
  CHECK(log.lines == std::vector<std::string>{"api: refused client 0",
                                              "api: 999 more clients were refused within 10 s"});

  log.lines.clear();
  limited.warn(50'000, "refused client {}", 1000);
  limited.warn(70'000, "refused client {}", 1001);  // of another period, and nothing in between
  CHECK(log.lines ==
        std::vector<std::string>{"api: refused client 1000", "api: refused client 1001"});
}

TEST_CASE("a message that repeats text from outside is one line of bounded length") {
  Lines log;
  log.info("peer", "no connection to {}", "1.2.3.4:5\n2026-01-01 error \x1b[2J");
  CHECK(log.lines ==
        std::vector<std::string>{"peer: no connection to 1.2.3.4:5\\x0a2026-01-01 error \\x1b[2J"});
  log.lines.clear();
  log.warn("peer", "{}", std::string(1U << 20, 'x'));
  REQUIRE(log.lines.size() == 1);
  CHECK(log.lines[0].size() < kLogMessageMax + 100);
  CHECK_THAT(log.lines[0], Catch::EndsWith("(1044480 more bytes)"));
}
