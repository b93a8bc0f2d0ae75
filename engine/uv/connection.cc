#include "engine/uv/connection.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <deque>
#include <utility>

#include "wire/base/check.h"

namespace bib::engine {
namespace {

using wire::ErrorCode;
using wire::fail;

constexpr int kBacklog = 511;
constexpr std::size_t kBuffersPerWrite = 64;
// Small frames of one turn share a chunk up to this size.
constexpr std::size_t kChunkSize = 64U << 10;

union StreamHandle {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_tcp_t tcp;
  uv_pipe_t pipe;
};

bool is_socket_path(const std::string& address) {
  return !address.empty() && address[0] == '/';
}

struct HostPort {
  std::string host;
  std::string port;
};

wire::Result<HostPort> split_address(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
    return fail(ErrorCode::kInvalid, "'{}' is not an address of the form host:port", address);
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return HostPort{host, address.substr(colon + 1)};
}

// Either a buffer of our own or a reference to shared bytes.
struct Chunk {
  std::vector<std::uint8_t> own;
  wire::Bytes shared;
  std::size_t offset = 0;

  wire::ByteView rest() const {
    const wire::ByteView all = shared.empty() ? wire::ByteView(own) : shared.view();
    return all.subspan(offset);
  }
};

}  // namespace

struct Connection::State {
  explicit State(EventLoop& event_loop, ConnectionLimits connection_limits)
      : loop(event_loop), limits(connection_limits), decoder(connection_limits.frame_body_max) {}

  EventLoop& loop;
  StreamHandle stream{};
  ConnectionLimits limits;
  wire::FrameDecoder decoder;
  Handler* handler = nullptr;
  std::deque<Chunk> outgoing;
  std::size_t outgoing_bytes = 0;
  uv_write_t write_request{};
  uv_connect_t connect_request{};
  uv_getaddrinfo_t resolve_request{};
  std::string port;
  bool initialized = false;  // libuv knows the handle
  bool open = false;         // connected, and not failed
  bool reading = false;
  bool paused = false;
  bool writing = false;
  bool resolving = false;
  bool abandoned = false;  // the Connection is gone
  bool closing = false;
  bool close_done = false;

  void fail_with(const wire::Error& reason) {
    if (abandoned || closing) return;
    open = false;
    Handler* told = handler;
    handler = nullptr;
    shut();
    if (told != nullptr) told->on_closed(reason);
  }

  void shut() {
    if (closing) return;
    closing = true;
    open = false;
    if (!initialized) {
      close_done = true;
      return;
    }
    uv_close(&stream.handle, [](uv_handle_t* handle) {
      auto* self = static_cast<State*>(handle->data);
      self->close_done = true;
      self->release();
    });
  }

  // Deletes itself once neither the Connection nor libuv needs it.
  void release() {
    if (abandoned && close_done && !resolving) delete this;
  }

  void init_tcp() {
    BIB_CHECK(uv_tcp_init(loop.raw(), &stream.tcp) == 0);
    initialized = true;
    stream.handle.data = this;
  }

  void established() {
    open = true;
    if (stream.handle.type == UV_TCP) {
      uv_tcp_nodelay(&stream.tcp, 1);
      uv_tcp_keepalive(&stream.tcp, 1, 30);
    }
  }

  void begin_reading() {
    if (reading || paused || !open || handler == nullptr) return;
    reading = true;
    uv_read_start(
        &stream.stream,
        [](uv_handle_t* handle, std::size_t suggested, uv_buf_t* buffer) {
          auto* self = static_cast<State*>(handle->data);
          const auto room = self->decoder.prepare(suggested);
          *buffer =
              uv_buf_init(reinterpret_cast<char*>(room.data()), static_cast<unsigned>(room.size()));
        },
        [](uv_stream_t* stream_handle, ssize_t size, const uv_buf_t*) {
          static_cast<State*>(stream_handle->data)->on_read(size);
        });
  }

  void on_read(ssize_t size) {
    if (size == 0) return;
    if (size < 0) {
      fail_with(size == UV_EOF ? wire::Error{ErrorCode::kIo, "the other side closed the connection"}
                               : uv_error(static_cast<int>(size), "reading"));
      return;
    }
    decoder.commit(static_cast<std::size_t>(size));
    deliver();
  }

  // Gives out whole frames until there is none or the owner pauses or goes away.
  void deliver() {
    if (delivering) return;
    delivering = true;
    while (open && handler != nullptr && !paused) {
      auto frame = decoder.next();
      if (!frame) {
        delivering = false;
        fail_with(frame.error());
        return finish_delivery();
      }
      if (!frame->has_value()) break;
      handler->on_frame(std::move(**frame));
    }
    delivering = false;
    finish_delivery();
  }
  void finish_delivery() {
    if (delete_after_delivery) {
      delete_after_delivery = false;
      abandon();
    }
  }
  bool delivering = false;
  bool delete_after_delivery = false;

