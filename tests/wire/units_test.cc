#include "wire/base/units.h"

#include <catch2/catch.hpp>

using namespace bib::wire;

TEST_CASE("durations and sizes are read with their units and written without loss") {
  REQUIRE(parse_duration("250ms") == 250U);
  REQUIRE(parse_duration("5s") == 5000U);
  REQUIRE(parse_duration("30m") == 1800000U);
  REQUIRE(parse_duration("24h") == 86400000U);
  REQUIRE(parse_size("64MiB") == 64U << 20);
  REQUIRE(parse_size("65536") == 65536U);
  for (const char* wrong : {"", "5", "s", "-5s", "5 s", "5S", "5sec", "1.5s", "5s ", "0x5s",
                            "99999999999999999999s", "18446744073709551615h"}) {
    CAPTURE(wrong);
    REQUIRE_FALSE(parse_duration(wrong));
  }
  for (const char* wrong : {"", "MiB", "64MB", "64mib", "64K", "-1", "17179869184GiB"}) {
    CAPTURE(wrong);
    REQUIRE_FALSE(parse_size(wrong));
  }
  for (std::uint64_t value : {0ULL, 1ULL, 999ULL, 1000ULL, 90000ULL, 60000ULL, 3600000ULL}) {
    REQUIRE(parse_duration(format_duration(value)) == value);
  }
  for (std::uint64_t value : {0ULL, 1ULL, 1023ULL, 1024ULL, 1536ULL, 64ULL << 20, 3ULL << 30}) {
    REQUIRE(parse_size(format_size(value)) == value);
  }
  REQUIRE(format_duration(90000) == "90s");
  REQUIRE(format_size(1536 * 1024) == "1536KiB");
}
