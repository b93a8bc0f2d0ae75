// SimSessions: the clients' port of a simulated process: sessions, bytes that wait for clients that
// do not read, and answers on their way.
//
// Any client that sends something has a session with the node from then on, until the process ends
// or the client goes away.
#pragma once

#include <cstdint>
#include <map>

#include "engine/ports/client_port.h"
#include "sim_machine.h"

namespace bib::sim {

class SimSessions final : public engine::ClientPort {
 public:
  explicit SimSessions(SimMachine& machine) : machine_(machine) {}
  void attach(engine::ClientEvents& events) { events_ = &events; }

  // A client's frame. False: nobody listens any more, and it has no session.
  bool on_request(engine::Asker asker, wire::FrameKind kind, wire::ByteView body);
  // The client hangs up.
  void end(engine::SessionId session);

  void answer(engine::Asker asker, wire::FrameKind kind, wire::ByteView body) override;
  void answer_partly(engine::Asker asker, wire::FrameKind kind, wire::ByteView body) override;
  bool is_open(engine::SessionId session) const override { return sessions_.contains(session); }
  std::size_t outgoing_bytes(engine::SessionId session) const override;
  std::size_t outgoing_bytes() const override;
  void stop_listening() override { listens_ = false; }
  void flush() override {}

 private:
  struct Session {
    std::size_t outgoing = 0;
    bool drain_is_due = false;
  };
  void send(engine::Asker asker, wire::FrameKind kind, wire::ByteView body, bool more);
  void drain_later(engine::SessionId id);

  SimMachine& machine_;
  engine::ClientEvents* events_ = nullptr;
  std::map<engine::SessionId, Session> sessions_;
  bool listens_ = true;
};

}  // namespace bib::sim
