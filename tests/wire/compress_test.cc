#include "wire/base/compress.h"

#include <catch2/catch.hpp>

#include "wire/base/prng.h"

namespace bib::wire {

TEST_CASE("what compresses comes back, after what was in the output before") {
  const std::string text(10'000, 'a');
  std::vector<std::uint8_t> out = {1, 2, 3};
  const std::size_t size = lz4_compress_if_it_pays(as_bytes(text), out);
  REQUIRE(size > 0);
  REQUIRE(out.size() == 3 + size);
  CHECK(out[2] == 3);
  std::string back(text.size(), '\0');
  REQUIRE(lz4_decompress(ByteView(out).subspan(3), reinterpret_cast<std::uint8_t*>(back.data()),
                         back.size()));
  CHECK(back == text);
}

TEST_CASE("what would not shrink by an eighth leaves the output as it was") {
  Prng random(1);
  std::vector<std::uint8_t> noise(10'000);
  for (std::uint8_t& byte : noise) byte = static_cast<std::uint8_t>(random.next());
  std::vector<std::uint8_t> out = {1, 2, 3};
  CHECK(lz4_compress_if_it_pays(noise, out) == 0);
  CHECK(lz4_compress_if_it_pays({}, out) == 0);
  CHECK(lz4_compress_if_it_pays(ByteView(noise).first(1), out) == 0);
  CHECK(out == std::vector<std::uint8_t>{1, 2, 3});

  // A little more and a little less than an eighth of zeros.
  for (const std::size_t zeros : {900U, 1600U}) {
    std::vector<std::uint8_t> mixed = noise;
    std::fill_n(mixed.begin(), zeros, std::uint8_t{0});
    out.clear();
    const std::size_t size = lz4_compress_if_it_pays(mixed, out);
    CHECK((size > 0) == (zeros == 1600));
    CHECK(size <= mixed.size() * 7 / 8);
  }
}

TEST_CASE("lz4 that does not give exactly the size announced is corruption") {
  std::vector<std::uint8_t> packed;
  REQUIRE(lz4_compress_if_it_pays(as_bytes(std::string(1000, 'b')), packed) > 0);
  std::vector<std::uint8_t> out(2000);
  CHECK(lz4_decompress(packed, out.data(), 1000));
  CHECK_FALSE(lz4_decompress(packed, out.data(), 999));
  CHECK_FALSE(lz4_decompress(packed, out.data(), 1001));
  CHECK_FALSE(lz4_decompress({}, out.data(), 10));
  for (std::size_t size = 0; size < packed.size(); ++size) {
    CHECK_FALSE(lz4_decompress(ByteView(packed).first(size), out.data(), 1000));
  }
}

}  // namespace bib::wire
