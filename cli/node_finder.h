// NodeFinder: which node to talk to, and the greeting on a new connection.
//
// Owned by a Client or an EventStream; one thread. It knows the servers that it was given and the
// members that nodes told it of, tries them in turn, follows to the leader where one is wanted, and
// says how long to wait once all have failed: 10 ms at first, then twice as long up to 250 ms.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/connection.h"
#include "wire/client_message.h"

namespace bib::cli {

struct MemberAddress {
  wire::NodeId id;
  std::string raft_address;
  std::string api_address;
  bool voter = true;
};

// What a node said of itself and its cluster when it was greeted.
struct ServerInfo {
  ServerAddress address;
  std::string version;
  wire::NodeId node;
  wire::ClusterId cluster;
  std::string cluster_name;
  wire::NodeId leader;  // 0: not known
  std::string leader_api_address;
  std::vector<MemberAddress> members;
};

// Says hello and reads the answer. kUnsupported: another protocol.
wire::Result<ServerInfo> greet(Connection& connection, wire::ClientId client,
                               Clock::time_point deadline);

class NodeFinder {
 public:
  struct Options {
    std::vector<ServerAddress> servers;
    wire::ClientId client;
    bool to_leader = true;  // false: any node will do
    std::chrono::milliseconds try_timeout{2000};
  };
  explicit NodeFinder(Options options);

  // One attempt, at the next node in turn or at the leader that was named. kNoQuorum: reached, but
  // it knows no leader. Afterwards ready_at() says when the next attempt makes sense.
  wire::Result<std::unique_ptr<Connection>> attempt(Clock::time_point deadline);
  Clock::time_point ready_at() const { return ready_at_; }

  // A node named the leader's API address: it is tried first.
  void suggest(std::string_view api_address);
  // The current node is of no use now: the next attempt is at another one.
  void step_back();
  // The current node answers requests: waiting times and detours begin anew.
  void settled();

  // The last node greeted; nullopt before the first.
  const std::optional<ServerInfo>& server() const { return server_; }
  // All given servers were tried, and none answered at all.
  bool unreachable() const { return !server_ && rounds_ > 0; }
  // "127.0.0.1:4000: Connection refused (ECONNREFUSED); ..." for the latest round.
  std::string failures() const;

 private:
  struct Candidate {
    ServerAddress address;
    std::string failure;
  };
  wire::Result<std::unique_ptr<Connection>> dial(const ServerAddress& address,
                                                 Clock::time_point deadline);
  Candidate& candidate(const ServerAddress& address);
  void learn(const ServerInfo& server);
  void end_attempt();

  Options options_;
  std::vector<Candidate> candidates_;
  std::size_t next_ = 0;
  std::size_t rounds_ = 0;
  std::optional<ServerAddress> suggested_;
  std::optional<ServerInfo> server_;
  std::chrono::milliseconds backoff_;
  int detours_ = 0;  // suggestions followed one after another
  Clock::time_point ready_at_;
};

}  // namespace bib::cli
