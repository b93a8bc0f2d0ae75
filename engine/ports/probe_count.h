// ProbeCount: whether a peer lets too many probes go unanswered.
//
// Counts turns, not time. A node that has itself been stopped for a while takes one turn when it
// resumes, and reads what has come meanwhile before the next: it blames no peer for its own pause.
#pragma once

#include <cstdint>

namespace bib::engine {

class ProbeCount {
 public:
  // Turns in a row without a sign of life.
  static constexpr unsigned kSilentAfter = 4;
  static constexpr unsigned kGoneAfter = 20;

  enum class Verdict : std::uint8_t {
    kAlive,   // or not silent for long enough; or known to be silent
    kSilent,  // once in each silence
    kGone,    // silent for so long that the connection is not worth keeping
  };

  void heard() { heard_ = true; }

  // Once every probe interval, before the next probe is sent.
  Verdict turn() {
    unanswered_ = heard_ ? 0 : unanswered_ + 1;
    heard_ = false;
    if (unanswered_ >= kGoneAfter) return Verdict::kGone;
    return unanswered_ == kSilentAfter ? Verdict::kSilent : Verdict::kAlive;
  }
  bool is_silent() const { return unanswered_ >= kSilentAfter; }

 private:
  bool heard_ = true;
  unsigned unanswered_ = 0;
};

}  // namespace bib::engine
