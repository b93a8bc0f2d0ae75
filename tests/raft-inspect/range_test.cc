// Ranges of entries as people type them.
#include <catch2/catch.hpp>

#include "inspect/range.h"

namespace bib::inspect {
namespace {

using wire::LogIndex;

IndexRange::Bounds bounds_of(const char* text, std::uint64_t log_end = 100) {
  const auto range = parse_range(text);
  REQUIRE(range);
  return range->bounds(LogIndex(log_end));
}

TEST_CASE("a range is one entry, from, to, both, or the newest") {
  CHECK(bounds_of("40").first == LogIndex(40));
  CHECK(bounds_of("40").last == LogIndex(40));
  CHECK(bounds_of("40..57").first == LogIndex(40));
  CHECK(bounds_of("40..57").last == LogIndex(57));
  CHECK(bounds_of("40..").first == LogIndex(40));
  CHECK(bounds_of("40..").last == LogIndex(UINT64_MAX));
  CHECK(bounds_of("..57").first == LogIndex(1));
  CHECK(bounds_of("..57").last == LogIndex(57));
  CHECK(bounds_of("-20").first == LogIndex(81));
  CHECK(bounds_of("-1").first == LogIndex(100));
  CHECK(bounds_of("-20", 5).first == LogIndex(1));
  CHECK(bounds_of("-100").first == LogIndex(1));
  CHECK(bounds_of("-18446744073709551615").first == LogIndex(1));
}

TEST_CASE("a range that means nothing is refused with an example") {
  for (const char* text : {"",
                           "..",
                           "0",
                           "-0",
                           "-",
                           "0..5",
                           "5..0",
                           "a",
                           "4x",
                           "x4",
                           "4.5",
                           "4...7",
                           "4..x",
                           "+4",
                           " 4",
                           "4 ",
                           "1..2..3",
                           "--4",
                           "99999999999999999999",
                           "1..99999999999999999999",
                           "-4..7",
                           "4,7"}) {
    CAPTURE(text);
    const auto range = parse_range(text);
    REQUIRE_FALSE(range);
    CHECK(range.error().code == wire::ErrorCode::kInvalid);
    CHECK(range.error().message.find("40..57") != std::string::npos);
  }
}

TEST_CASE("a range that ends before it begins is refused with the other way round") {
  const auto range = parse_range("57..40");
  REQUIRE_FALSE(range);
  CHECK(range.error().message.find("say 40..57") != std::string::npos);
}

}  // namespace
}  // namespace bib::inspect
