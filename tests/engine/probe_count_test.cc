#include "engine/ports/probe_count.h"

#include <catch2/catch.hpp>

namespace bib::engine {

using Verdict = ProbeCount::Verdict;

TEST_CASE("a peer is silent after four turns without a sign, told once, and gone after twenty") {
  ProbeCount count;
  CHECK(count.turn() == Verdict::kAlive);
  for (unsigned turn = 1; turn < ProbeCount::kGoneAfter; ++turn) {
    CHECK(count.turn() == (turn == ProbeCount::kSilentAfter ? Verdict::kSilent : Verdict::kAlive));
  }
  CHECK(count.turn() == Verdict::kGone);
}

TEST_CASE("a sign of life starts the count over, and a new silence is told again") {
  ProbeCount count;
  for (int round = 0; round < 3; ++round) {
    count.heard();
    CHECK(count.turn() == Verdict::kAlive);
    for (unsigned turn = 1; turn < ProbeCount::kSilentAfter; ++turn) {
      CHECK(count.turn() == Verdict::kAlive);
    }
    CHECK(count.turn() == Verdict::kSilent);
    CHECK(count.turn() == Verdict::kAlive);
  }
}

}  // namespace bib::engine
