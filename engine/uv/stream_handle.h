// What streams that are dialled, accepted and listened on have in common.
#pragma once

#include <uv.h>

#include <array>
#include <optional>
#include <string>

#include "wire/base/address.h"

namespace bib::engine {

union StreamHandle {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_tcp_t tcp;
  uv_pipe_t pipe;
};

// The address as a socket takes it, where its host is a number; a name has to be looked up.
inline std::optional<sockaddr_storage> numeric_address(const wire::Address& address) {
  sockaddr_storage numeric{};
  const char* host = address.host.c_str();
  if (uv_ip4_addr(host, address.port, reinterpret_cast<sockaddr_in*>(&numeric)) == 0 ||
      uv_ip6_addr(host, address.port, reinterpret_cast<sockaddr_in6*>(&numeric)) == 0) {
    return numeric;
  }
  return std::nullopt;
}

// Of a TCP socket's name, "host:port".
inline std::string address_text(const sockaddr_storage& name) {
  std::array<char, 64> host{};
  std::uint16_t port = 0;
  if (name.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&name);
    uv_ip6_name(v6, host.data(), host.size());
    port = ntohs(v6->sin6_port);
  } else {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&name);
    uv_ip4_name(v4, host.data(), host.size());
    port = ntohs(v4->sin_port);
  }
  return to_string(wire::Address{host.data(), port});
}

}  // namespace bib::engine
