// A cluster of real bibd processes on loopback, set up with the real `bib setup`, and the questions
// that the tests ask of it. One thread. Whatever is still running at the end is killed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/client/address.h"
#include "cli/client/client.h"
#include "cli/commands/cluster_view.h"
#include "peer_proxy.h"
#include "process.h"
#include "support/test_support.h"
#include "wire/base/prng.h"

namespace bib::cluster {

// Where a node runs, if not simply on loopback.
struct Place {
  std::string host = "127.0.0.1";
  std::vector<std::string> runner;  // goes before bibd: "ip netns exec ..."
};

class Cluster {
 public:
  // The environment goes to every bibd: BIBD_... settings for small timeouts and limits.
  explicit Cluster(Environment environment = {});

  // From now on nodes reach each other through a proxy, which can cut them off.
  void use_proxy() { proxy_ = std::make_unique<PeerProxy>(); }
  PeerProxy& proxy() { return *proxy_; }
  // Where the nodes run, one after another; the rest on loopback.
  void use_places(std::vector<Place> places) { places_ = std::move(places); }

  // Sets the nodes up (the first founds, the others get its token) and starts them; throws unless
  // all of them vote and are healthy in time.
  void form(std::size_t nodes);
  // `bib setup` for one more node; its number.
  std::size_t add_node(const std::vector<std::string>& setup_arguments);
  // `bib setup` with these arguments on a node's machine, as a person types it who replaces the
  // node's configuration: nothing else is said but where the file is.
  Finished set_up_again(std::size_t node, const std::vector<std::string>& arguments) const;

  void start(std::size_t node);
  void kill_9(std::size_t node);
  Process& process(std::size_t node) { return *nodes_[node].process; }
  std::size_t size() const { return nodes_.size(); }

  std::filesystem::path config(std::size_t node) const;
  std::filesystem::path data(std::size_t node) const;
  std::filesystem::path log_path(std::size_t node) const;  // what it prints is appended there
  std::string node_log(std::size_t node) const;
  const std::string& token() const { return token_; }

  // All API addresses, and one node's.
  std::vector<cli::ServerAddress> servers() const;
  std::string api(std::size_t node) const;
  int api_port(std::size_t node) const { return nodes_[node].api_port; }
  int raft_port(std::size_t node) const { return nodes_[node].raft_port; }

  // Runs `bib --server <all nodes> ...`.
  Finished bib(std::vector<std::string> arguments, const std::string& input = {}) const;

  // What the node says of itself; nullopt when it does not answer.
  std::optional<cli::ClusterView> view(std::size_t node) const;
  // The node that believes it leads, if any of those that answer does.
  std::optional<std::size_t> leader() const;
  bool all_healthy() const;
  wire::NodeId id(std::size_t node) const;  // throws unless it answers
  // Every node has applied the same index and has the same digests.
  bool converged() const;

 private:
  // ... with the node's file, data and addresses.
  Finished set_up(std::size_t node, const std::vector<std::string>& arguments) const;

  struct Node {
    std::string name;
    Place place;
    int raft_port = 0;
    int api_port = 0;
    std::string advertised;  // for nodes to dial; empty: where it listens
    std::unique_ptr<Process> process;
  };

  support::TempDir scratch_;
  Environment environment_;
  std::vector<Place> places_;
  std::unique_ptr<PeerProxy> proxy_;
  std::vector<Node> nodes_;
  std::string token_;
};

// Timeouts that suit a test: heartbeats of 50 ms, elections after 500 ms.
Environment quick_timeouts();

using support::count_of;

// Digits that do not compress to less than half, at least so many.
std::string hex_text(wire::Prng& random, std::size_t size);

// The node that leads, once there is one; throws after 20 s.
std::size_t leader_of(const Cluster& cluster);

}  // namespace bib::cluster
