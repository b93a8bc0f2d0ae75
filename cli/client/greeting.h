// Greeting: a node that is being dialled and greeted, without waiting for it.
//
// Owned by a NodeFinder; one thread. Several may be under way at once, so that a node that does not
// answer does not delay the others.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/client/connection.h"
#include "wire/client/client_message.h"

namespace bib::cli {

struct MemberAddress {
  wire::NodeId id;
  std::string raft_address;
  std::string api_address;
  bool voter = true;
};

// A node's answer to the greeting: itself and its cluster.
struct ServerInfo {
  ServerAddress address;
  std::string version;
  wire::NodeId node;
  wire::ClusterId cluster;
  std::string cluster_name;
  wire::NodeId leader;  // 0: not known
  std::string leader_api_address;
  wire::Term term;  // in which it leads
  std::vector<MemberAddress> members;

  bool is_leader() const { return leader == node && node != wire::NodeId(); }
};

class Greeting {
 public:
  // Begins to connect; looking a name up may take its time.
  static wire::Result<std::unique_ptr<Greeting>> start(const ServerAddress& address,
                                                       wire::ClientId client);

  const ServerAddress& address() const { return connection_->address(); }
  Clock::time_point begun() const { return begun_; }
  int fd() const { return connection_->fd(); }
  short events() const { return connection_->events(); }

  // Does what can be done now. nullopt: there is no answer yet. kUnsupported: another protocol.
  wire::Result<std::optional<ServerInfo>> advance();
  // After the answer.
  std::unique_ptr<Connection> take_connection() { return std::move(connection_); }

 private:
  explicit Greeting(std::unique_ptr<Connection> connection)
      : connection_(std::move(connection)), begun_(Clock::now()) {}

  std::unique_ptr<Connection> connection_;
  Clock::time_point begun_;
};

}  // namespace bib::cli
