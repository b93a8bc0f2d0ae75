#include "cli/client/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cerrno>
#include <memory>

namespace bib::cli {

using wire::ErrorCode;

wire::Result<wire::Address> parse_host_port(std::string_view text) {
  BIB_TRY(wire::Address address, wire::parse_address(text));
  if (address.port == 0) {
    return wire::fail(ErrorCode::kInvalid, "'{}' has the port 0; give one of 1 to 65535", text);
  }
  return address;
}

bool is_beyond_loopback(std::string_view address) {
  const auto parsed = parse_host_port(address);
  return parsed && !wire::is_loopback(parsed->host);
}

wire::Result<std::string> machine_address() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) {
    return wire::fail(ErrorCode::kIo, "the network interfaces cannot be listed: {}",
                      wire::errno_text(errno));
  }
  std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(first, &freeifaddrs);
  for (const int family : {AF_INET, AF_INET6}) {
    for (const ifaddrs* i = first; i != nullptr; i = i->ifa_next) {
      if (i->ifa_addr == nullptr || i->ifa_addr->sa_family != family) continue;
      if ((i->ifa_flags & IFF_UP) == 0 || (i->ifa_flags & IFF_LOOPBACK) != 0) continue;
      char text[INET6_ADDRSTRLEN] = {};
      if (family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(i->ifa_addr);
        inet_ntop(family, &v4->sin_addr, text, sizeof text);
      } else {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(i->ifa_addr);
        if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) continue;
        inet_ntop(family, &v6->sin6_addr, text, sizeof text);
      }
      return std::string(text);
    }
  }
  return wire::fail(ErrorCode::kNotFound, "no network interface but loopback is up");
}

wire::Result<ServerAddress> parse_server_address(std::string_view text) {
  constexpr std::string_view kUnixPrefix = "unix:";
  std::string_view path;
  if (text.substr(0, kUnixPrefix.size()) == kUnixPrefix) {
    path = text.substr(kUnixPrefix.size());
  } else if (!text.empty() && text.front() == '/') {
    path = text;
  }
  if (path.empty()) {
    auto tcp = parse_host_port(text);
    if (!tcp && text.find('/') != std::string_view::npos) {
      return wire::fail(ErrorCode::kInvalid,
                        "'{}' is not an address: a socket's path is absolute (/...)", text);
    }
    if (!tcp) return tl::unexpected(tcp.error());
    return ServerAddress{{}, std::move(*tcp)};
  }
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return wire::fail(ErrorCode::kInvalid,
                      "'{}' is too long for a Unix socket: {} bytes, at most {}", path, path.size(),
                      sizeof(sockaddr_un{}.sun_path) - 1);
  }
  return ServerAddress{std::string(path), {}};
}

std::string to_string(const ServerAddress& address) {
  return address.socket_path.empty() ? wire::to_string(address.tcp) : address.socket_path;
}

}  // namespace bib::cli
