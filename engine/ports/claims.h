// Claims: which run of a node is let in when more than one greets under its id.
//
// Lives on its owner's loop; plain logic. A data directory that was copied and started beside the
// original gives two runs (boot ids) of one node, and a restart gives two as well, one after the
// other. The run that answers where the members dial the node is the node, whoever came first: so
// all members judge alike, and it is the one that they can reach.
//   - Whoever greets from that address is taken for a restart, and let in, until a connection that
//     is dialled there afterwards leads to another run.
//   - Whoever greets from elsewhere waits while another run answers there. Once that one has
//     answered a probe that left after the greeting both are known to run at the same time, on two
//     directories: only then is it said that the node runs twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "wire/base/ids.h"
#include "wire/peer/peer_hello.h"

namespace bib::engine {

class Claims {
 public:
  // Of one node; the oldest is forgotten for the next.
  static constexpr std::size_t kRunsMax = 8;

  // What the connection says that this node has dialled to the other.
  struct Reached {
    std::string_view address;    // that is dialled
    wire::BootId boot;           // of the run that answers there; none: nobody does yet
    std::uint64_t asked = 0;     // number of the last probe that was sent, anywhere
    std::uint64_t answered = 0;  // of the last one that this run has answered; 0: none
    bool is_silent = false;      // it has let several go unanswered
  };

  enum class Verdict : std::uint8_t {
    kWelcome,
    kNotYet,  // another run is there, or was a moment ago: it may come again
    kTwice,   // and has been running all the while
  };
  // `another_is_there`: another run, which gives the address that is dialled as its own, has a
  // connection to this node and was heard a moment ago.
  Verdict judge(const wire::PeerHello& hello, const Reached& reached, bool another_is_there);

  // For answered(): a number for each dialling.
  std::uint64_t dialling() { return ++steps_; }
  // This run has answered at the address, on the connection of that dialling.
  void answered(wire::NodeId node, wire::BootId boot, std::string_view address,
                std::uint64_t dialling);
  // The run has greeted, and the node's address leads to another one.
  bool is_elsewhere(wire::NodeId node, wire::BootId boot) const;
  // True once for each run.
  bool is_news(wire::NodeId node, wire::BootId boot);
  // The node is not dialled any more, or at another address.
  void forget(wire::NodeId node) { runs_.erase(node); }

 private:
  struct Run {
    wire::BootId boot;
    std::string address;        // that it gives as its own
    std::uint64_t greeted = 0;  // the step, the first time
    std::uint64_t asked = 0;    // the last probe before that
    bool is_elsewhere = false;
    bool is_told = false;
  };

  Run& note(const wire::PeerHello& hello, std::uint64_t asked);
  const Run* find(wire::NodeId node, wire::BootId boot) const;

  std::map<wire::NodeId, std::deque<Run>> runs_;  // that are not, or not yet, known to be there
  std::uint64_t steps_ = 0;                       // in order: diallings and first greetings
};

}  // namespace bib::engine
