#include "engine/uv/client_server.h"

#include <uv.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "wire/base/check.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::FrameKind;

namespace {

// For the last words to reach a client that was refused.
constexpr std::uint64_t kLastWordsMs = 1000;

}  // namespace

class ClientServer::Session final : public Connection::Handler {
 public:
  Session(ClientServer& server, Door& door, SessionId id, std::unique_ptr<Connection> connection)
      : server_(server),
        door_(door),
        id_(id),
        connection_(std::move(connection)),
        greeting_(server.loop_, [this] { server_.end(id_); }) {
    greeting_.start(server.options_.greeting_timeout_ms, 0);
    connection_->start(this);
  }

  ~Session() override {
    if (held_) server_.held_bytes_ -= held_->body.size();
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void on_frame(wire::Frame&& frame) override {
    if (!greeted_) return on_hello(frame);
    if (!server_.has_time_left()) return hold(std::move(frame));
    take(frame);
  }

  void on_closed(const wire::Error& reason) override {
    if (reason.code != ErrorCode::kIo) {
      server_.broken_.warn(server_.loop_.now_ms(), "a client's connection was closed: {}",
                           reason.message);
    }
    server_.end(id_);
  }

  void on_drained() override {
    mark_dirty();  // reads on, at the end of the turn
    server_.loop_.continue_soon();
    server_.handler_->on_session_drained(id_);
  }

  void send(std::uint64_t request, FrameKind kind, wire::ByteView body) {
    if (body.size() > connection_->sent_body_max()) return send_too_large(request, body.size());
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

  // Half of what was waiting is answered, and taken.
  void read_on_if_room() {
    if (paused_ && has_room()) wait_for_turn();
  }

  // Its place in the line has come.
  void resume() {
    waits_for_turn_ = false;
    if (paused_ && !has_room()) return;  // until what it was sent has been taken
    paused_ = false;
    if (held_) {
      const wire::Frame frame = *std::exchange(held_, std::nullopt);
      server_.held_bytes_ -= frame.body.size();
      if (!take(frame) || waits_for_turn_ || paused_) return;
    }
    connection_->resume_reading();
  }

  std::size_t outgoing_bytes() const { return connection_->outgoing_bytes(); }
  Door& door() const { return door_; }
  bool is_greeted() const { return greeted_; }

  bool is_unread() { return progress_.is_stuck(connection_->taken_bytes(), outgoing_bytes()); }

 private:
  // More than this part of what may wait for one session, or anything while too much waits for all.
  bool holds_too_much(std::size_t part) const {
    const std::size_t own = outgoing_bytes();
    return own > server_.options_.unread_bytes_max / part ||
           (own > 0 && server_.outgoing_ > server_.options_.outgoing_bytes_max);
  }

  bool has_room() const {
    return unanswered_ <= server_.options_.requests_max / 2 && !holds_too_much(2);
  }

  // False: the session has ended.
  bool take(const wire::Frame& frame) {
    ++unanswered_;
    ClientServer& server = server_;
    const SessionId id = id_;
    server.begin_request();
    dispatch(frame);
    if (server.find(id) == nullptr) return false;
    if (unanswered_ >= server.options_.requests_max || holds_too_much(1)) {
      paused_ = true;
      connection_->pause_reading();
    }
    if (!server.handler_->takes_more_this_turn() || !server.has_time_left()) wait_for_turn();
    return true;
  }

  // A request for which this turn has no time; no more is read until it has had its turn.
  void hold(wire::Frame&& frame) {
    const std::size_t size = frame.body.size();
    if (server_.held_bytes_ + size > server_.options_.frames.bytes_max) {
      ++unanswered_;
      server_.refuse(Asker{id_, frame.id},
                     {ErrorCode::kOverloaded,
                      "too many requests wait for this node (limits.incoming_frame_bytes); try "
                      "again in a moment"});
    } else {
      server_.held_bytes_ += size;
      held_ = std::move(frame);
    }
    wait_for_turn();
  }

  void wait_for_turn() {
    connection_->pause_reading();
    server_.loop_.continue_soon();
    if (std::exchange(waits_for_turn_, true)) return;
    server_.waiting_.push_back(id_);
  }

  void send_too_large(std::uint64_t request, std::size_t size) {
    const std::uint32_t most = connection_->sent_body_max();
    server_.logger_.warn("api", "an answer of {} bytes was not sent: a client takes {}", size,
                         most);
    wire::ErrorReply reply;
    reply.code = ErrorCode::kInvalid;
    const std::string message = fmt::format(
        "the answer would have {} bytes, and a client takes no more than {}; ask for less at a "
        "time "
        "(--limit), or for one thing by its name",
        size, most);
    reply.message = message;
    connection_->send(FrameKind::kErrorReply, request, encoder_.encode(reply));
    mark_dirty();
  }

  void on_hello(const wire::Frame& frame) {
    if (const wire::Status good = check_hello(frame); !good) return turn_away(frame, good.error());
    greeting_.stop();
    greeted_ = true;
    door_.ungreeted.erase(static_cast<std::uint64_t>(id_));
    ++door_.greeted;
    connection_->set_frame_body_max(wire::kClientFrameBodyMax);
    send(frame.id, FrameKind::kServerHello, encoder_.encode(server_.handler_->hello()));
  }

  // A node has been told the wrong one of two addresses.
  wire::Status is_for_clients() const {
    const wire::ServerHello own = server_.handler_->hello();
    std::string address = "another address";
    for (const wire::MemberInfo& member : own.members) {
      if (member.id == own.node) address = member.raft_address;
    }
    return wire::fail(ErrorCode::kInvalid,
                      "that is the address for clients of node {} (api.listen_addr); other nodes "
                      "reach it at {} (cluster.listen_addr)",
                      to_string(own.node), address);
  }

  wire::Status check_hello(const wire::Frame& frame) const {
    if (frame.kind < FrameKind::kClientHello) return is_for_clients();
    if (frame.kind != FrameKind::kClientHello) {
      return wire::fail(ErrorCode::kInvalid, "the first frame must be a greeting");
    }
    BIB_TRY(const auto hello, wire::decode_client_hello(frame.body.view()));
    if (hello.protocol != wire::kClientProtocol) {
      return wire::fail(ErrorCode::kUnsupported, "this node speaks client protocol {}, not {}",
                        wire::kClientProtocol, hello.protocol);
    }
    if (door_.greeted >= door_.sessions_max) {
      return wire::fail(ErrorCode::kOverloaded,
                        "{} clients are connected to this node, as many as it takes ({}): ask "
                        "another node, or end some of them",
                        door_.greeted, door_.limit_key);
    }
    return {};
  }

  // Keeps its place among the connections that have not greeted until it is gone.
  void turn_away(const wire::Frame& frame, const wire::Error& error) {
    server_.refusals_.warn(server_.loop_.now_ms(), "refused a client: {}", error.message);
    server_.refuse(Asker{id_, frame.id}, error);
    connection_->finish();
    greeting_.start(kLastWordsMs, 0);
  }

  void dispatch(const wire::Frame& frame) {
    const Asker asker{id_, frame.id};
    const auto delivered = deliver_request(*server_.handler_, asker, frame.kind, frame.body.view());
    if (!delivered) server_.refuse(asker, delivered.error());
  }

  ClientServer& server_;
  Door& door_;
  SessionId id_;
  std::unique_ptr<Connection> connection_;
  Timer greeting_;
  wire::ClientEncoder encoder_;
  std::uint32_t unanswered_ = 0;
  bool greeted_ = false;
  bool paused_ = false;
  bool waits_for_turn_ = false;      // in the server's line
  std::optional<wire::Frame> held_;  // while it waits, or is paused
  bool dirty_ = false;
  ReadProgress progress_;
};

ClientServer::ClientServer(EventLoop& loop, Logger& logger, ClientServerOptions options,
                           ClientListeners listeners, Handler* handler)
    : loop_(loop),
      logger_(logger),
      options_(options),
      handler_(handler),
      refusals_(logger, "api", "clients were refused"),
      broken_(logger, "api", "clients' connections were closed"),
      log_timer_(loop,
                 [this] {
                   refusals_.look(loop_.now_ms());
                   broken_.look(loop_.now_ms());
                 }),
      frames_(loop, options.frames),
      unread_(loop, [this] { end_unread(); }) {
  tcp_.sessions_max = options_.sessions_max;
  tcp_.limit_key = "limits.client_connections";
  socket_.sessions_max = options_.socket_sessions_max;
  socket_.limit_key = "limits.socket_connections";
  open(tcp_, std::move(listeners.tcp));
  if (listeners.socket) open(socket_, std::move(listeners.socket));
  log_timer_.start(LimitedLog::kPeriodMs, LimitedLog::kPeriodMs);
  const std::uint64_t look_ms =
      std::max<std::uint64_t>(1, options_.unread_timeout_ms / ReadProgress::kLooks);
  unread_.start(look_ms, look_ms);
}

ClientServer::~ClientServer() = default;

void ClientServer::open(Door& door, std::unique_ptr<Listener> listener) {
  door.listener = std::move(listener);
  door.listener->serve(
      ConnectionLimits{.frame_body_max = wire::kGreetingFrameBodyMax,
                       .sent_body_max = wire::kClientFrameBodyMax,
                       .outgoing_bytes_max = options_.slow_bytes_max,
                       .frames = &frames_,
                       .outgoing_sum = &outgoing_},
      [this, &door](std::unique_ptr<Connection> c) { accept(door, std::move(c)); });
}

void ClientServer::stop_listening() {
  tcp_.listener.reset();
  socket_.listener.reset();
}

void ClientServer::accept(Door& door, std::unique_ptr<Connection> connection) {
  if (door.ungreeted.size() >= options_.new_connections_max) {
    refusals_.warn(loop_.now_ms(),
                   "closed the oldest of {} connections that have not greeted "
                   "(limits.new_connections)",
                   door.ungreeted.size());
    end(static_cast<SessionId>(*door.ungreeted.begin()));
  }
  const auto id = static_cast<SessionId>(next_session_++);
  door.ungreeted.insert(static_cast<std::uint64_t>(id));
  sessions_.emplace(static_cast<std::uint64_t>(id),
                    std::make_unique<Session>(*this, door, id, std::move(connection)));
}

void ClientServer::end(SessionId session) {
  const auto found = sessions_.find(static_cast<std::uint64_t>(session));
  if (found == sessions_.end()) return;
  const std::unique_ptr<Session> gone = std::move(found->second);
  sessions_.erase(found);
  Door& door = gone->door();
  if (gone->is_greeted()) {
    --door.greeted;
  } else {
    door.ungreeted.erase(static_cast<std::uint64_t>(session));
  }
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

// What waits for who does not read holds the room of those who do.
void ClientServer::end_unread() {
  std::vector<SessionId> unread;
  for (const auto& [id, session] : sessions_) {
    if (session->is_unread()) unread.push_back(static_cast<SessionId>(id));
  }
  for (const SessionId id : unread) {
    const Session* session = find(id);
    if (session == nullptr) continue;
    logger_.warn("api",
                 "a client's connection was closed: {} bytes wait for it, and in {} ms "
                 "(limits.unread_timeout) it has taken less than {}",
                 session->outgoing_bytes(), options_.unread_timeout_ms, ReadProgress::kBytesMin);
    end(id);
  }
}

// A turn is what lies between two calls of flush().
void ClientServer::begin_request() {
  if (turn_began_us_ == 0) turn_began_us_ = uv_hrtime() / 1000;
}

bool ClientServer::has_time_left() const {
  return turn_began_us_ == 0 || uv_hrtime() / 1000 - turn_began_us_ < options_.turn_us;
}

void ClientServer::flush() {
  // Ending a session may make more dirty: take what there is now.
  std::vector<SessionId> dirty;
  dirty.swap(dirty_);
  for (const SessionId id : dirty) {
    Session* session = find(id);
    if (session == nullptr) continue;
    session->flush();
    session->read_on_if_room();
  }
  resume_waiting();
  if (!dirty_.empty() || !waiting_.empty()) loop_.continue_soon();
}

// Who has waited longest is first, and who has to wait again is last, so that each session in the
// line has its turn before any has another. What comes while some still wait has what is left of
// this turn's time, and then goes to the end of the line.
void ClientServer::resume_waiting() {
  turn_began_us_ = 0;
  std::size_t left = waiting_.size();
  for (; left > 0 && has_time_left(); --left) {
    const SessionId id = waiting_.front();
    waiting_.pop_front();
    if (Session* session = find(id)) session->resume();
  }
  // All had their turn, and the first may have had more than the others: another one is first now.
  if (left == 0 && waiting_.size() > 1) {
    waiting_.push_back(waiting_.front());
    waiting_.pop_front();
  }
  if (waiting_.empty()) turn_began_us_ = 0;  // what comes next may come after a long sleep
}

}  // namespace bib::engine
