// A stream of frames over a libuv handle.
//
// Happy path: dial() has libuv look the name up (resolving) and connects to what was found
// (connecting), or accept() takes a stream that is connected. Then it is open: what is read becomes
// frames, which go to the handler one by one; what is sent collects, and leaves with flush(), as
// much as the kernel takes at once and the rest when it can.
//
// Failure modes. Each closes the handle (closing), and the handler is told from libuv's close
// callback (closed), which is a step of the loop of its own:
//   - the name is not known, or nothing answers there;
//   - the other side ends the stream, or the stream breaks, in reading or in writing;
//   - what comes is no frame, or a frame that does not become whole (incoming_frames.h);
//   - the other side takes nothing, and too much waits for it;
//   - what is to be sent is larger than the other side takes.
//
// When the owner destroys the Connection, the handle is closed the same way, without a report. The
// State goes when both are done with it: the owner, and libuv.
#include "engine/uv/connection.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "engine/uv/send_queue.h"
#include "engine/uv/stream_handle.h"
#include "wire/base/address.h"
#include "wire/base/check.h"

namespace bib::engine {
namespace {

using wire::Error;
using wire::ErrorCode;

constexpr unsigned kKeepAliveSeconds = 30;
// What is thrown away of a side that has been told the last words.
constexpr std::size_t kThrownAwayMax = 256U << 10;

enum class Phase : std::uint8_t {
  kResolving,   // libuv's pool looks the name up
  kConnecting,  // or about to be accepted
  kOpen,
  kClosing,  // libuv has the handle still
  kClosed,
};

}  // namespace

struct Connection::State final : IncomingFrames::Receiver {
  // Libuv's until it is answered; the connection may be given up before that.
  struct Lookup {
    uv_getaddrinfo_t request{};
    State* asker = nullptr;  // null: the asker is gone
  };

  State(EventLoop& event_loop, ConnectionLimits its_limits, uv_handle_type type);

  void resolve(const wire::Address& address);
  void on_resolved(int status, const addrinfo* found);
  void connect_to(const sockaddr* address);
  void on_connected(int status);
  void open();

  void read_or_pause();
  void on_read(ssize_t size);
  void deliver();
  void follow_frame();
  void forget_frame();
  void give_up_frame(const Error& error) override;

  void send(wire::FrameKind kind, std::uint64_t id, wire::ByteView head,
            std::span<const wire::Bytes> shared);
  void flush();
  void write_later(const SendQueue::Front& front);
  void on_written(int status);
  void finish();
  void end_stream();
  void release(std::size_t bytes);
  void count_outgoing();

  bool is_ending() const { return phase >= Phase::kClosing; }
  // Nothing is sent any more.
  bool is_silent() const { return is_ending() || finishing; }
  void fail(Error error);
  void close();
  void on_handle_closed();
  void abandon();  // by ~Connection

