// What streams that are dialled, accepted and listened on have in common.
#pragma once

#include <uv.h>

#include <optional>

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

}  // namespace bib::engine
