#include "peer_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <stdexcept>

#include "wire/base/frame.h"
#include "wire/peer/peer_hello.h"

namespace bib::cluster {
namespace {

constexpr std::size_t kHeldMax = 1U << 20;

int new_socket() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) throw std::runtime_error("no socket");
  return socket;
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  address.sin_port = ::htons(static_cast<std::uint16_t>(port));
  return address;
}

void send_at_once(int socket) {
  int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

struct PeerProxy::Stream {
  // One of the two ends, and what waits to be written to it.
  struct End {
    int socket = -1;
    std::vector<std::uint8_t> held;

    short wanted(std::size_t held_by_other) const {
      const int reads = held_by_other < kHeldMax ? POLLIN : 0;
      return static_cast<short>(held.empty() ? reads : reads | POLLOUT);
    }
    // False: the connection is over.
    bool read_into(std::vector<std::uint8_t>& other) const {
      std::array<std::uint8_t, 65536> bytes;
      const ssize_t size = ::recv(socket, bytes.data(), bytes.size(), 0);
      if (size > 0) other.insert(other.end(), bytes.begin(), bytes.begin() + size);
      return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
    }
    bool write_held() {
      if (held.empty()) return true;
      const ssize_t size = ::send(socket, held.data(), held.size(), MSG_NOSIGNAL);
      if (size > 0) held.erase(held.begin(), held.begin() + size);
      return size >= 0 || errno == EAGAIN || errno == EINTR;
    }
  };

  ~Stream() {
    ::close(dialler.socket);
    ::close(node.socket);
  }

  // Until it is known whether this stream is cut, nothing passes.
  void look_for_greeting() {
    wire::FrameDecoder decoder(wire::kPeerFrameBodyMax);
    decoder.feed(node.held);
    const auto frame = decoder.next();
    if (frame && !*frame) return;
    is_known = true;
    if (!frame || (*frame)->kind != wire::FrameKind::kPeerHello) return;
    const auto hello = wire::decode_peer_hello((*frame)->body.view());
    if (hello) ends = std::minmax(hello->from, hello->to);
  }

  End dialler;
  End node;
  bool is_known = false;
  std::optional<std::pair<wire::NodeId, wire::NodeId>> ends;
  bool is_over = false;
};

PeerProxy::PeerProxy() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wake_ < 0) throw std::runtime_error("no eventfd");
  thread_ = std::thread([this] { run(); });
}

PeerProxy::~PeerProxy() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
  for (const Door& door : doors_) ::close(door.listener);
  ::close(wake_);
}

void PeerProxy::wake() const {
  const std::uint64_t one = 1;
  if (::write(wake_, &one, sizeof one) < 0) return;  // it is awake
}

std::string PeerProxy::open_door(int port) {
  Door door{new_socket(), port};
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  auto* name = reinterpret_cast<sockaddr*>(&address);
  if (::bind(door.listener, name, size) != 0 || ::listen(door.listener, 64) != 0 ||
      ::getsockname(door.listener, name, &size) != 0) {
    throw std::runtime_error("the proxy cannot listen");
  }
  {
    const std::lock_guard lock(mutex_);
    doors_.push_back(door);
  }
  wake();
  return "127.0.0.1:" + std::to_string(::ntohs(address.sin_port));
}

void PeerProxy::cut(wire::NodeId a, wire::NodeId b) {
  const std::lock_guard lock(mutex_);
  cut_.insert(std::minmax(a, b));
  wake();
}

void PeerProxy::isolate(wire::NodeId node) {
  const std::lock_guard lock(mutex_);
  isolated_.insert(node);
  wake();
}

void PeerProxy::mend_all() {
  const std::lock_guard lock(mutex_);
  cut_.clear();
  isolated_.clear();
  wake();
}

bool PeerProxy::is_cut(const Stream& stream) const {
  if (!stream.ends) return false;
  const std::lock_guard lock(mutex_);
  return cut_.contains(*stream.ends) || isolated_.contains(stream.ends->first) ||
         isolated_.contains(stream.ends->second);
}

void PeerProxy::accept(const Door& door) {
  const int dialler = ::accept4(door.listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (dialler < 0) return;
  auto stream = std::make_unique<Stream>();
  stream->dialler.socket = dialler;
  stream->node.socket = new_socket();
  const sockaddr_in address = loopback(door.port);
  // Refused, or not: the first read or write tells.
  (void)::connect(stream->node.socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  send_at_once(dialler);
  send_at_once(stream->node.socket);
  streams_.push_back(std::move(stream));
}

void PeerProxy::serve(Stream& stream, short dialler_events, short node_events) {
  constexpr short kReadable = POLLIN | POLLHUP | POLLERR;
  bool goes_on = true;
  if ((dialler_events & kReadable) != 0) goes_on = stream.dialler.read_into(stream.node.held);
  if ((node_events & kReadable) != 0) {
    goes_on = stream.node.read_into(stream.dialler.held) && goes_on;
  }
  if (!stream.is_known) stream.look_for_greeting();
  if (!stream.is_known) {
    stream.is_over = !goes_on;
    return;
  }
  if (is_cut(stream)) return;
  goes_on = stream.node.write_held() && goes_on;
  goes_on = stream.dialler.write_held() && goes_on;
  stream.is_over = !goes_on;
}

void PeerProxy::run() {
  for (;;) {
    std::vector<Door> doors;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) break;
      doors = doors_;
    }
    std::vector<pollfd> items{{wake_, POLLIN, 0}};
    for (const Door& door : doors) items.push_back({door.listener, POLLIN, 0});
    const std::size_t count = streams_.size();
    for (const auto& stream : streams_) {
      const bool cut = is_cut(*stream);
      const auto item = [&](const Stream::End& end, const Stream::End& other) {
        // A negative descriptor is not looked at.
        items.push_back({cut ? -1 : end.socket, end.wanted(other.held.size()), 0});
      };
      item(stream->dialler, stream->node);
      // Before the greeting there is nothing to write.
      item(stream->node, stream->dialler);
      if (!stream->is_known) items.back().events = POLLIN;
    }
    ::poll(items.data(), items.size(), -1);
    std::uint64_t woken = 0;
    if (items[0].revents != 0 && ::read(wake_, &woken, sizeof woken) < 0) continue;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = 1 + doors.size() + 2 * i;
      if (items[at].revents != 0 || items[at + 1].revents != 0) {
        serve(*streams_[i], items[at].revents, items[at + 1].revents);
      }
    }
    for (std::size_t i = 0; i < doors.size(); ++i) {
      if (items[1 + i].revents != 0) accept(doors[i]);
    }
    std::erase_if(streams_, [](const auto& stream) { return stream->is_over; });
  }
  streams_.clear();
}

}  // namespace bib::cluster
