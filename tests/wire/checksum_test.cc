#include "wire/base/checksum.h"

#include <catch2/catch.hpp>

#include <array>

#include "wire/base/prng.h"

namespace bib::wire {

TEST_CASE("the checksums are those of XXH3") {
  // From the published algorithm's reference vectors: the empty input and seeds 0 and prime64.
  CHECK(checksum64({}) == 0x2d06800538d394c2ULL);
  CHECK(checksum64({}, 0x9e3779b185ebca8dULL) == 0xa8a6b918b2f0364aULL);
  CHECK(checksum128({}) == Hash128{.low = 0x6001c324468d497fULL, .high = 0x99aa06d3014798d8ULL});
}

TEST_CASE("pieces have the checksum of the whole, at every size and every cut") {
  Prng random(7);
  std::vector<std::uint8_t> bytes(2000);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.next());
  for (int round = 0; round < 5'000; ++round) {
    const ByteView whole = ByteView(bytes).first(random.below(bytes.size() + 1));
    const std::size_t a = random.below(whole.size() + 1);
    const std::size_t b = random.between(a, whole.size());
    REQUIRE(checksum64_of_two(whole.first(a), whole.subspan(a)) == checksum64(whole));
    const std::array<ByteView, 2> rest{whole.subspan(a, b - a), whole.subspan(b)};
    REQUIRE(checksum64_of_pieces(whole.first(a), rest) == checksum64(whole));
  }
}

}  // namespace bib::wire
