#include "wire/base/ids.h"

#include <catch2/catch.hpp>

namespace bib::wire {

TEST_CASE("a node id is sixteen hex digits, and nothing else is one") {
  CHECK(to_string(NodeId(0xabc)) == "0000000000000abc");
  CHECK(parse_node_id("0000000000000abc") == NodeId(0xabc));
  CHECK(parse_node_id("ffffffffffffffff") == NodeId(~std::uint64_t{0}));
  for (const char* text : {"", "abc", "0000000000000ABC", "000000000000 abc", "+000000000000abc",
                           "0000000000000abc0", "0x00000000000abc", "000000000000000g"}) {
    INFO(text);
    CHECK_FALSE(parse_node_id(text));
  }
}

TEST_CASE("a position is index and offset, and nothing else is one") {
  CHECK(to_string(Position{LogIndex(12), 3}) == "12:3");
  CHECK(parse_position("12:3") == Position{LogIndex(12), 3});
  CHECK(parse_position("0:0") == Position{});
  CHECK(parse_position("18446744073709551615:4294967295") ==
        Position{LogIndex(~std::uint64_t{0}), ~std::uint32_t{0}});
  for (const char* text : {"", ":", "1", "1:", ":1", "01:1", "1:01", "1:-1", "+1:1", " 1:1", "1:1 ",
                           "1:4294967296", "18446744073709551616:0", "1:1:1", "a:b"}) {
    INFO(text);
    CHECK_FALSE(parse_position(text));
  }
}

TEST_CASE("a 128-bit id is thirty-two hex digits, and nothing else is one") {
  const std::string text = "000102030405060708090a0b0c0d0eff";
  const auto bytes = parse_id128(text);
  REQUIRE(bytes);
  CHECK((*bytes)[15] == 0xff);
  CHECK(to_string(ClusterId{*bytes}) == text);
  CHECK(ClusterId{}.is_none());
  CHECK_FALSE(ClusterId{*bytes}.is_none());
  CHECK_FALSE(parse_id128(text.substr(1)));
  CHECK_FALSE(parse_id128(text + "00"));
  CHECK_FALSE(parse_id128("000102030405060708090A0B0C0D0EFF"));
}

}  // namespace bib::wire
