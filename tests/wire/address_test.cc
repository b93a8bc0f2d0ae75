#include "wire/base/address.h"

#include <catch2/catch.hpp>

namespace bib::wire {

TEST_CASE("an address is read and written in one form") {
  const std::vector<std::pair<std::string, Address>> addresses = {
      {"10.0.0.1:4000", {"10.0.0.1", 4000}},   {"db1.example:65535", {"db1.example", 65535}},
      {"localhost:0", {"localhost", 0}},       {"[::1]:4000", {"::1", 4000}},
      {"[2001:db8::7]:1", {"2001:db8::7", 1}}, {"node_1:4000", {"node_1", 4000}}};
  for (const auto& [text, address] : addresses) {
    const auto parsed = parse_address(text);
    INFO(text);
    REQUIRE(parsed);
    CHECK(*parsed == address);
    CHECK(to_string(address) == text);
  }
}

TEST_CASE("what is not an address is refused with the part that is wrong") {
  const std::vector<std::pair<std::string, std::string>> faults = {
      {"", "port is missing"},
      {"host", "port is missing"},
      {":4000", "host is missing"},
      {"host:", "port ''"},
      {"host:65536", "port '65536'"},
      {"host:-1", "port '-1'"},
      {"host:+1", "port '+1'"},
      {"host:080", "port '080'"},
      {"host:4000 ", "port '4000 '"},
      {"host:0x10", "port '0x10'"},
      {"::1:4000", "put an IPv6 address in brackets"},
      {"[::1:4000", "bracket"},
      {"[::1]4000", "bracket"},
      {"[host]:4000", "not an IPv6"},
      {"[10.0.0.1]:4000", "not an IPv6"},
      {"[]:4000", "not an IPv6"},
      {"[:4000", "bracket"},
      {"10.0.0.256:4000", "not a host name"},
      {"10.0.1:4000", "not a host name"},
      {"a b:4000", "not a host name"},
      {"-a:4000", "not a host name"},
      {"a-:4000", "not a host name"},
      {"a..b:4000", "not a host name"},
      {"http://a:4000", "brackets"},
      {std::string(64, 'a') + ":4000", "not a host name"}};
  for (const auto& [text, part] : faults) {
    const auto parsed = parse_address(text);
    INFO(text);
    REQUIRE_FALSE(parsed);
    INFO(parsed.error().message);
    CHECK(parsed.error().message.find(part) != std::string::npos);
  }
}

TEST_CASE("wildcards and loopbacks are known in every spelling") {
  for (const char* host : {"0.0.0.0", "::", "0:0:0:0:0:0:0:0"}) CHECK(is_wildcard(host));
  for (const char* host : {"10.0.0.0", "::1", "localhost", "", "*"}) CHECK_FALSE(is_wildcard(host));
  for (const char* host : {"localhost", "127.0.0.1", "127.9.9.9", "::1", "0:0:0:0:0:0:0:1"}) {
    CHECK(is_loopback(host));
  }
  for (const char* host : {"128.0.0.1", "0.0.0.0", "::", "1::1", "localhost.example", ""}) {
    CHECK_FALSE(is_loopback(host));
  }
}

}  // namespace bib::wire