  void abandon() {
    handler = nullptr;
    if (delivering) {
      delete_after_delivery = true;
      shut();
      return;
    }
    shut();
    abandoned = true;
    release();
  }

  std::vector<std::uint8_t>& tail(std::size_t more) {
    if (outgoing.empty() || !outgoing.back().shared.empty() ||
        outgoing.back().own.size() + more > kChunkSize ||
        (writing && outgoing.size() <= chunks_in_write)) {
      outgoing.emplace_back();
      outgoing.back().own.reserve(more > kChunkSize ? more : kChunkSize / 4);
    }
    return outgoing.back().own;
  }
  std::size_t chunks_in_write = 0;

  void check_outgoing() {
    if (outgoing_bytes <= limits.outgoing_bytes_max) return;
    too_slow = true;  // reported at the next flush, not inside the sender's call
  }
  bool too_slow = false;

  void flush() {
    if (too_slow) {
      fail_with(
          wire::Error{ErrorCode::kOverloaded,
                      fmt::format("the other side takes nothing: {} bytes wait", outgoing_bytes)});
      return;
    }
    if (!open || writing) return;
    while (!outgoing.empty()) {
      std::array<uv_buf_t, kBuffersPerWrite> buffers;
      const std::size_t count = collect(buffers);
      const int written =
          uv_try_write(&stream.stream, buffers.data(), static_cast<unsigned>(count));
      if (written == UV_EAGAIN) break;
      if (written < 0) return fail_with(uv_error(written, "writing"));
      consume(static_cast<std::size_t>(written));
    }
    if (!outgoing.empty()) write_later();
  }

  std::size_t collect(std::array<uv_buf_t, kBuffersPerWrite>& buffers) const {
    std::size_t count = 0;
    for (const Chunk& chunk : outgoing) {
      if (count == buffers.size()) break;
      const wire::ByteView rest = chunk.rest();
      buffers[count++] =
          uv_buf_init(reinterpret_cast<char*>(const_cast<std::uint8_t*>(rest.data())),
                      static_cast<unsigned>(rest.size()));
    }
    return count;
  }

  void consume(std::size_t size) {
    outgoing_bytes -= size;
    while (size > 0) {
      const std::size_t rest = outgoing.front().rest().size();
      if (size < rest) {
        outgoing.front().offset += size;
        return;
      }
      size -= rest;
      outgoing.pop_front();
    }
  }

  void write_later() {
    std::array<uv_buf_t, kBuffersPerWrite> buffers;
    const std::size_t count = collect(buffers);
    writing = true;
    chunks_in_write = count;
    bytes_in_write = 0;
    for (std::size_t i = 0; i < count; ++i) bytes_in_write += buffers[i].len;
    write_request.data = this;
    const int status = uv_write(&write_request, &stream.stream, buffers.data(),
                                static_cast<unsigned>(count), [](uv_write_t* request, int result) {
                                  static_cast<State*>(request->data)->on_written(result);
                                });
    if (status != 0) {
      writing = false;
      fail_with(uv_error(status, "writing"));
    }
  }
  std::size_t bytes_in_write = 0;

  void on_written(int status) {
    writing = false;
    chunks_in_write = 0;
    if (closing) return;
    if (status != 0) return fail_with(uv_error(status, "writing"));
    consume(bytes_in_write);
    flush();
    if (open && outgoing.empty() && handler != nullptr) handler->on_drained();
  }

  void connect_to(const sockaddr* address) {
    connect_request.data = this;
    const int status = uv_tcp_connect(&connect_request, &stream.tcp, address,
                                      [](uv_connect_t* request, int result) {
                                        auto* self = static_cast<State*>(request->data);
                                        if (self->closing) return;
                                        if (result != 0)
                                          return self->fail_with(uv_error(result, "connecting"));
                                        self->established();
                                        if (self->handler != nullptr) self->handler->on_connected();
                                        self->begin_reading();
                                      });
    if (status != 0) fail_later(uv_error(status, "connecting"));
  }

  // on_closed must not be called from inside dial(): a timer of zero brings it.
  void fail_later(wire::Error reason) {
    auto* later = new Later{{}, this, std::move(reason)};
    resolving = true;  // keeps this state alive
    BIB_CHECK(uv_timer_init(loop.raw(), &later->timer) == 0);
    later->timer.data = later;
    uv_timer_start(
        &later->timer,
        [](uv_timer_t* timer) {
          uv_close(reinterpret_cast<uv_handle_t*>(timer), [](uv_handle_t* handle) {
            const std::unique_ptr<Later> finished(static_cast<Later*>(handle->data));
            finished->state->resolving = false;
            finished->state->fail_with(finished->reason);
            finished->state->release();
          });
        },
        0, 0);
  }
  struct Later {
    uv_timer_t timer;
    State* state;
    wire::Error reason;
  };