  EventLoop& loop;
  const ConnectionLimits limits;
  StreamHandle stream{};
  Phase phase = Phase::kConnecting;
  Handler* handler = nullptr;  // null: none yet, or none any more
  bool abandoned = false;      // the Connection is gone
  bool paused = false;
  bool delivering = false;                     // deliver() is running; it is not entered twice
  bool finishing = false;                      // the last words have been sent
  bool stream_ended = false;                   // and have left
  std::size_t thrown_away = 0;                 // bytes, since finishing
  Error reason{ErrorCode::kNone, {}};          // of kClosing
  IncomingFrames* const frames;                // null: nobody watches
  std::optional<IncomingFrames::Place> begun;  // while a frame has begun, and is waited for
  wire::FrameDecoder decoder;
  SendQueue outgoing;
  std::size_t counted = 0;   // of `outgoing`, in limits.outgoing_sum
  std::uint64_t left = 0;    // bytes that left `outgoing`
  Lookup* lookup = nullptr;  // of kResolving
  uv_connect_t connect_request{};
  uv_write_t write_request{};
  uv_shutdown_t shutdown_request{};
};

Connection::State::State(EventLoop& event_loop, ConnectionLimits its_limits, uv_handle_type type)
    : loop(event_loop),
      limits(its_limits),
      frames(its_limits.frames),
      decoder(its_limits.frame_body_max) {
  const int status = type == UV_TCP ? uv_tcp_init(loop.raw(), &stream.tcp)
                                    : uv_pipe_init(loop.raw(), &stream.pipe, 0);
  BIB_CHECK(status == 0);
  stream.handle.data = this;
  connect_request.data = this;
  write_request.data = this;
}

// ---- connecting

void Connection::State::resolve(const wire::Address& address) {
  phase = Phase::kResolving;
  auto asked = std::make_unique<Lookup>();
  asked->asker = this;
  asked->request.data = asked.get();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  const int status = uv_getaddrinfo(
      loop.raw(), &asked->request,
      [](uv_getaddrinfo_t* request, int result, addrinfo* found) {
        const std::unique_ptr<Lookup> answered(static_cast<Lookup*>(request->data));
        if (answered->asker != nullptr) answered->asker->on_resolved(result, found);
        uv_freeaddrinfo(found);
      },
      address.host.c_str(), std::to_string(address.port).c_str(), &hints);
  if (status != 0) return fail(uv_error(status, "resolving the address"));
  lookup = asked.release();
}

void Connection::State::on_resolved(int status, const addrinfo* found) {
  lookup = nullptr;
  if (status != 0) return fail(uv_error(status, "resolving the address"));
  connect_to(found->ai_addr);
}

void Connection::State::connect_to(const sockaddr* address) {
  phase = Phase::kConnecting;
  const int status =
      uv_tcp_connect(&connect_request, &stream.tcp, address, [](uv_connect_t* request, int result) {
        static_cast<State*>(request->data)->on_connected(result);
      });
  if (status != 0) fail(uv_error(status, "connecting"));
}

void Connection::State::on_connected(int status) {
  if (is_ending()) return;
  if (status != 0) return fail(uv_error(status, "connecting"));
  open();
  handler->on_connected();
  read_or_pause();
}

void Connection::State::open() {
  phase = Phase::kOpen;
  if (stream.handle.type != UV_TCP) return;
  uv_tcp_nodelay(&stream.tcp, 1);
  uv_tcp_keepalive(&stream.tcp, 1, kKeepAliveSeconds);
}

// ---- reading

void Connection::State::read_or_pause() {
  if (phase != Phase::kOpen || handler == nullptr) return;
  if (paused) {
    uv_read_stop(&stream.stream);
    return;
  }
  const int status = uv_read_start(
      &stream.stream,
      [](uv_handle_t* handle, std::size_t suggested, uv_buf_t* buffer) {
        const auto room = static_cast<State*>(handle->data)->decoder.prepare(suggested);
        *buffer =
            uv_buf_init(reinterpret_cast<char*>(room.data()), static_cast<unsigned>(room.size()));
      },
      [](uv_stream_t* handle, ssize_t size, const uv_buf_t*) {
        static_cast<State*>(handle->data)->on_read(size);
      });
  if (status != 0 && status != UV_EALREADY) fail(uv_error(status, "reading"));
}

void Connection::State::on_read(ssize_t size) {
  if (size == 0) return;
  if (size == UV_EOF) return fail({ErrorCode::kIo, "the other side closed the connection"});
  if (size < 0) return fail(uv_error(static_cast<int>(size), "reading"));
  if (finishing) {
    thrown_away += static_cast<std::size_t>(size);
    if (thrown_away > kThrownAwayMax) fail({ErrorCode::kIo, "the other side goes on sending"});
    return;
  }
  decoder.commit(static_cast<std::size_t>(size));
  deliver();
}

// Gives out whole frames until there is none or the owner pauses or goes away.
void Connection::State::deliver() {
  if (delivering) return;
  delivering = true;
  while (phase == Phase::kOpen && handler != nullptr && !paused && !finishing) {
    auto frame = decoder.next();
    if (!frame) {
      fail(frame.error());
    } else if (frame->has_value()) {
      forget_frame();
      handler->on_frame(std::move(**frame));
    } else {
      break;
    }
  }
  delivering = false;
  follow_frame();
}

// While the owner pauses, nobody waits for the rest of a frame.
void Connection::State::follow_frame() {
  if (phase != Phase::kOpen || paused || finishing || decoder.buffered() == 0) {
    return forget_frame();
  }
  if (frames == nullptr) return;
  if (!begun) begun = frames->begin(*this);
  frames->hold(*begun, decoder.large_body_bytes());
}

void Connection::State::forget_frame() {
  if (begun) frames->end(*std::exchange(begun, std::nullopt));
}

void Connection::State::give_up_frame(const Error& error) {
  begun.reset();
  fail(error);
}

// ---- writing

void Connection::State::send(wire::FrameKind kind, std::uint64_t id, wire::ByteView head,
                             std::span<const wire::Bytes> shared) {
  if (is_silent()) return;
  const std::array<wire::ByteView, 1> alone{head};
  std::vector<wire::ByteView> together;
  std::size_t size = head.size();
  if (!shared.empty()) together.push_back(head);
  for (const wire::Bytes& bytes : shared) {
    together.push_back(bytes.view());
    size += bytes.size();
  }
  if (size > limits.sent_body_max) {
    return fail({ErrorCode::kInvalid,
                 fmt::format("a message of kind {} and {} bytes was to be sent, and the other side "
                             "takes no more than {}",
                             static_cast<unsigned>(kind), size, limits.sent_body_max)});
  }
  const wire::FrameHeaderBytes header = wire::make_frame_header(
      kind, id, shared.empty() ? std::span<const wire::ByteView>(alone) : together);
  outgoing.append(std::array<wire::ByteView, 2>{header, head});
  for (const wire::Bytes& bytes : shared) outgoing.append(bytes);
  count_outgoing();
  if (outgoing.bytes() > limits.outgoing_bytes_max) {
    fail({ErrorCode::kOverloaded,
          fmt::format("the other side is not reading: {} bytes wait", outgoing.bytes())});
  }
}

void Connection::State::flush() {
  if (phase != Phase::kOpen || outgoing.is_gathered()) return;
  while (!outgoing.is_empty()) {
    const SendQueue::Front front = outgoing.gather();
    const int written = uv_try_write(&stream.stream, front.pieces.data(), front.count);
    if (written == UV_EAGAIN) return write_later(front);
    if (written < 0) return fail(uv_error(written, "writing"));
    release(static_cast<std::size_t>(written));
  }
  if (finishing) end_stream();
}

void Connection::State::release(std::size_t bytes) {
  outgoing.release(bytes);
  left += bytes;
  count_outgoing();
}

void Connection::State::count_outgoing() {
  if (limits.outgoing_sum == nullptr || abandoned) return;
  *limits.outgoing_sum += outgoing.bytes();
  *limits.outgoing_sum -= std::exchange(counted, outgoing.bytes());
}

void Connection::State::write_later(const SendQueue::Front& front) {
  const int status = uv_write(&write_request, &stream.stream, front.pieces.data(), front.count,
                              [](uv_write_t* request, int result) {
                                static_cast<State*>(request->data)->on_written(result);
                              });
  if (status != 0) fail(uv_error(status, "writing"));
}

void Connection::State::on_written(int status) {
  if (is_ending()) return;
  if (status != 0) return fail(uv_error(status, "writing"));
  release(outgoing.gathered_bytes());
  flush();
  if (phase == Phase::kOpen && outgoing.is_empty() && handler != nullptr) handler->on_drained();
}

void Connection::State::finish() {
  if (phase != Phase::kOpen || finishing) return;
  finishing = true;
  paused = false;
  decoder = wire::FrameDecoder(0);
  follow_frame();
  flush();
  read_or_pause();
}

void Connection::State::end_stream() {
  if (phase != Phase::kOpen || std::exchange(stream_ended, true)) return;
  // Where that fails, reading does as well, and is told.
  uv_shutdown(&shutdown_request, &stream.stream, [](uv_shutdown_t*, int) {});
}

// ---- the end

void Connection::State::fail(Error error) {
  if (is_ending()) return;
  reason = std::move(error);
  close();
}

void Connection::State::close() {
  if (is_ending()) return;
  phase = Phase::kClosing;
  forget_frame();
  if (lookup != nullptr) {
    lookup->asker = nullptr;
    // One that has begun ends by itself; one that waits for a thread must not wait there for ever.
    (void)uv_cancel(reinterpret_cast<uv_req_t*>(&lookup->request));
  }
  uv_close(&stream.handle,
           [](uv_handle_t* handle) { static_cast<State*>(handle->data)->on_handle_closed(); });
}

void Connection::State::on_handle_closed() {
  phase = Phase::kClosed;
  if (abandoned) {
    delete this;
    return;
  }
  const Error told = std::move(reason);
  // The last thing done here: it may destroy the Connection, and this with it.
  if (handler != nullptr) handler->on_closed(told);
}

void Connection::State::abandon() {
  if (limits.outgoing_sum != nullptr) *limits.outgoing_sum -= std::exchange(counted, 0);
  if (phase == Phase::kClosed) {
    delete this;
    return;
  }
  abandoned = true;
  handler = nullptr;
  close();
}

// ---- the connection

wire::Result<std::unique_ptr<Connection>> Connection::accept(EventLoop& loop, uv_stream_t* server,
                                                             ConnectionLimits limits) {
  auto* state = new State(loop, limits, server->type);
  std::unique_ptr<Connection> connection(new Connection(state));
  const int status = uv_accept(server, &state->stream.stream);
  if (status != 0) return tl::unexpected(uv_error(status, "accepting a connection"));
  state->open();
  return connection;
}

wire::Result<std::unique_ptr<Connection>> Connection::dial(EventLoop& loop,
                                                           const std::string& address,
                                                           ConnectionLimits limits,
                                                           Handler* handler) {
  BIB_TRY(const wire::Address target, wire::parse_address(address));
  auto* state = new State(loop, limits, UV_TCP);
  std::unique_ptr<Connection> connection(new Connection(state));
  state->handler = handler;
  if (const auto numeric = numeric_address(target)) {
    state->connect_to(reinterpret_cast<const sockaddr*>(&*numeric));
  } else {
    state->resolve(target);
  }
  return connection;
}

Connection::~Connection() {
  state_->abandon();
}

void Connection::start(Handler* handler) {
  state_->handler = handler;
  state_->read_or_pause();
}

void Connection::pause_reading() {
  if (state_->finishing) return;
  state_->paused = true;
  state_->follow_frame();
  state_->read_or_pause();
}

void Connection::resume_reading() {
  if (!state_->paused) return;
  State* state = state_;  // a frame's handler may destroy this Connection
  state->paused = false;
  state->read_or_pause();
  state->deliver();
}

void Connection::send(wire::FrameKind kind, std::uint64_t id, wire::ByteView body) {
  state_->send(kind, id, body, {});
}

void Connection::send(wire::FrameKind kind, std::uint64_t id, wire::ByteView head,
                      std::span<const wire::Bytes> shared) {
  state_->send(kind, id, head, shared);
}

void Connection::flush() {
  state_->flush();
}

void Connection::finish() {
  state_->finish();
}

void Connection::set_frame_body_max(std::uint32_t size) {
  state_->decoder.set_body_size_max(size);
}

std::size_t Connection::outgoing_bytes() const {
  return state_->outgoing.bytes();
}

std::uint64_t Connection::taken_bytes() const {
  if (!state_->outgoing.is_gathered()) return state_->left;
  // Libuv has these, and has written some.
  const std::size_t waiting = uv_stream_get_write_queue_size(&state_->stream.stream);
  return state_->left + state_->outgoing.gathered_bytes() - waiting;
}

std::uint32_t Connection::sent_body_max() const {
  return state_->limits.sent_body_max;
}

std::string Connection::remote_address() const {
  sockaddr_storage name{};
  int size = sizeof name;
  if (state_->phase != Phase::kOpen || state_->stream.handle.type != UV_TCP) return {};
  auto* out = reinterpret_cast<sockaddr*>(&name);
  return uv_tcp_getpeername(&state_->stream.tcp, out, &size) == 0 ? address_text(name)
                                                                  : std::string();
}

bool Connection::is_resolving() const {
  return state_->phase == Phase::kResolving;
}

}  // namespace bib::engine
