// Networks that lose what one node says to another, silently, until they are mended. Clients reach
// every node all the time.
//
// Namespaces: each node has a network of its own, connected to the harness's, which forwards; what
// is cut is not forwarded (policy routing). Everything lives in namespaces that end with the
// processes that hold them, also after a kill -9. Needs root, or user namespaces, and `ip`.
// Proxy: tests/cluster/peer_proxy; cuts are two-way.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster.h"

namespace bib::nemesis {

class Network {
 public:
  virtual ~Network() = default;
  virtual std::string name() const = 0;
  // Before the cluster is formed. `runners`: what goes before each node's program.
  virtual void attach(cluster::Cluster& cluster,
                      const std::vector<std::vector<std::string>>& runners) = 0;
  // After it was formed.
  virtual void settle(const cluster::Cluster&) {}
  // What `from` says does not reach `to`.
  virtual void cut(std::size_t from, std::size_t to) = 0;
  virtual void mend() = 0;
  virtual bool can_cut_one_way() const = 0;
};

// A network namespace for this process and its children; false where it is not allowed. Before any
// other thread begins.
bool enter_own_network();

// Precondition: enter_own_network(). Throws when the system refuses.
std::unique_ptr<Network> make_namespaces(std::size_t nodes);
std::unique_ptr<Network> make_proxy();

}  // namespace bib::nemesis
