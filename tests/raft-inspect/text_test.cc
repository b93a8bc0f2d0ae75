// How times, sizes and foreign text are shown.
#include <catch2/catch.hpp>

#include "inspect/text.h"

namespace bib::inspect {
namespace {

TEST_CASE("times are UTC and always as wide") {
  CHECK(time_text(1'772'366'400'250'000) == "2026-03-01 12:00:00.250000");
  CHECK(time_text(1'772'366'400'000'000) == "2026-03-01 12:00:00.000000");
  CHECK(time_text(-1) == "1969-12-31 23:59:59.999999");
  CHECK(time_text(INT64_MAX).size() == 26);
  CHECK(time_text(INT64_MIN).size() == 26);
}

TEST_CASE("durations name two units at most") {
  CHECK(duration_text(0) == "0 s");
  CHECK(duration_text(999) == "999 us");
  CHECK(duration_text(250'000) == "250 ms");
  CHECK(duration_text(59'999'999) == "59 s");
  CHECK(duration_text(61'000'000) == "1 min 1 s");
  CHECK(duration_text(3'600'000'000) == "1 h");
  CHECK(duration_text(183'600'000'000) == "2 d 3 h");
  CHECK(duration_text(-5) == "none: the clock went back");
}

TEST_CASE("sizes and counts are short") {
  CHECK(size_text(0) == "0 B");
  CHECK(size_text(1023) == "1023 B");
  CHECK(size_text(1024) == "1.0 KiB");
  CHECK(size_text((1U << 20) - 1) == "1.0 MiB");
  CHECK(size_text(64U << 20) == "64.0 MiB");
  CHECK(count_text(0) == "0");
  CHECK(count_text(999) == "999");
  CHECK(count_text(63412) == "63,412");
  CHECK(count_text(1234567) == "1,234,567");
  CHECK(counted(1, "entry", "entries") == "1 entry");
}

TEST_CASE("text from the log cannot steer a terminal") {
  CHECK(printable("plain – ünïcode") == "plain – ünïcode");
  CHECK(printable("a\x1b[31mb") == "a\\u001b[31mb");
  CHECK(printable("a\x7f"
                  "b\nc") == "a\\u007fb\\u000ac");
  CHECK(printable("a\xc2\x9b"
                  "31m – b") == "a\\u009b31m – b");
  CHECK(printable("a\xff"
                  "b") == "a\\u00ffb");
}

TEST_CASE("colours are there only where they are wanted") {
  CHECK(Paint(false).bad("x") == "x");
  CHECK(Paint(true).bad("x") == "\x1b[31;1mx\x1b[0m");
}

TEST_CASE("tables pad by characters and not by bytes, and end no line with blanks") {
  Table table({"A", "NUMBER", "C"});
  table.align_right(1);
  table.add({"ü", "1", ""});
  table.add({"long", "23", "x"});
  CHECK(table.render() ==
        "  A     NUMBER  C\n"
        "  ü          1\n"
        "  long      23  x\n");
}

}  // namespace
}  // namespace bib::inspect
