#include "engine/uv/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>

#include "engine/uv/stream_handle.h"
#include "wire/base/address.h"
#include "wire/base/check.h"
#include "wire/config/node_config.h"

namespace bib::engine {
namespace {

using wire::ErrorCode;
using wire::fail;

constexpr int kBacklog = 511;

bool is_socket_path(const std::string& address) {
  return !address.empty() && address[0] == '/';
}

std::string bound_address(const uv_tcp_t& tcp) {
  sockaddr_storage name{};
  int size = sizeof name;
  if (uv_tcp_getsockname(&tcp, reinterpret_cast<sockaddr*>(&name), &size) != 0) return {};
  return address_text(name);
}

wire::Error cannot_listen(int status, const std::string& address) {
  if (status != UV_EADDRINUSE) return uv_error(status, "cannot listen on " + address);
  return uv_error(status, fmt::format("cannot listen on {}: {}", address,
                                      is_socket_path(address)
                                          ? "another process does, or the file is not a socket"
                                          : "another process does"));
}

// A socket file that does not answer is left over from a run that did not end well.
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

wire::Status bind_tcp(uv_tcp_t& tcp, const std::string& text) {
  BIB_TRY(wire::Address address, wire::parse_address(text));
  if (address.host == "localhost") address.host = "127.0.0.1";
  const auto numeric = numeric_address(address);
  if (!numeric) {
    return fail(ErrorCode::kConfig, "cannot listen on '{}': the host must be a numeric address",
                text);
  }
  const int status = uv_tcp_bind(&tcp, reinterpret_cast<const sockaddr*>(&*numeric), 0);
  if (status != 0) return tl::unexpected(cannot_listen(status, text));
  return {};
}

static_assert(sizeof(sockaddr_un::sun_path) == wire::kSocketPathMax + 1);

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

struct Listener::State {
  State(EventLoop& event_loop, bool is_path) : loop(event_loop) {
    const int status =
        is_path ? uv_pipe_init(loop.raw(), &stream.pipe, 0) : uv_tcp_init(loop.raw(), &stream.tcp);
    BIB_CHECK(status == 0);
    stream.handle.data = this;
  }

  static void on_incoming(uv_stream_t* server, int error) {
    auto* self = static_cast<State*>(server->data);
    if (error == 0) self->take_one();
  }

  // Libuv looks for more connections once the one that it has found is taken.
  void take_one() {
    if (taken_this_turn == kAcceptsPerTurn) {
      waits_for_turn = true;
      return;
    }
    if (taken_this_turn++ == 0) next_turn.start(0, 0);  // fires before the loop polls again
    // One that is not taken is closed by its destructor.
    auto connection = Connection::accept(loop, &stream.stream, limits);
    if (connection && on_connection) on_connection(std::move(*connection));
  }

  void begin_turn() {
    taken_this_turn = 0;
    if (std::exchange(waits_for_turn, false)) take_one();
  }

  EventLoop& loop;
  StreamHandle stream{};
  ConnectionLimits limits;
  std::function<void(std::unique_ptr<Connection>)> on_connection;  // empty until serve()
  std::string socket_path;                                         // to remove at the end
  unsigned taken_this_turn = 0;
  bool waits_for_turn = false;  // libuv has found one, which take_one() has not taken yet
  Timer next_turn{loop, [this] { begin_turn(); }};
};

Listener::Listener(State* state, std::string address)
    : state_(state), address_(std::move(address)) {}

Listener::~Listener() {
  state_->next_turn.stop();
  if (!state_->socket_path.empty()) ::unlink(state_->socket_path.c_str());
  uv_close(&state_->stream.handle,
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

wire::Result<std::unique_ptr<Listener>> Listener::open(EventLoop& loop,
                                                       const std::string& address) {
  const bool is_path = is_socket_path(address);
  auto* state = new State(loop, is_path);
  std::unique_ptr<Listener> listener(new Listener(state, address));
  if (is_path) {
    BIB_TRY_VOID(bind_socket(state->stream.pipe, address));
    state->socket_path = address;
  } else {
    BIB_TRY_VOID(bind_tcp(state->stream.tcp, address));
  }
  const int status = uv_listen(&state->stream.stream, kBacklog, State::on_incoming);
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

}  // namespace bib::engine
