// Turns: the loop that a node lives on, as far as the node knows of it.
//
// Callbacks record; the loop's owner calls Node::on_turn() once after each round of them. What a
// turn leaves undone asks for another one.
#pragma once

#include <cstdint>

namespace bib::engine {

class Turns {
 public:
  virtual ~Turns() = default;
  // Milliseconds that only grow, as of this turn.
  virtual std::uint64_t now_ms() const = 0;
  // The next turn follows at once: there is more to do.
  virtual void continue_soon() = 0;
  // The answer to what this turn sends off comes soon: worth looking for it before sleeping.
  virtual void poll_soon() = 0;
};

}  // namespace bib::engine
