// Addresses as the command line takes them: "host:port", or the path of a Unix socket.
//
// Values; nothing here opens a socket. machine_address() asks the system for its interfaces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/base/address.h"
#include "wire/base/result.h"

namespace bib::cli {

// An address that can be dialled: wire::parse_address, and the port is not 0.
wire::Result<wire::Address> parse_host_port(std::string_view text);

// Other machines can dial it; false for what is no address, too.
bool is_beyond_loopback(std::string_view address);

// The address of the first interface that is up and is not loopback, IPv4 first. kNotFound when
// there is none.
wire::Result<std::string> machine_address();

// Where a node's client API is reached.
struct ServerAddress {
  std::string socket_path;  // not empty: a Unix socket, and `tcp` is not used
  wire::Address tcp;

  bool operator==(const ServerAddress&) const = default;
};

// "host:port", or a path of a Unix socket: "/run/bibd.sock", "unix:relative.sock".
wire::Result<ServerAddress> parse_server_address(std::string_view text);
std::string to_string(const ServerAddress& address);

}  // namespace bib::cli
