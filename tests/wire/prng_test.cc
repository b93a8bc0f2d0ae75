#include "wire/base/prng.h"

#include <catch2/catch.hpp>

#include <vector>

#include "support/test_support.h"

namespace bib::wire {

TEST_CASE("one seed gives one sequence, always") {
  // The first outputs of xoshiro256** seeded by splitmix64 from 0.
  Prng zero(0);
  CHECK(zero.next() == 0x99ec5f36cb75f2b4ULL);
  CHECK(zero.next() == 0xbf6e1f784956452aULL);
  CHECK(zero.next() == 0x1a5f849d4933e6e0ULL);
  Prng one(42);
  Prng other(42);
  Prng third(43);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t value = one.next();
    CHECK(value == other.next());
    differs = differs || value != third.next();
  }
  CHECK(differs);
}

TEST_CASE("numbers below a bound are all reached and about equally often") {
  Prng random(3);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts[random.below(7)];
  for (const int count : counts) {
    CHECK(count > 9'000);
    CHECK(count < 11'000);
  }
  CHECK(random.below(1) == 0);
}

TEST_CASE("a range holds both its ends, also when it is the whole of 64 bits") {
  Prng random(4);
  bool low = false;
  bool high = false;
  for (int i = 0; i < 1'000; ++i) {
    const std::uint64_t value = random.between(10, 12);
    REQUIRE(value >= 10);
    REQUIRE(value <= 12);
    low = low || value == 10;
    high = high || value == 12;
  }
  CHECK(low);
  CHECK(high);
  CHECK(random.between(5, 5) == 5);
  CHECK(random.between(0, ~std::uint64_t{0}) != random.between(0, ~std::uint64_t{0}));
}

TEST_CASE("a chance comes true as often as it says") {
  Prng random(5);
  int hits = 0;
  for (int i = 0; i < 100'000; ++i) {
    CHECK_FALSE(random.chance_ppm(0));
    CHECK(random.chance_ppm(1'000'000));
    hits += random.chance_ppm(250'000) ? 1 : 0;
  }
  CHECK(hits > 24'000);
  CHECK(hits < 26'000);
}

TEST_CASE("an empty range is our own bug") {
  CHECK(support::aborts([] { Prng(1).below(0); }));
  CHECK(support::aborts([] { Prng(1).between(2, 1); }));
}

}  // namespace bib::wire
