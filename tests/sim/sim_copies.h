// SimCopies: machines that were copied: each greets the nodes under the id of one of them, from
// another address or in its own name, for a while. It does nothing else.
//
// What the nodes make of it is Claims' to say (engine/ports/claims.h), as for their own greetings.
// Two things are judged. A copy is not let in where the node itself has answered all along. And
// nobody is told to run twice where the two runs did not run at the same time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim_network.h"

namespace bib::sim {

class SimCopies final : public EventTarget {
 public:
  SimCopies(EventQueue& queue, wire::Prng& random, Trace& trace, SimNetwork& network)
      : queue_(queue), random_(random), trace_(trace), network_(network) {}

  // A copy of this node starts now; the node may be down.
  void start(NodeIndex of);
  // All of them end.
  void heal() { copies_.clear(); }

  void on_event(std::uint32_t code, std::uint64_t argument) override;

 private:
  struct Greeting {
    wire::BootId by;  // of the run of the node that was greeted
    Time first = 0;
  };
  struct Copy {
    NodeIndex of = 0;
    wire::BootId boot;
    std::string address;
    Time ends = 0;
    std::map<NodeIndex, Greeting> greeted;
  };

  void greet(Copy& copy, NodeIndex node);

  EventQueue& queue_;
  wire::Prng& random_;
  Trace& trace_;
  SimNetwork& network_;
  std::map<std::uint64_t, Copy> copies_;  // by number
  std::uint64_t next_ = 1;
};

}  // namespace bib::sim
