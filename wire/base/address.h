// Address: "host:port" as configuration, join tokens and members hold it.
//
// Values and pure functions; nothing is resolved. The host is a name, an IPv4 address, or an IPv6
// address in brackets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/base/result.h"

namespace bib::wire {

struct Address {
  std::string host;        // without brackets
  std::uint16_t port = 0;  // 0: the system picks one; only for listening

  bool operator==(const Address&) const = default;
};

// kInvalid says which part is wrong and what is expected.
Result<Address> parse_address(std::string_view text);
// The text that parse_address reads; IPv6 in brackets.
std::string to_string(const Address& address);

// 0.0.0.0 or ::, in any spelling: every interface, and no address to give to others.
bool is_wildcard(std::string_view host);
// localhost, 127.0.0.0/8 or ::1: not reachable from other machines.
bool is_loopback(std::string_view host);

}  // namespace bib::wire
