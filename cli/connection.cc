#include "cli/connection.h"

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

// Closes what was not taken.
class SocketOwner {
 public:
  explicit SocketOwner(int fd) : fd_(fd) {}
  ~SocketOwner() {
    if (fd_ >= 0) close(fd_);
  }
  SocketOwner(const SocketOwner&) = delete;
  SocketOwner& operator=(const SocketOwner&) = delete;
  int fd() const { return fd_; }
  int take() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

wire::Status wait_connected(int fd, Clock::time_point deadline) {
  pollfd item{fd, POLLOUT, 0};
  for (;;) {
    int ready = poll(&item, 1, poll_timeout(deadline));
    if (ready > 0) break;
    if (ready == 0) return wire::fail(ErrorCode::kTimeout, "no connection in time");
    if (errno != EINTR) return wire::fail(ErrorCode::kIo, "poll: {}", wire::errno_text(errno));
  }
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return wire::fail(ErrorCode::kIo, "{}", wire::errno_text(error));
  return {};
}

wire::Result<int> dial(int family, const sockaddr* address, socklen_t size,
                       Clock::time_point deadline) {
  SocketOwner owner(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (owner.fd() < 0) return wire::fail(ErrorCode::kIo, "socket: {}", wire::errno_text(errno));
  if (connect(owner.fd(), address, size) != 0) {
    if (errno != EINPROGRESS) return wire::fail(ErrorCode::kIo, "{}", wire::errno_text(errno));
    BIB_TRY_VOID(wait_connected(owner.fd(), deadline));
  }
  return owner.take();
}

wire::Result<int> dial_unix(const std::string& path, Clock::time_point deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return wire::fail(ErrorCode::kIo, "the path is too long for a Unix socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return dial(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address, deadline);
}

wire::Result<int> dial_tcp(const wire::Address& to, Clock::time_point deadline) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  int error = getaddrinfo(to.host.c_str(), std::to_string(to.port).c_str(), &hints, &list);
  if (error != 0)
    return wire::fail(ErrorCode::kIo, "the name cannot be looked up: {}", gai_strerror(error));
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, &freeaddrinfo);
  wire::Result<int> fd = wire::fail(ErrorCode::kIo, "the name has no address");
  for (const addrinfo* i = list; i != nullptr; i = i->ai_next) {
    fd = dial(i->ai_family, i->ai_addr, i->ai_addrlen, deadline);
    if (!fd) continue;
    int on = 1;
    setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(*fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);  // a followed node may vanish
    break;
  }
  return fd;
}

}  // namespace

int poll_timeout(Clock::time_point deadline) {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
}

Connection::Connection(ServerAddress address, int fd)
    : address_(std::move(address)), fd_(fd), decoder_(wire::kClientFrameBodyMax) {}

Connection::~Connection() {
  close(fd_);
}

wire::Result<std::unique_ptr<Connection>> Connection::open(const ServerAddress& address,
                                                           Clock::time_point deadline) {
  BIB_TRY(int fd, address.socket_path.empty() ? dial_tcp(address.tcp, deadline)
                                              : dial_unix(address.socket_path, deadline));
  return std::unique_ptr<Connection>(new Connection(address, fd));
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
    ssize_t sent = send(fd_, out_.data() + out_begin_, out_.size() - out_begin_, MSG_NOSIGNAL);
    if (sent >= 0) {
      out_begin_ += static_cast<std::size_t>(sent);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
    if (errno != EINTR) return wire::fail(ErrorCode::kIo, "{}", wire::errno_text(errno));
  }
  out_.clear();
  out_begin_ = 0;
  return {};
}

wire::Status Connection::receive() {
  for (;;) {
    std::span<std::uint8_t> space = decoder_.prepare(kReceiveSize);
    ssize_t got = recv(fd_, space.data(), space.size(), 0);
    if (got > 0) {
      decoder_.commit(static_cast<std::size_t>(got));
      // A short read emptied the socket; a full one is enough work for one turn.
      return {};
    }
    if (got == 0) return wire::fail(ErrorCode::kIo, "the node closed the connection");
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
    if (errno != EINTR) return wire::fail(ErrorCode::kIo, "{}", wire::errno_text(errno));
  }
}

wire::Result<bool> Connection::wait(Clock::time_point deadline) const {
  short events = queued_bytes() == 0 ? POLLIN : POLLIN | POLLOUT;
  pollfd item{fd_, events, 0};
  for (;;) {
    int ready = poll(&item, 1, poll_timeout(deadline));
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
    BIB_TRY(bool ready, wait(deadline));
    if (!ready) return wire::fail(ErrorCode::kTimeout, "no answer in time");
    BIB_TRY_VOID(receive());
  }
}

}  // namespace bib::cli
