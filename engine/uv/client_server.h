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
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/ports/logger.h"
#include "engine/ports/node_ports.h"
#include "engine/uv/connection.h"
#include "engine/uv/event_loop.h"
#include "wire/base/frame.h"
#include "wire/client/client_message.h"

namespace bib::engine {

// Where clients come in.
struct ClientListeners {
  std::unique_ptr<Listener> tcp;
  std::unique_ptr<Listener> socket;  // null: none
};

struct ClientServerOptions {
  std::uint32_t sessions_max = 1024;
  std::uint32_t requests_max = 4096;
  std::size_t unread_bytes_max = 4U << 20;
};

class ClientServer final : public ClientAnswers {
 public:
  using Asker = engine::Asker;

  struct Handler {
    virtual ~Handler() = default;
    // Fills the answer to a greeting; its views must last until the next call.
    virtual wire::ServerHello hello() = 0;
    virtual void on_command(Asker asker, const wire::Command& command) = 0;
    // False: what else this session has sent is delivered in the next turn.
    virtual bool takes_more_this_turn() { return true; }
    virtual void on_query(Asker asker, const wire::Query& query) = 0;
    virtual void on_read_events(Asker asker, const wire::ReadEvents& request) = 0;
    virtual void on_status(Asker asker) = 0;
    virtual void on_snapshots(Asker asker, const wire::Snapshots& request) = 0;
    virtual void on_change_membership(Asker asker, const wire::ChangeMembership& request) = 0;
    virtual void on_transfer(Asker asker, const wire::TransferLeadership& request) = 0;
    virtual void on_session_end(SessionId session) = 0;
    // What was sent to the session has left memory.
    virtual void on_session_drained(SessionId session) = 0;
  };

  ClientServer(EventLoop& loop, Logger& logger, ClientServerOptions options,
               ClientListeners listeners, Handler* handler);
  ~ClientServer() override;
  ClientServer(const ClientServer&) = delete;
  ClientServer& operator=(const ClientServer&) = delete;

  const std::string& listen_address() const { return listeners_.tcp->address(); }
  void stop_listening();

  void answer(Asker asker, wire::FrameKind kind, wire::ByteView body) override;
  // An answer that more will follow.
  void answer_partly(Asker asker, wire::FrameKind kind, wire::ByteView body);
  // Bytes that wait to leave for this session; 0 when it is gone.
  std::size_t outgoing_bytes(SessionId session) const;
  bool is_open(SessionId session) const { return find(session) != nullptr; }
  // To all sessions together; adds them up.
  std::size_t outgoing_bytes() const;
  std::size_t session_count() const { return sessions_.size(); }

  // Once per turn.
  void flush();

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