  void on_resolved(int status, addrinfo* found) {
    resolving = false;
    if (abandoned || closing) {
      uv_freeaddrinfo(found);
      return release();
    }
    if (status != 0) return fail_with(uv_error(status, "resolving the address"));
    init_tcp();
    connect_to(found->ai_addr);
    uv_freeaddrinfo(found);
  }
};

Connection::Connection(State* state) : state_(state) {}

Connection::~Connection() {
  state_->abandon();
}

wire::Result<std::unique_ptr<Connection>> Connection::accept(EventLoop& loop, uv_stream_t* server,
                                                             ConnectionLimits limits) {
  auto state = std::make_unique<State>(loop, limits);
  if (server->type == UV_TCP) {
    state->init_tcp();
  } else {
    BIB_CHECK(uv_pipe_init(loop.raw(), &state->stream.pipe, 0) == 0);
    state->initialized = true;
    state->stream.handle.data = state.get();
  }
  std::unique_ptr<Connection> connection(new Connection(state.release()));
  const int status = uv_accept(server, &connection->state_->stream.stream);
  if (status != 0) return tl::unexpected(uv_error(status, "accepting a connection"));
  connection->state_->established();
  return connection;
}

wire::Result<std::unique_ptr<Connection>> Connection::dial(EventLoop& loop,
                                                           const std::string& address,
                                                           ConnectionLimits limits,
                                                           Handler* handler) {
  BIB_TRY(const HostPort target, split_address(address));
  std::unique_ptr<Connection> connection(new Connection(new State(loop, limits)));
  State* state = connection->state_;
  state->handler = handler;
  sockaddr_storage numeric{};
  const int port = std::atoi(target.port.c_str());
  if (uv_ip4_addr(target.host.c_str(), port, reinterpret_cast<sockaddr_in*>(&numeric)) == 0 ||
      uv_ip6_addr(target.host.c_str(), port, reinterpret_cast<sockaddr_in6*>(&numeric)) == 0) {
    state->init_tcp();
    state->connect_to(reinterpret_cast<const sockaddr*>(&numeric));
    return connection;
  }
  state->resolve_request.data = state;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  const int status = uv_getaddrinfo(
      loop.raw(), &state->resolve_request,
      [](uv_getaddrinfo_t* request, int result, addrinfo* found) {
        static_cast<State*>(request->data)->on_resolved(result, found);
      },
      target.host.c_str(), target.port.c_str(), &hints);
  if (status != 0) return tl::unexpected(uv_error(status, "resolving " + address));
  state->resolving = true;
  return connection;
}

void Connection::start(Handler* handler) {
  state_->handler = handler;
  state_->begin_reading();
}

void Connection::pause_reading() {
  state_->paused = true;
  if (!state_->reading) return;
  state_->reading = false;
  if (state_->open) uv_read_stop(&state_->stream.stream);
}

void Connection::resume_reading() {
  if (!state_->paused) return;
  state_->paused = false;
  State* state = state_;
  state->begin_reading();
  state->deliver();  // what is buffered already; may destroy this Connection
}

void Connection::send(wire::FrameKind kind, std::uint64_t id, wire::ByteView body) {
  if (state_->closing) return;
  const std::array<wire::ByteView, 1> pieces{body};
  const wire::FrameHeaderBytes header = wire::make_frame_header(kind, id, pieces);
  auto& tail = state_->tail(header.size() + body.size());
  tail.insert(tail.end(), header.begin(), header.end());
  tail.insert(tail.end(), body.begin(), body.end());
  state_->outgoing_bytes += header.size() + body.size();
  state_->check_outgoing();
}

void Connection::send(wire::FrameKind kind, std::uint64_t id, wire::ByteView head,
                      const std::vector<wire::Bytes>& shared) {
  if (state_->closing) return;
  std::vector<wire::ByteView> pieces{head};
  for (const wire::Bytes& bytes : shared) pieces.push_back(bytes.view());
  const wire::FrameHeaderBytes header = wire::make_frame_header(kind, id, pieces);
  auto& tail = state_->tail(header.size() + head.size());
  tail.insert(tail.end(), header.begin(), header.end());
  tail.insert(tail.end(), head.begin(), head.end());
  state_->outgoing_bytes += header.size() + head.size();
  for (const wire::Bytes& bytes : shared) {
    if (bytes.empty()) continue;
    state_->outgoing.push_back(Chunk{{}, bytes, 0});
    state_->outgoing_bytes += bytes.size();
  }
  state_->check_outgoing();
}

void Connection::flush() {
  state_->flush();
}
std::size_t Connection::outgoing_bytes() const {
  return state_->outgoing_bytes;
}
bool Connection::is_open() const {
  return state_->open;
}

struct Listener::State {
  EventLoop& loop;
  StreamHandle stream{};
  ConnectionLimits limits;
  std::function<void(std::unique_ptr<Connection>)> on_connection;  // empty until serve()
  std::string socket_path;                                         // to remove at the end
};

namespace {

std::string bound_address(const uv_tcp_t& tcp) {
  sockaddr_storage name{};
  int size = sizeof name;
  if (uv_tcp_getsockname(&tcp, reinterpret_cast<sockaddr*>(&name), &size) != 0) return {};
  std::array<char, 64> host{};
  if (name.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&name);
    uv_ip6_name(v6, host.data(), host.size());
    return fmt::format("[{}]:{}", host.data(), ntohs(v6->sin6_port));
  }
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&name);
  uv_ip4_name(v4, host.data(), host.size());
  return fmt::format("{}:{}", host.data(), ntohs(v4->sin_port));
}

