// Joiner: how a new node asks to become a member.
//
// Lives on the node loop until it has an answer. Tries the known addresses in turn, follows a
// node that names its leader, and repeats that as long as no node answers or there is no leader;
// a refusal that will not change (wrong token, taken id) ends it with that error.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/ports/logger.h"
#include "engine/uv/connection.h"
#include "engine/uv/event_loop.h"
#include "wire/peer/peer_hello.h"

namespace bib::engine {

class Joiner final : public Connection::Handler {
 public:
  // `done` is called once, from the loop; it may destroy the Joiner.
  Joiner(EventLoop& loop, Logger& logger, wire::JoinRequest request,
         std::vector<std::string> addresses,
         std::function<void(wire::Result<wire::JoinReply>)> done);

  void on_connected() override;
  void on_frame(wire::Frame&& frame) override;
  void on_closed(const wire::Error& reason) override;

 private:
  void try_next();
  void try_address(const std::string& address);
  void try_later(const std::string& why);

  EventLoop& loop_;
  Logger& logger_;
  wire::JoinRequest request_;
  std::vector<std::string> addresses_;
  std::function<void(wire::Result<wire::JoinReply>)> done_;
  std::unique_ptr<Connection> connection_;
  Timer retry_;
  Timer answer_;
  std::string current_;
  std::string last_complaint_;
  std::size_t next_ = 0;
  unsigned redirects_ = 0;
};

}  // namespace bib::engine
