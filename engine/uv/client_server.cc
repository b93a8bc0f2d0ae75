#include "engine/uv/client_server.h"

#include <algorithm>
#include <utility>

#include "wire/base/check.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::FrameKind;

namespace {

constexpr std::uint64_t kGreetingTimeoutMs = 10000;
constexpr std::size_t kOutgoingBytesMax = 128U << 20;

}  // namespace

class ClientServer::Session final : public Connection::Handler {
 public:
  Session(ClientServer& server, SessionId id, std::unique_ptr<Connection> connection)
      : server_(server),
        id_(id),
        connection_(std::move(connection)),
        greeting_(server.loop_, [this] { server_.end(id_); }) {
    greeting_.start(kGreetingTimeoutMs, 0);
    connection_->start(this);
  }

  void on_frame(wire::Frame&& frame) override {
    if (!greeted_) return on_hello(frame);
    ++unanswered_;
    if (unanswered_ >= server_.options_.requests_max ||
        outgoing_bytes() > server_.options_.unread_bytes_max) {
      paused_ = true;
      connection_->pause_reading();
    }
    ClientServer& server = server_;
    const SessionId id = id_;
    dispatch(frame);
    if (server.handler_->takes_more_this_turn()) return;
    if (Session* still_here = server.find(id)) still_here->wait_for_next_turn();
  }

  void on_closed(const wire::Error& reason) override {
    if (reason.code != ErrorCode::kIo) {
      server_.logger_.warn("api", "a client's connection was closed: {}", reason.message);
    }
    server_.end(id_);
  }

  void on_drained() override {
    mark_dirty();  // reads on, at the end of the turn
    server_.loop_.continue_soon();
    server_.handler_->on_session_drained(id_);
  }

  void send(std::uint64_t request, FrameKind kind, wire::ByteView body) {
    connection_->send(kind, request, body);
    mark_dirty();
  }

  void mark_dirty() {
    if (dirty_) return;
    dirty_ = true;
    server_.dirty_.push_back(id_);
  }

  void answered() {
    if (unanswered_ > 0) --unanswered_;
  }

  void flush() {
    dirty_ = false;
    connection_->flush();
    if (outgoing_bytes() == 0) server_.handler_->on_session_drained(id_);
  }

  void wait_for_next_turn() {
    waits_for_turn_ = true;
    connection_->pause_reading();
    mark_dirty();
    server_.loop_.continue_soon();
  }

  // Reads on in a new turn, but not before half of what was waiting is answered, and taken.
  void resume_if_room() {
    if (paused_ && (unanswered_ > server_.options_.requests_max / 2 ||
                    outgoing_bytes() > server_.options_.unread_bytes_max / 2)) {
      return;
    }
    if (!paused_ && !waits_for_turn_) return;
    paused_ = waits_for_turn_ = false;
    connection_->resume_reading();
  }

  std::size_t outgoing_bytes() const { return connection_->outgoing_bytes(); }

 private:
  void on_hello(const wire::Frame& frame) {
    const Asker asker{id_, frame.id};
    const auto hello = frame.kind == FrameKind::kClientHello
                           ? wire::decode_client_hello(frame.body.view())
                           : wire::fail(ErrorCode::kInvalid, "the first frame must be a greeting");
    if (!hello) return server_.refuse(asker, hello.error());
    if (hello->protocol != wire::kClientProtocol) {
      return server_.refuse(asker,
                            wire::Error{ErrorCode::kUnsupported,
                                        fmt::format("this node speaks client protocol {}, not {}",
                                                    wire::kClientProtocol, hello->protocol)});
    }
    greeting_.stop();
    greeted_ = true;
    send(frame.id, FrameKind::kServerHello, encoder_.encode(server_.handler_->hello()));
  }

  void dispatch(const wire::Frame& frame) {
    const Asker asker{id_, frame.id};
    const auto delivered = deliver_request(*server_.handler_, asker, frame.kind, frame.body.view());
    if (!delivered) server_.refuse(asker, delivered.error());
  }

  ClientServer& server_;
  SessionId id_;
  std::unique_ptr<Connection> connection_;
  Timer greeting_;
  wire::ClientEncoder encoder_;
  std::uint32_t unanswered_ = 0;
  bool greeted_ = false;
  bool paused_ = false;
  bool waits_for_turn_ = false;
  bool dirty_ = false;
};

ClientServer::ClientServer(EventLoop& loop, Logger& logger, ClientServerOptions options,
                           ClientListeners listeners, Handler* handler)
    : loop_(loop),
      logger_(logger),
      options_(options),
      handler_(handler),
      listeners_(std::move(listeners)) {
  const ConnectionLimits limits{wire::kClientFrameBodyMax, kOutgoingBytesMax};
  const auto on_connection = [this](std::unique_ptr<Connection> c) { accept(std::move(c)); };
  listeners_.tcp->serve(limits, on_connection);
  if (listeners_.socket) listeners_.socket->serve(limits, on_connection);
}

ClientServer::~ClientServer() = default;

void ClientServer::stop_listening() {
  listeners_ = {};
}

void ClientServer::accept(std::unique_ptr<Connection> connection) {
  if (sessions_.size() >= options_.sessions_max) {
    logger_.warn("api", "refused a client: {} are connected (limits.client_connections)",
                 sessions_.size());
    return;  // closed by its destructor
  }
  const auto id = static_cast<SessionId>(next_session_++);
  sessions_.emplace(static_cast<std::uint64_t>(id),
                    std::make_unique<Session>(*this, id, std::move(connection)));
}

void ClientServer::end(SessionId session) {
  const auto found = sessions_.find(static_cast<std::uint64_t>(session));
  if (found == sessions_.end()) return;
  const std::unique_ptr<Session> gone = std::move(found->second);
  sessions_.erase(found);
  handler_->on_session_end(session);
}

ClientServer::Session* ClientServer::find(SessionId session) const {
  const auto found = sessions_.find(static_cast<std::uint64_t>(session));
  return found == sessions_.end() ? nullptr : found->second.get();
}

void ClientServer::answer(Asker asker, FrameKind kind, wire::ByteView body) {
  Session* session = find(asker.session);
  if (session == nullptr) return;
  session->send(asker.request, kind, body);
  session->answered();
}

void ClientServer::answer_partly(Asker asker, FrameKind kind, wire::ByteView body) {
  if (Session* session = find(asker.session)) session->send(asker.request, kind, body);
}

std::size_t ClientServer::outgoing_bytes(SessionId session) const {
  const Session* found = find(session);
  return found == nullptr ? 0 : found->outgoing_bytes();
}

std::size_t ClientServer::outgoing_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [id, session] : sessions_) bytes += session->outgoing_bytes();
  return bytes;
}

void ClientServer::flush() {
  // Resuming may make more dirty: take what there is now.
  std::vector<SessionId> dirty;
  dirty.swap(dirty_);
  // The first session gets a full turn's budget, so who is first rotates.
  if (!dirty.empty()) {
    const auto first = static_cast<std::ptrdiff_t>(++flushes_ % dirty.size());
    std::rotate(dirty.begin(), dirty.begin() + first, dirty.end());
  }
  for (const SessionId id : dirty) {
    Session* session = find(id);
    if (session == nullptr) continue;
    session->flush();
    session->resume_if_room();
  }
  if (!dirty_.empty()) loop_.continue_soon();
}

}  // namespace bib::engine
