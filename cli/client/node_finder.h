// NodeFinder: which node to talk to.
//
// Owned by a Client or an EventStream; one thread. It knows the servers that it was given and the
// members that nodes told it of, greets them in turn, and follows to the leader where one is
// wanted. A node that takes long to answer is not waited for: the next one is greeted beside it. Of
// nodes that name different leaders the one in the later term is believed. Once all have been asked
// it pauses, for an eighth of the time that the search has taken so far, from 5 to 250 ms.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/client/greeting.h"

namespace bib::cli {

class NodeFinder {
 public:
  struct Options {
    std::vector<ServerAddress> servers;
    wire::ClientId client;
    bool to_leader = true;  // false: any node will do
    std::chrono::milliseconds try_timeout{2000};
  };
  explicit NodeFinder(Options options);

  // Searches until a node is found, all have been asked, or the deadline (one turn at least). Null:
  // not found yet; problem() says why. Attempts that are under way continue with the next
  // call.
  std::unique_ptr<Connection> search(Clock::time_point deadline);

  // One turn without waiting, for who waits for other things as well: poll for what append_polls()
  // adds, at the latest until wake_up_at().
  std::unique_ptr<Connection> turn();
  void append_polls(std::vector<pollfd>& items) const;
  Clock::time_point wake_up_at() const;

  // The current node does not answer, perhaps only not yet: from now on the search is for another
  // one. nullptr ends that, and what was under way.
  void search_besides(const Connection* current);
  bool is_searching_besides() const { return besides_.has_value(); }

  // A node named the leader's API address: it is tried first.
  void suggest(std::string_view api_address);
  // The current node is of no use now: the next attempt is at another one.
  void step_back();
  // The current node answers requests: waiting times and detours start over.
  void settled();

  // The node that was found last, before that the last one greeted; nullopt before the first.
  const std::optional<ServerInfo>& server() const { return server_; }
  // All servers were tried, and none has ever answered.
  bool unreachable() const;
  // The caller was told so: the next search starts over.
  void start_over();
  // Why nothing is found. kNoQuorum: nodes were reached, but no leader.
  const std::optional<wire::Error>& problem() const { return problem_; }
  // "127.0.0.1:4000: Connection refused (ECONNREFUSED); ..." for the latest round.
  std::string failures() const;

 private:
  struct Candidate {
    ServerAddress address;
    std::string failure;  // of the latest attempt
  };
  Candidate& candidate(const ServerAddress& address);
  bool is_under_way(const ServerAddress& address) const;
  void start_due(Clock::time_point now);
  std::optional<ServerAddress> next_address();
  void start(const ServerAddress& address);
  void failed(const ServerAddress& address, wire::Error error);
  std::unique_ptr<Connection> advance(Clock::time_point now);
  std::unique_ptr<Connection> greeted(Greeting& greeting, ServerInfo server);
  void learn(const ServerInfo& server);
  void pause();

  Options options_;
  std::vector<Candidate> candidates_;
  std::vector<std::unique_ptr<Greeting>> under_way_;
  std::size_t next_ = 0;  // in candidates_
  std::uint64_t pauses_ = 0;
  std::optional<ServerAddress> suggested_;
  int detours_ = 0;  // suggestions followed one after another
  std::optional<ServerInfo> server_;
  std::optional<ServerAddress> besides_;
  wire::Term term_;  // the latest in which somebody leads, as far as was heard
  std::optional<wire::Error> problem_;
  std::optional<Clock::time_point> searching_since_;
  Clock::time_point start_next_at_;
};

}  // namespace bib::cli
