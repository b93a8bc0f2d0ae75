// The clients as a node knows them: sessions that ask, and the way back to them.
//
// All calls and answers belong to the node's loop. Answers leave with flush(), once a turn.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/base/bytes.h"
#include "wire/base/frame.h"
#include "wire/base/membership.h"
#include "wire/base/result.h"
#include "wire/client/client_message.h"

namespace bib::engine {

// Numbers a session for the life of the process.
enum class SessionId : std::uint64_t {};

// The request that an answer belongs to.
struct Asker {
  SessionId session{};
  std::uint64_t request = 0;
};

class ClientPort {
 public:
  virtual ~ClientPort() = default;
  // The one answer to a request (or the last of several); dropped where the session is gone.
  virtual void answer(Asker asker, wire::FrameKind kind, wire::ByteView body) = 0;
  // An answer that more will follow.
  virtual void answer_partly(Asker asker, wire::FrameKind kind, wire::ByteView body) = 0;
  // The answer "no", and why. `leader`: whom to ask instead; null: there is nobody to name.
  void refuse(Asker asker, const wire::Error& error, const wire::Member* leader = nullptr);

  virtual bool is_open(SessionId session) const = 0;
  // Bytes that wait to leave for this session; 0 when it is gone.
  virtual std::size_t outgoing_bytes(SessionId session) const = 0;
  // The same for all sessions together.
  virtual std::size_t outgoing_bytes() const = 0;
  virtual void stop_listening() = 0;
  virtual void flush() = 0;
};

class ClientEvents {
 public:
  virtual ~ClientEvents() = default;
  // Fills the answer to a greeting; its views must last until the next call.
  virtual wire::ServerHello hello() = 0;
  virtual void on_command(Asker asker, const wire::Command& command) = 0;
  // False: what else this session has sent is delivered in the next turn.
  virtual bool takes_more_this_turn() { return true; }
  virtual void on_query(Asker asker, const wire::Query& query) = 0;
  virtual void on_read_events(Asker asker, const wire::ReadEvents& request) = 0;
  virtual void on_status(Asker asker) = 0;
  virtual void on_snapshots(Asker asker, const wire::ListSnapshots& request) = 0;
  virtual void on_change_membership(Asker asker, const wire::ChangeMembership& request) = 0;
  virtual void on_transfer(Asker asker, const wire::TransferLeadership& request) = 0;
  virtual void on_session_end(SessionId session) = 0;
  // The bytes sent to the session have left memory.
  virtual void on_session_drained(SessionId session) = 0;
};

// Checks a request's bytes and hands it on. An error is the asker's to hear; nothing was handed on.
wire::Status deliver_request(ClientEvents& events, Asker asker, wire::FrameKind kind,
                             wire::ByteView body);

}  // namespace bib::engine
