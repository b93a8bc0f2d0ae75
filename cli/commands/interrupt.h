// Interrupt: Ctrl-C as a question that a long command asks, so that it can say how far it got.
//
// Owned by a command; one at a time in a process. The first SIGINT is only remembered, and ends
// waiting calls with EINTR; the second ends the process as ever. The handler before comes back with
// the destructor.
#pragma once

#include <csignal>

namespace bib::cli {

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool requested() const;

 private:
  struct sigaction before_ {};
};

}  // namespace bib::cli
