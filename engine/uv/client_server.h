// ClientServer: the API's sessions, from its open listeners on.
//
// Lives on the node loop. A session is one connection: it greets, then its frames are checked and
// handed to the Handler with the session's number; answers go back by that number and are dropped
// if the session is gone. Everything that one turn produces for a session leaves in one write.
//
// Bounded: sessions, over TCP and over the socket each by a number of its own; for each session,
// requests that are not answered yet by `requests_max`, and bytes that wait to leave by
// `unread_bytes_max`, beyond which its socket is not read. A session for which `slow_bytes_max`
// wait is ended as too slow, and so is one that takes next to nothing of what waits for
// `unread_timeout_ms`. While more than `outgoing_bytes_max` waits for all sessions together, only
// those are read for whom nothing waits. A turn takes requests for `turn_us`, and one in any case;
// sessions whose requests are left wait in one line, and each takes its turn at the front of it. An
// answer larger than a client takes is refused in its place. Connections that have not greeted have
// room of their own, a short time, and no more than small frames; where the room is full, the
// oldest makes room for the newest. The first frame that is no good greeting is answered, and ends
// its connection.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/ports/client_port.h"
#include "engine/ports/limited_log.h"
#include "engine/ports/logger.h"
#include "engine/uv/connection.h"
#include "engine/uv/event_loop.h"
#include "engine/uv/listener.h"
#include "wire/base/frame.h"
#include "wire/client/client_message.h"

namespace bib::engine {

// The listeners that clients come in by.
struct ClientListeners {
  std::unique_ptr<Listener> tcp;
  std::unique_ptr<Listener> socket;  // null: none
};

struct ClientServerOptions {
  std::uint32_t sessions_max = 1024;        // over TCP
  std::uint32_t socket_sessions_max = 256;  // over the Unix socket
  std::uint32_t new_connections_max = 128;  // not greeted yet, over each of the two
  std::uint64_t greeting_timeout_ms = 5000;
  std::uint32_t requests_max = 4096;
  std::size_t unread_bytes_max = 4U << 20;      // of one session; its requests wait
  std::size_t slow_bytes_max = 128U << 20;      // of one session; it is closed
  std::size_t outgoing_bytes_max = 256U << 20;  // of all sessions
  std::uint64_t turn_us = 20'000;               // of requests; one at least
  IncomingFramesOptions frames;                 // its bytes are also those of requests in the line
  std::uint64_t unread_timeout_ms = 30'000;     // and up to a quarter more
};

// Whether a client takes what waits for it. Looks and not time: a node that was paused has not seen
// its clients read. A few bytes now and then are no progress: they would hold all the room that
// what waits has.
class ReadProgress {
 public:
  static constexpr unsigned kLooks = 4;  // in `unread_timeout_ms`
  static constexpr std::size_t kBytesMin = 64U << 10;

  // `taken`: since the connection began; `waiting`: now.
  bool is_stuck(std::uint64_t taken, std::size_t waiting) {
    if (waiting == 0 || taken - taken_ >= kBytesMin) {
      taken_ = taken;
      looks_ = 0;
      return false;
    }
    return ++looks_ > kLooks;
  }

 private:
  std::uint64_t taken_ = 0;  // when there was progress
  unsigned looks_ = 0;       // since then
};

class ClientServer final : public ClientPort {
 public:
  using Handler = ClientEvents;

  // No session begins before there is a handler (attach()).
  ClientServer(EventLoop& loop, Logger& logger, ClientServerOptions options,
               ClientListeners listeners, Handler* handler = nullptr);
  ~ClientServer() override;
  ClientServer(const ClientServer&) = delete;
  ClientServer& operator=(const ClientServer&) = delete;

  void attach(Handler& handler) { handler_ = &handler; }

  const std::string& listen_address() const { return tcp_.listener->address(); }
  void stop_listening() override;

  void answer(Asker asker, wire::FrameKind kind, wire::ByteView body) override;
  void answer_partly(Asker asker, wire::FrameKind kind, wire::ByteView body) override;
  std::size_t outgoing_bytes(SessionId session) const override;
  bool is_open(SessionId session) const override { return find(session) != nullptr; }
  std::size_t outgoing_bytes() const override { return outgoing_; }
  void flush() override;

 private:
  class Session;
  // One way in, and who has come by it.
  struct Door {
    std::unique_ptr<Listener> listener;  // null: closed
    std::uint32_t sessions_max = 0;
    const char* limit_key = nullptr;
    std::uint32_t greeted = 0;
    std::set<std::uint64_t> ungreeted;  // session ids, so the oldest first
  };

  void open(Door& door, std::unique_ptr<Listener> listener);
  void accept(Door& door, std::unique_ptr<Connection> connection);
  void end(SessionId session);
  Session* find(SessionId session) const;
  void end_unread();
  void begin_request();
  bool has_time_left() const;
  void resume_waiting();

  EventLoop& loop_;
  Logger& logger_;
  ClientServerOptions options_;
  Handler* handler_;
  std::size_t outgoing_ = 0;    // kept by the connections of all sessions
  std::size_t held_bytes_ = 0;  // of requests that came when their turn had no time left
  LimitedLog refusals_;
  LimitedLog broken_;
  Timer log_timer_;  // for what these two hold back
  IncomingFrames frames_;
  Door tcp_;
  Door socket_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Session>> sessions_;
  Timer unread_;
  std::vector<SessionId> dirty_;     // something was sent, or it may be read from again
  std::deque<SessionId> waiting_;    // for a turn that has time; the first is next
  std::uint64_t turn_began_us_ = 0;  // with its first request; 0: there was none
  std::uint64_t next_session_ = 1;
};

}  // namespace bib::engine
