// Joiner: how a new node asks to become a member.
//
// Lives on the node loop until it has an answer. Tries the known addresses in turn, follows a
// node that names its leader, and repeats that as long as no node answers or there is no leader,
// with growing pauses; a refusal that will not change (wrong token, taken id) ends it with that
// error. What keeps it from an answer it says at once, and as long as it lasts now and then, of
// each address: what is wrong there, and what to do.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/ports/back_off.h"
#include "engine/ports/logger.h"
#include "engine/uv/connection.h"
#include "engine/uv/event_loop.h"
#include "wire/peer/peer_hello.h"

namespace bib::engine {

struct JoinerPace {
  BackOff::Limits pauses{.shortest_ms = 250, .longest_ms = 2000, .lasting_ms = 0};
  std::uint64_t look_ms = 1000;              // how often it looks whether something takes too long
  std::uint64_t patience_ms = 3000;          // of an answer, before it says that it waits
  std::uint64_t lookup_timeout_ms = 15'000;  // of a name
  std::uint64_t connect_timeout_ms = 5000;
  std::uint64_t answer_timeout_ms = 15'000;  // a member gives the cluster as long
  std::uint64_t reminder_ms = 10'000;        // between two lines about one address
};

class Joiner final : public Connection::Handler {
 public:
  // `done` is called once, from the loop; it may destroy the Joiner.
  Joiner(EventLoop& loop, Logger& logger, wire::JoinRequest request,
         std::vector<std::string> addresses,
         std::function<void(wire::Result<wire::JoinReply>)> done, JoinerPace pace = {});

  void on_connected() override;
  void on_frame(wire::Frame&& frame) override;
  void on_closed(const wire::Error& reason) override;

 private:
  void try_next();
  void try_address(const std::string& address);
  void look();
  void on_reply(wire::JoinReply reply);
  void finish(wire::Result<wire::JoinReply> reply);
  // It cannot be asked, or what answers there is no member.
  void not_reached(const std::string& why);
  void try_later(const std::string& why);
  void say(const std::string& what);

  EventLoop& loop_;
  Logger& logger_;
  wire::JoinRequest request_;
  std::vector<std::string> addresses_;
  std::function<void(wire::Result<wire::JoinReply>)> done_;
  JoinerPace pace_;
  BackOff back_off_;
  std::unique_ptr<Connection> connection_;
  Timer retry_;
  Timer look_;
  std::string asked_;    // of the known addresses
  std::string current_;  // the same, or the leader's, as it was named there
  bool is_connected_ = false;
  bool is_resolving_ = false;                  // as far as has been seen
  std::uint64_t began_ms_ = 0;                 // to reach it, or to wait for its answer
  std::map<std::string, std::uint64_t> said_;  // when there was a line about a known address
  std::size_t next_ = 0;
  unsigned redirects_ = 0;
};

}  // namespace bib::engine
