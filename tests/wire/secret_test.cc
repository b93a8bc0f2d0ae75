#include "wire/base/secret.h"

#include <catch2/catch.hpp>

#include "wire/base/ids.h"
#include "wire/base/prng.h"

namespace bib::wire {

TEST_CASE("base64 is that of RFC 4648") {
  const std::vector<std::pair<std::string, std::string>> vectors = {{"", ""},
                                                                    {"f", "Zg=="},
                                                                    {"fo", "Zm8="},
                                                                    {"foo", "Zm9v"},
                                                                    {"foob", "Zm9vYg=="},
                                                                    {"fooba", "Zm9vYmE="},
                                                                    {"foobar", "Zm9vYmFy"},
                                                                    {"\xfb\xff\xfe", "+//+"}};
  for (const auto& [plain, encoded] : vectors) {
    CHECK(base64_encode(as_bytes(plain)) == encoded);
    const auto back = base64_decode(encoded);
    REQUIRE(back);
    CHECK(as_text(*back) == plain);
  }
}

TEST_CASE("whatever base64_encode would not write is not base64") {
  for (const char* text : {"Z", "Zg", "Zg=", "Zg==Zg==", "Zh==", "Zm9=", "Z===", "====", "Zg==\n",
                           " Zg==", "Zm 9v", "Zm9v\n\n\n\n", "Zm-_", "Zm9v=", "Zm=v", "Z=9v"}) {
    INFO(text);
    const auto decoded = base64_decode(text);
    REQUIRE_FALSE(decoded);
    CHECK(decoded.error().code == ErrorCode::kInvalid);
  }
}

TEST_CASE("random bytes of any length come back from base64") {
  Prng random(1);
  for (std::size_t size = 0; size < 300; ++size) {
    std::vector<std::uint8_t> bytes(size);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.next());
    const auto back = base64_decode(base64_encode(bytes));
    REQUIRE(back);
    REQUIRE(*back == bytes);
  }
}

TEST_CASE("sha256 is that of FIPS 180-4") {
  const auto hex = [](std::string_view text) {
    const auto digest = sha256(as_bytes(text));
    return to_hex(digest.data(), digest.size());
  };
  CHECK(hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("comparison in constant time compares everything") {
  CHECK(constant_time_equal(as_bytes("secret"), as_bytes("secret")));
  CHECK(constant_time_equal({}, {}));
  CHECK_FALSE(constant_time_equal(as_bytes("secret"), as_bytes("secres")));
  CHECK_FALSE(constant_time_equal(as_bytes("secret"), as_bytes("Secret")));
  CHECK_FALSE(constant_time_equal(as_bytes("secret"), as_bytes("secre")));
}

TEST_CASE("random bytes fill the whole span and differ each time") {
  std::array<std::uint8_t, 64> first{};
  std::array<std::uint8_t, 64> second{};
  random_bytes(first);
  random_bytes(second);
  CHECK(first != second);
  CHECK(std::count(first.begin(), first.end(), 0) < 16);
  random_bytes({});
}

}  // namespace bib::wire