wire::Error cannot_listen(int status, const std::string& address) {
  if (status != UV_EADDRINUSE) return uv_error(status, "cannot listen on " + address);
  return uv_error(
      status, fmt::format("cannot listen on {}: {}", address,
                          is_socket_path(address) ? "another process does, or the file is no socket"
                                                  : "another process does"));
}

// A socket file that nobody answers on is left over from a run that did not end well.
void remove_dead_socket(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::strncpy(name.sun_path, path.c_str(), sizeof name.sun_path - 1);
  const bool served = ::connect(probe, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
  ::close(probe);
  if (!served) ::unlink(path.c_str());
}

wire::Status bind_tcp(uv_tcp_t& tcp, const std::string& address) {
  BIB_TRY(const HostPort target, split_address(address));
  sockaddr_storage numeric{};
  const int port = std::atoi(target.port.c_str());
  const std::string host = target.host == "localhost" ? "127.0.0.1" : target.host;
  if (uv_ip4_addr(host.c_str(), port, reinterpret_cast<sockaddr_in*>(&numeric)) != 0 &&
      uv_ip6_addr(host.c_str(), port, reinterpret_cast<sockaddr_in6*>(&numeric)) != 0) {
    return fail(ErrorCode::kConfig, "cannot listen on '{}': the host must be a numeric address",
                address);
  }
  const int status = uv_tcp_bind(&tcp, reinterpret_cast<const sockaddr*>(&numeric), 0);
  if (status != 0) return tl::unexpected(cannot_listen(status, address));
  return {};
}

wire::Status bind_socket(uv_pipe_t& pipe, const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(ErrorCode::kConfig,
                "the socket path '{}' is {} bytes long; the system allows {}: set api.socket to a "
                "shorter path",
                path, path.size(), sizeof(sockaddr_un::sun_path) - 1);
  }
  remove_dead_socket(path);
  const mode_t before = ::umask(0177);
  const int status = uv_pipe_bind(&pipe, path.c_str());
  ::umask(before);
  if (status != 0) return tl::unexpected(cannot_listen(status, path));
  return {};
}

}  // namespace

wire::Result<std::unique_ptr<Listener>> Listener::open(EventLoop& loop,
                                                       const std::string& address) {
  auto* state = new State{loop, {}, {}, {}, {}};
  const bool is_path = is_socket_path(address);
  if (is_path) {
    BIB_CHECK(uv_pipe_init(loop.raw(), &state->stream.pipe, 0) == 0);
  } else {
    BIB_CHECK(uv_tcp_init(loop.raw(), &state->stream.tcp) == 0);
  }
  state->stream.handle.data = state;
  std::unique_ptr<Listener> listener(new Listener(state, address));
  if (is_path) {
    BIB_TRY_VOID(bind_socket(state->stream.pipe, address));
    state->socket_path = address;
  } else {
    BIB_TRY_VOID(bind_tcp(state->stream.tcp, address));
  }
  const int status = uv_listen(&state->stream.stream, kBacklog, [](uv_stream_t* server, int error) {
    auto* self = static_cast<State*>(server->data);
    if (error != 0) return;
    auto connection = Connection::accept(self->loop, server, self->limits);
    if (connection && self->on_connection) self->on_connection(std::move(*connection));
  });
  // libuv says only here that a TCP address is taken.
  if (status != 0) return tl::unexpected(cannot_listen(status, address));
  if (!is_path) listener->address_ = bound_address(state->stream.tcp);
  return listener;
}

void Listener::serve(ConnectionLimits limits,
                     std::function<void(std::unique_ptr<Connection>)> on_connection) {
  BIB_CHECK(!state_->on_connection);
  state_->limits = limits;
  state_->on_connection = std::move(on_connection);
}

Listener::~Listener() {
  if (!state_->socket_path.empty()) ::unlink(state_->socket_path.c_str());
  uv_close(&state_->stream.handle,
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

}  // namespace bib::engine
