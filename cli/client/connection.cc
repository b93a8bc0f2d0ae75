#include "cli/client/connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace bib::cli {
namespace {

using wire::ErrorCode;

constexpr std::size_t kReceiveSize = 64U << 10;
constexpr std::size_t kCompactSize = 1U << 20;  // sent bytes that are worth moving the rest over

}  // namespace

int poll_timeout(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
}

struct Connection::Target {
  sockaddr_storage address{};
  socklen_t size = 0;
};

Connection::Connection(ServerAddress address)
    : address_(std::move(address)), decoder_(wire::kClientFrameBodyMax) {}

Connection::~Connection() {
  if (fd_ >= 0) close(fd_);
}

wire::Result<std::unique_ptr<Connection>> Connection::start(const ServerAddress& address) {
  std::unique_ptr<Connection> connection(new Connection(address));
  if (!address.socket_path.empty()) {
    Target target;
    auto* local = reinterpret_cast<sockaddr_un*>(&target.address);
    local->sun_family = AF_UNIX;
    if (address.socket_path.size() >= sizeof local->sun_path) {
      return wire::fail(ErrorCode::kIo, "the path is too long for a Unix socket");
    }
    std::memcpy(local->sun_path, address.socket_path.c_str(), address.socket_path.size() + 1);
    target.size = sizeof *local;
    connection->targets_.push_back(target);
  } else {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* list = nullptr;
    const int error = getaddrinfo(address.tcp.host.c_str(),
                                  std::to_string(address.tcp.port).c_str(), &hints, &list);
    if (error != 0) {
      return wire::fail(ErrorCode::kIo, "the name cannot be looked up: {}", gai_strerror(error));
    }
    std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, &freeaddrinfo);
    for (const addrinfo* i = list; i != nullptr; i = i->ai_next) {
      Target target;
      std::memcpy(&target.address, i->ai_addr, i->ai_addrlen);
      target.size = i->ai_addrlen;
      connection->targets_.push_back(target);
    }
    std::reverse(connection->targets_.begin(), connection->targets_.end());
  }
  BIB_TRY_VOID(connection->dial_next());
  return connection;
}

wire::Status Connection::dial_next() {
  int error = EADDRNOTAVAIL;
  while (!targets_.empty()) {
    const Target target = targets_.back();
    targets_.pop_back();
    if (fd_ >= 0) close(fd_);
    fd_ = socket(target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return wire::fail(ErrorCode::kIo, "socket: {}", wire::errno_text(errno));
    if (target.address.ss_family != AF_UNIX) {
      int on = 1;
      setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);  // a followed node may vanish
    }
    const auto* name = reinterpret_cast<const sockaddr*>(&target.address);
    if (connect(fd_, name, target.size) == 0 || errno == EINPROGRESS) return {};
    error = errno;
  }
  return wire::fail(ErrorCode::kIo, "{}", wire::errno_text(error));
}

wire::Status Connection::fail_over(int error) {
  if (established_ || targets_.empty()) {
    return wire::fail(ErrorCode::kIo, "{}", wire::errno_text(error));
  }
  return dial_next();
}

void Connection::queue(wire::FrameKind kind, std::uint64_t id, wire::ByteView body) {
  if (out_begin_ > kCompactSize) {
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(out_begin_));
    out_begin_ = 0;
  }
  wire::append_frame(out_, kind, id, body);
}

wire::Status Connection::flush() {
  while (out_begin_ < out_.size()) {
    const ssize_t sent =
        send(fd_, out_.data() + out_begin_, out_.size() - out_begin_, MSG_NOSIGNAL);
    if (sent >= 0) {
      established_ = true;
      out_begin_ += static_cast<std::size_t>(sent);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
    if (errno != EINTR) return fail_over(errno);
  }
  out_.clear();
  out_begin_ = 0;
  return {};
}

wire::Status Connection::receive() {
  for (;;) {
    const std::span<std::uint8_t> space = decoder_.prepare(kReceiveSize);
    const ssize_t got = recv(fd_, space.data(), space.size(), 0);
    if (got > 0) {
      decoder_.commit(static_cast<std::size_t>(got));
      // A short read emptied the socket; a full one is enough work for one turn.
      return {};
    }
    if (got == 0) {
      was_closed_ = true;
      return wire::fail(ErrorCode::kIo, "the node closed the connection");
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
    if (errno != EINTR) return fail_over(errno);
  }
}

short Connection::events() const {
  return queued_bytes() == 0 ? POLLIN : POLLIN | POLLOUT;
}

wire::Result<bool> Connection::wait(Clock::time_point deadline) const {
  pollfd item{fd_, events(), 0};
  for (;;) {
    const int ready = poll(&item, 1, poll_timeout(deadline));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return wire::fail(ErrorCode::kIo, "poll: {}", wire::errno_text(errno));
  }
}

wire::Result<wire::Frame> Connection::receive_frame(Clock::time_point deadline) {
  for (;;) {
    BIB_TRY(std::optional<wire::Frame> frame, next());
    if (frame) return std::move(*frame);
    BIB_TRY_VOID(flush());
    BIB_TRY(const bool ready, wait(deadline));
    if (!ready) return wire::fail(ErrorCode::kTimeout, "no answer in time");
    BIB_TRY_VOID(receive());
  }
}

}  // namespace bib::cli
