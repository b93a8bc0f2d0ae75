// Lan: a network that delivers everything, once and in order; connections with greetings as real
// nodes have them (engine/uv/peer_network.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "machine.h"
#include "timeline.h"
#include "wire/peer/peer_hello.h"

namespace bib::damage {

class Lan {
 public:
  explicit Lan(Timeline& timeline) : timeline_(timeline) { look(); }

  void add(Machine& machine) { machines_.push_back(&machine); }
  const std::vector<Machine*>& machines() const { return machines_; }

  bool is_connected(wire::NodeId from, wire::NodeId to) const;
  // `deliver` happens at the other side if the connection is still the same by then.
  void send(wire::NodeId from, wire::NodeId to, std::function<void(Machine&)> deliver);
  void stopped(Machine& machine);
  // False: nobody is there to be asked.
  bool ask_to_join(std::size_t which, const wire::JoinRequest& request,
                   std::function<void(const wire::JoinReply&)> reply);

 private:
  struct Link {
    bool up = false;
    std::uint64_t epoch = 0;
    Time next_dial = 0;
  };
  Machine* find(wire::NodeId id) const;
  void look();
  void dial(Machine& from, Machine& to, Link& link);

  Timeline& timeline_;
  std::vector<Machine*> machines_;
  std::map<std::pair<wire::NodeId, wire::NodeId>, Link> links_;
};

}  // namespace bib::damage
