// ClientServer: the API's sessions, from its open listeners on.
//
// Lives on the node loop. A session is one connection: it greets, then its frames are checked and
// handed to the Handler with the session's number; answers go back by that number and are dropped
// if the session is gone. Everything that one turn produces for a session leaves in one write.
// Bounded: sessions by `sessions_max`; for each session, requests that are not answered yet by
// `requests_max`, and bytes that wait to leave by `unread_bytes_max`, beyond which its socket is
// not read. A session that lets much more wait is ended as too slow.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/ports/client_port.h"
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
  std::uint32_t sessions_max = 1024;
  std::uint32_t requests_max = 4096;
  std::size_t unread_bytes_max = 4U << 20;
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

  const std::string& listen_address() const { return listeners_.tcp->address(); }
  void stop_listening() override;

  void answer(Asker asker, wire::FrameKind kind, wire::ByteView body) override;
  void answer_partly(Asker asker, wire::FrameKind kind, wire::ByteView body) override;
  std::size_t outgoing_bytes(SessionId session) const override;
  bool is_open(SessionId session) const override { return find(session) != nullptr; }
  // Adds the sessions up.
  std::size_t outgoing_bytes() const override;
  void flush() override;

 private:
  class Session;

  void accept(std::unique_ptr<Connection> connection);
  void end(SessionId session);
  Session* find(SessionId session) const;

  EventLoop& loop_;
  Logger& logger_;
  ClientServerOptions options_;
  Handler* handler_;
  ClientListeners listeners_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Session>> sessions_;
  std::vector<SessionId> dirty_;
  std::size_t flushes_ = 0;
  std::uint64_t next_session_ = 1;
};

}  // namespace bib::engine
