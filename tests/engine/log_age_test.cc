// Ages in the log, by steady time.
#include "engine/node/log_age.h"

#include <catch2/catch.hpp>

using bib::engine::LogAge;
using bib::wire::LogIndex;

TEST_CASE("an entry is old once it was applied for so long, and not before") {
  LogAge age(6400);
  CHECK(age.old_to(0) == LogIndex());
  std::uint64_t index = 10;
  for (std::uint64_t now = 1000; now <= 20'000; now += 50) {
    age.note(now, LogIndex(++index));
    // 50 ms an entry: what was applied 6,400 ms ago is 128 entries back.
    const LogIndex old_to = age.old_to(now);
    if (now < 1000 + 6400) {
      CHECK(old_to == LogIndex());
    } else {
      CHECK(old_to.value() + 128 <= index);
      CHECK(old_to.value() + 128 + 6 >= index);
    }
  }
}

TEST_CASE("a node that was just started, or was not asked for long, calls nothing old too soon") {
  LogAge age(1000);
  age.note(500'000, LogIndex(7));
  CHECK(age.old_to(500'000) == LogIndex());
  // Paused: what it has applied meanwhile is seen now.
  age.note(600'000, LogIndex(90));
  CHECK(age.old_to(600'000) == LogIndex(7));
  age.note(600'999, LogIndex(95));
  CHECK(age.old_to(600'999) == LogIndex(7));
  age.note(601'000, LogIndex(96));
  CHECK(age.old_to(601'000) == LogIndex(90));
}
