#include "wire/base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace bib::wire {
namespace {

constexpr std::size_t kHostSizeMax = 253;
constexpr std::size_t kLabelSizeMax = 63;

template <std::size_t kSize>
std::optional<std::array<std::uint8_t, kSize>> parse_ip(std::string_view host) {
  std::array<std::uint8_t, kSize> ip{};
  if (host.size() > kHostSizeMax) return std::nullopt;
  const int family = kSize == 4 ? AF_INET : AF_INET6;
  if (::inet_pton(family, std::string(host).c_str(), ip.data()) != 1) return std::nullopt;
  return ip;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

// RFC 1123's labels, and the underscores that container networks put into them.
bool is_name(std::string_view host) {
  if (host.empty() || host.size() > kHostSizeMax) return false;
  while (!host.empty()) {
    const std::string_view label = host.substr(0, host.find('.'));
    if (label.empty() || label.size() > kLabelSizeMax || label.front() == '-' ||
        label.back() == '-' || !std::all_of(label.begin(), label.end(), is_name_character)) {
      return false;
    }
    host.remove_prefix(std::min(host.size(), label.size() + 1));
  }
  return true;
}

bool is_digits_and_dots(std::string_view host) {
  return host.find_first_not_of("0123456789.") == std::string_view::npos;
}

template <typename... Args>
tl::unexpected<Error> bad_address(std::string_view text, fmt::format_string<Args...> format,
                                  Args&&... args) {
  return fail(ErrorCode::kInvalid,
              "'{}' is not an address: {}; write host:port, for example 10.0.0.1:4000, "
              "db1.example:4000 or [::1]:4000",
              text, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad_address(text, "the port is missing");
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  if (host.empty()) return bad_address(text, "the host is missing");
  if (host.front() == '[') {
    if (host.back() != ']') return bad_address(text, "the bracket is not closed before the port");
    host = host.substr(1, host.size() - 2);
    if (!parse_ip<16>(host)) return bad_address(text, "'{}' is not an IPv6 address", host);
  } else if (host.find(':') != std::string_view::npos) {
    return bad_address(text, "put an IPv6 address in brackets: [::1]:4002");
  } else if (is_digits_and_dots(host) ? !parse_ip<4>(host) : !is_name(host)) {
    return bad_address(text, "'{}' is not a host name or an IPv4 address", host);
  }
  Address address{.host = std::string(host), .port = 0};
  const char* end = port_text.data() + port_text.size();
  const auto [stop, error] = std::from_chars(port_text.data(), end, address.port);
  if (error != std::errc{} || stop != end || port_text != std::to_string(address.port)) {
    return bad_address(text, "the port '{}' is not a number from 0 to 65535", port_text);
  }
  return address;
}

std::string to_string(const Address& address) {
  const bool is_v6 = address.host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", address.host, address.port)
               : fmt::format("{}:{}", address.host, address.port);
}

bool is_wildcard(std::string_view host) {
  const auto v4 = parse_ip<4>(host);
  const auto v6 = parse_ip<16>(host);
  return (v4 && *v4 == std::array<std::uint8_t, 4>{}) ||
         (v6 && *v6 == std::array<std::uint8_t, 16>{});
}

bool is_loopback(std::string_view host) {
  if (host == "localhost") return true;
  if (const auto v4 = parse_ip<4>(host)) return (*v4)[0] == 127;
  const auto v6 = parse_ip<16>(host);
  return v6 && std::all_of(v6->begin(), v6->end() - 1, [](auto byte) { return byte == 0; }) &&
         v6->back() == 1;
}

}  // namespace bib::wire
