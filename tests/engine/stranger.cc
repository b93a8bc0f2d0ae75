#include "stranger.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "wire/base/address.h"

namespace bib::engine {

Stranger::Stranger(const std::string& address) {
  if (address[0] == '/') {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, address.c_str(), sizeof to.sun_path - 1);
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    return;
  }
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(wire::parse_address(address).value().port);
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
}

Stranger::Stranger(Stranger&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      decoder_(std::move(other.decoder_)),
      received_(std::move(other.received_)),
      over_(other.over_) {}

Stranger::~Stranger() {
  close();
}

void Stranger::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool Stranger::send(wire::ByteView bytes) {
  const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent >= 0 || errno == EAGAIN;
}

bool Stranger::send(wire::FrameKind kind, std::uint64_t id, wire::ByteView body) {
  std::vector<std::uint8_t> bytes;
  wire::append_frame(bytes, kind, id, body);
  return send(bytes);
}

void Stranger::send_beginning(wire::FrameKind kind, std::uint64_t id, wire::ByteView body,
                              std::size_t bytes) {
  std::vector<std::uint8_t> all;
  wire::append_frame(all, kind, id, body);
  send(wire::ByteView(all).first(wire::kFrameHeaderSize + bytes));
}

void Stranger::read() {
  std::array<std::uint8_t, 4096> buffer{};
  while (!over_) {
    const auto got = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      over_ = true;
      return;
    }
    decoder_.feed(wire::ByteView(buffer).first(static_cast<std::size_t>(got)));
    for (auto frame = decoder_.next(); frame.value(); frame = decoder_.next()) {
      received_.push_back(std::move(**frame));
    }
  }
}

const std::vector<wire::Frame>& Stranger::received() {
  read();
  return received_;
}

bool Stranger::is_over() {
  read();
  return over_;
}

}  // namespace bib::engine
