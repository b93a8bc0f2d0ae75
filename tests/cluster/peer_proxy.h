// PeerProxy: stands before the nodes of a Cluster and lets packets vanish between two of them, in
// both directions or in one, or lets them take their time.
//
// Nodes advertise a door of the proxy instead of their own address, so all that they say to each
// other passes through it. It reads who speaks to whom from the greeting. What is cut is silent:
// nothing is forwarded, nothing is lost, no connection closes, until it is mended; a real network
// does the same, because TCP repeats. Clients go past it. One thread of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "wire/base/ids.h"

namespace bib::cluster {

class PeerProxy {
 public:
  PeerProxy();
  ~PeerProxy();
  PeerProxy(const PeerProxy&) = delete;
  PeerProxy& operator=(const PeerProxy&) = delete;

  // A new address that leads to this port of 127.0.0.1.
  std::string open_door(int port);

  void cut(wire::NodeId a, wire::NodeId b);
  // What `from` says does not reach `to`; what `to` says arrives.
  void cut_one_way(wire::NodeId from, wire::NodeId to);
  // From now on everything takes so long, and each link stands still now and then.
  struct Weather {
    std::chrono::milliseconds delay{0};
    std::chrono::milliseconds stall_every{0};  // 0: never
    std::chrono::milliseconds stall_for{0};
  };
  void set_weather(Weather weather);
  void isolate(wire::NodeId node);
  void mend_all();

 private:
  struct Stream;
  struct Door {
    int listener = -1;
    int port = 0;
  };

  void run();
  void accept(const Door& door);
  void serve(Stream& stream, short dialler_events, short node_events);
  bool passes(const Stream& stream, bool to_node) const;
  int wait_ms() const;
  void wake() const;

  mutable std::mutex mutex_;  // for what is above the line; the rest is the thread's
  std::vector<Door> doors_;
  std::set<std::pair<wire::NodeId, wire::NodeId>> cut_;  // who is not heard by whom
  Weather weather_;
  std::set<wire::NodeId> isolated_;
  bool stopping_ = false;
  // ----
  int wake_ = -1;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::thread thread_;
};

}  // namespace bib::cluster
