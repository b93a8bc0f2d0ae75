#include "wire/base/bytes.h"

#include <catch2/catch.hpp>

#include "support/test_support.h"

namespace bib::wire {

TEST_CASE("every buffer begins at a multiple of 64") {
  for (const std::size_t size : {1U, 63U, 64U, 65U, 4096U, 1'000'003U}) {
    Bytes::Builder builder(size);
    REQUIRE(reinterpret_cast<std::uintptr_t>(builder.data()) % 64 == 0);
    std::memset(builder.data(), 0xab, size);
    const std::uint8_t* data = builder.data();
    const Bytes bytes(std::move(builder));
    CHECK(bytes.data() == data);
    CHECK(bytes.size() == size);
    CHECK(bytes.view()[size - 1] == 0xab);
  }
}

TEST_CASE("a slice outlives the bytes that it was cut from") {
  Bytes slice;
  {
    const Bytes whole = Bytes::copy_of(as_bytes("one two three"));
    slice = whole.slice(4, 3).slice(1, 2);
  }
  CHECK(as_text(slice.view()) == "wo");
}

TEST_CASE("no bytes are bytes too") {
  CHECK(Bytes().empty());
  CHECK(Bytes::copy_of({}).empty());
  CHECK(Bytes(Bytes::Builder(0)).empty());
  CHECK(Bytes().slice(0, 0).empty());
  CHECK(Bytes::copy_of(as_bytes("abc")).slice(3, 0).empty());
}

TEST_CASE("a slice beyond the bytes is our own bug") {
  const Bytes bytes = Bytes::copy_of(as_bytes("abc"));
  CHECK(support::aborts([&] { bytes.slice(2, 2); }));
  CHECK(support::aborts([&] { bytes.slice(4, 0); }));
  CHECK(support::aborts([&] { bytes.slice(1, ~std::size_t{0}); }));
}

}  // namespace bib::wire
