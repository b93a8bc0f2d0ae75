#include "wire/base/time_text.h"

#include <catch2/catch.hpp>

#include <limits>

#include "wire/base/prng.h"

namespace bib::wire {

TEST_CASE("times are written as RFC 3339 in UTC and read again") {
  const std::vector<std::pair<std::int64_t, std::string>> times = {
      {0, "1970-01-01T00:00:00Z"},
      {1, "1970-01-01T00:00:00.000001Z"},
      {-1, "1969-12-31T23:59:59.999999Z"},
      {951'782'400'000'000, "2000-02-29T00:00:00Z"},
      {1'700'000'000'123'456, "2023-11-14T22:13:20.123456Z"},
      {253'402'300'799'999'999, "9999-12-31T23:59:59.999999Z"},
      {-62'167'219'200'000'000, "0000-01-01T00:00:00Z"}};
  for (const auto& [time, text] : times) {
    CHECK(format_time(time) == text);
    CHECK(parse_time(text) == time);
  }
  CHECK(format_time(std::numeric_limits<std::int64_t>::max()) == "9999-12-31T23:59:59.999999Z");
  CHECK(format_time(std::numeric_limits<std::int64_t>::min()) == "0000-01-01T00:00:00Z");
}

TEST_CASE("fractions of a second may be shorter or longer than they are written") {
  CHECK(parse_time("1970-01-01T00:00:00.5Z") == 500'000);
  CHECK(parse_time("1970-01-01T00:00:00.123456789Z") == 123'456);
}

TEST_CASE("every other text is no time") {
  for (const char* text : {"",
                           "Z",
                           "1970-01-01",
                           "1970-01-01T00:00:00",
                           "1970-01-01 00:00:00Z",
                           "1970-1-1T00:00:00Z",
                           "1970-02-29T00:00:00Z",
                           "1970-13-01T00:00:00Z",
                           "1970-00-01T00:00:00Z",
                           "1970-01-01T24:00:00Z",
                           "1970-01-01T00:60:00Z",
                           "1970-01-01T00:00:60Z",
                           "1970-01-01T00:00:00.Z",
                           "1970-01-01T00:00:00.1234567890Z",
                           "1970-01-01T00:00:00.1xZ",
                           "1970-01-01T00:00:00+00:00",
                           "1970-01-01T00:00:00ZZ",
                           "1970-01-01T00:00:00Z ",
                           "+970-01-01T00:00:00Z",
                           "1970-01-01T00:00:-1Z",
                           "1970-01-01T00:00:Z",
                           "1970-01-01T00:00:0Z"}) {
    INFO(text);
    CHECK_FALSE(parse_time(text));
  }
}

TEST_CASE("any time within four digits of years comes back") {
  Prng random(2);
  for (int round = 0; round < 20'000; ++round) {
    const auto time =
        static_cast<std::int64_t>(random.below(300'000'000'000'000'000)) - 60'000'000'000'000'000;
    if (time > 253'402'300'799'999'999) continue;
    REQUIRE(parse_time(format_time(time)) == time);
  }
}

}  // namespace bib::wire
