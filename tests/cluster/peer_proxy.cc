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
#include <deque>
#include <optional>
#include <stdexcept>

#include "wire/base/frame.h"
#include "wire/peer/peer_hello.h"

namespace bib::cluster {
namespace {

using Clock = std::chrono::steady_clock;

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
    // How many of the held bytes may leave when, where they take their time; the rest may at once.
    std::deque<std::pair<Clock::time_point, std::size_t>> due;
    bool is_open = true;  // what comes for it may be written to it

    short wanted(const End& other, bool may_read) const {
      const int reads = may_read && other.held.size() < kHeldMax ? POLLIN : 0;
      return static_cast<short>(is_open && ready() > 0 ? reads | POLLOUT : reads);
    }
    std::size_t ready() const {
      std::size_t late = 0;
      for (const auto& [when, size] : due) late += when > Clock::now() ? size : 0;
      return held.size() - late;
    }
    // False: the connection is over.
    bool read_into(End& other, std::chrono::milliseconds delay) const {
      std::array<std::uint8_t, 65536> bytes;
      const ssize_t size = ::recv(socket, bytes.data(), bytes.size(), 0);
      if (size > 0) {
        other.held.insert(other.held.end(), bytes.begin(), bytes.begin() + size);
        if (delay.count() > 0) {
          other.due.emplace_back(Clock::now() + delay, static_cast<std::size_t>(size));
        }
      }
      return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
    }
    bool write_held() {
      while (!due.empty() && due.front().first <= Clock::now()) due.pop_front();
      const std::size_t count = ready();
      if (count == 0) return true;
      const ssize_t size = ::send(socket, held.data(), count, MSG_NOSIGNAL);
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
    if (hello) ends = std::pair(hello->from, hello->to);
  }

  End dialler;
  End node;
  bool is_known = false;
  std::optional<std::pair<wire::NodeId, wire::NodeId>> ends;  // who dialled whom
  Clock::time_point made = Clock::now();
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
  cut_.insert({a, b});
  cut_.insert({b, a});
  wake();
}

void PeerProxy::cut_one_way(wire::NodeId from, wire::NodeId to) {
  const std::lock_guard lock(mutex_);
  cut_.insert({from, to});
  wake();
}

void PeerProxy::set_weather(Weather weather) {
  const std::lock_guard lock(mutex_);
  weather_ = weather;
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

// What goes to the node that was dialled, or back.
bool PeerProxy::passes(const Stream& stream, bool to_node) const {
  if (!stream.ends) return true;
  const std::lock_guard lock(mutex_);
  if (weather_.stall_every.count() > 0) {
    const auto age =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - stream.made);
    if (age % weather_.stall_every >= weather_.stall_every - weather_.stall_for) return false;
  }
  const auto& [dialler, node] = *stream.ends;
  const auto way = to_node ? std::pair(dialler, node) : std::pair(node, dialler);
  return !cut_.contains(way) && !isolated_.contains(dialler) && !isolated_.contains(node);
}

// Where nothing takes its time, only events wake the proxy.
int PeerProxy::wait_ms() const {
  const std::lock_guard lock(mutex_);
  return weather_.delay.count() > 0 || weather_.stall_every.count() > 0 ? 5 : -1;
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
  std::chrono::milliseconds delay{0};
  {
    const std::lock_guard lock(mutex_);
    delay = weather_.delay;
  }
  bool goes_on = true;
  if ((dialler_events & kReadable) != 0) goes_on = stream.dialler.read_into(stream.node, delay);
  if ((node_events & kReadable) != 0) {
    goes_on = stream.node.read_into(stream.dialler, delay) && goes_on;
  }
  if (!stream.is_known) stream.look_for_greeting();
  if (!stream.is_known) {
    stream.is_over = !goes_on;
    return;
  }
  if (passes(stream, true)) goes_on = stream.node.write_held() && goes_on;
  if (passes(stream, false)) goes_on = stream.dialler.write_held() && goes_on;
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
      Stream::End& dialler = stream->dialler;
      Stream::End& node = stream->node;
      // What may not pass is not read either: a network would hold it back, too.
      node.is_open = stream->is_known && passes(*stream, true);
      dialler.is_open = stream->is_known && passes(*stream, false);
      const bool reads_dialler = node.is_open || !stream->is_known;
      const bool reads_node = dialler.is_open || !stream->is_known;
      const auto item = [&](const Stream::End& end, const Stream::End& other, bool may_read) {
        const short wanted = end.wanted(other, may_read);
        // A negative descriptor is not looked at.
        items.push_back({wanted == 0 ? -1 : end.socket, wanted, 0});
      };
      item(dialler, node, reads_dialler);
      item(node, dialler, reads_node);
    }
    ::poll(items.data(), items.size(), wait_ms());
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
