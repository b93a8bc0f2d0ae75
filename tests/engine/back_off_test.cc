// How long to wait before a connection is dialled again.
#include "engine/ports/back_off.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace bib::engine;

namespace {

constexpr BackOff::Limits kLimits{.shortest_ms = 5, .longest_ms = 500, .lasting_ms = 2000};

}  // namespace

TEST_CASE("pauses grow up to the longest, also when each connection is made and ends at once") {
  const bool is_made = GENERATE(false, true);
  BackOff back_off(kLimits);
  std::uint64_t now = 1000;
  std::vector<std::uint64_t> pauses;
  for (int i = 0; i < 10; ++i) {
    if (is_made) back_off.made(now);
    now += 1999;
    pauses.push_back(back_off.ended(now));
  }
  CHECK(pauses == std::vector<std::uint64_t>{5, 10, 20, 40, 80, 160, 320, 500, 500, 500});
}

TEST_CASE("a connection that has lasted is dialled again soon, and only that one") {
  BackOff back_off(kLimits);
  for (int i = 0; i < 10; ++i) back_off.ended(0);
  back_off.made(1000);
  CHECK_FALSE(back_off.has_lasted(2999));
  CHECK(back_off.has_lasted(3000));
  CHECK(back_off.ended(3000) == 5);
  CHECK_FALSE(back_off.has_lasted(100'000));  // there is none
  CHECK(back_off.ended(100'000) == 10);
}

TEST_CASE("who refuses is asked again after the longest pause") {
  BackOff back_off(kLimits);
  CHECK(back_off.refused() == 500);
  CHECK(back_off.ended(0) == 500);
}
