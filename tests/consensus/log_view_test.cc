#include "consensus/log_view.h"

#include <catch2/catch.hpp>
#include <vector>

#include "wire/base/prng.h"

namespace bib::consensus {

namespace {

using wire::LogIndex;
using wire::Term;

LogView make_view(const std::vector<std::uint64_t>& terms) {
  LogView log;
  for (std::uint64_t term : terms) log.append(Term(term), 100);
  return log;
}

}  // namespace

TEST_CASE("An empty log knows its base and nothing else") {
  const LogView log({LogIndex(5), Term(2)});
  CHECK(log.first_index() == LogIndex(6));
  CHECK(log.last() == wire::LogPosition{LogIndex(5), Term(2)});
  CHECK(log.term_at(LogIndex(5)) == Term(2));
  CHECK_FALSE(log.term_at(LogIndex(4)));
  CHECK_FALSE(log.term_at(LogIndex(6)));
  CHECK(log.bytes_in(LogIndex(5), LogIndex(5)) == 0);
}

TEST_CASE("The last bytes of a log begin after a whole entry") {
  LogView log = make_view({1, 1, 1, 4, 4, 6});
  CHECK(log.last_bytes_after(0) == LogIndex(6));
  CHECK(log.last_bytes_after(99) == LogIndex(6));
  CHECK(log.last_bytes_after(100) == LogIndex(5));
  CHECK(log.last_bytes_after(599) == LogIndex(1));
  CHECK(log.last_bytes_after(600) == LogIndex(0));
  CHECK(log.last_bytes_after(UINT64_MAX) == LogIndex(0));
  log.compact_to(LogIndex(3));
  CHECK(log.last_bytes_after(250) == LogIndex(4));
  CHECK(log.last_bytes_after(300) == LogIndex(3));
  CHECK(LogView({LogIndex(5), Term(2)}).last_bytes_after(7) == LogIndex(5));
}

TEST_CASE("A conflicting term is skipped as a whole") {
  const LogView log = make_view({1, 1, 1, 4, 4, 6});
  CHECK(log.last_at_or_below(LogIndex(6), Term(5)) == wire::LogPosition{LogIndex(5), Term(4)});
  CHECK(log.last_at_or_below(LogIndex(9), Term(3)) == wire::LogPosition{LogIndex(3), Term(1)});
  CHECK(log.last_at_or_below(LogIndex(2), Term(9)) == wire::LogPosition{LogIndex(2), Term(1)});
  CHECK(log.last_at_or_below(LogIndex(6), Term(0)) == wire::LogPosition{});
  LogView compacted = make_view({1, 1, 1, 4, 4, 6});
  compacted.compact_to(LogIndex(4));
  CHECK(compacted.last_at_or_below(LogIndex(6), Term(4)) ==
        wire::LogPosition{LogIndex(5), Term(4)});
  CHECK_FALSE(compacted.last_at_or_below(LogIndex(6), Term(3)));
  CHECK_FALSE(compacted.last_at_or_below(LogIndex(3), Term(9)));
}

TEST_CASE("A log view agrees with a plain list through any sequence of operations") {
  wire::Prng random(11);
  for (int round = 0; round < 200; ++round) {
    LogView log;
    std::vector<std::pair<Term, std::uint32_t>> all{{Term(0), 0}};  // by index
    std::uint64_t base = 0;
    for (int step = 0; step < 60; ++step) {
      const std::uint64_t last = all.size() - 1;
      const std::uint64_t choice = random.below(10);
      if (choice < 7) {
        const Term term(all.back().first.value() + random.below(2) + (last == 0 ? 1 : 0));
        const auto size = static_cast<std::uint32_t>(72 + random.below(1000));
        log.append(term, size);
        all.push_back({term, size});
      } else if (choice < 9 && last > base) {
        const std::uint64_t from = base + 1 + random.below(last - base);
        log.truncate_from(LogIndex(from));
        all.resize(from);
      } else {
        base += random.below(last - base + 1);
        log.compact_to(LogIndex(base));
      }
      REQUIRE(log.base() == wire::LogPosition{LogIndex(base), all[base].first});
      REQUIRE(log.last() == wire::LogPosition{LogIndex(all.size() - 1), all.back().first});
      std::uint64_t bytes = 0;
      for (std::uint64_t i = base + 1; i < all.size(); ++i) {
        REQUIRE(log.term_at(LogIndex(i)) == all[i].first);
        REQUIRE(log.size_of(LogIndex(i)) == all[i].second);
        bytes += all[i].second;
        REQUIRE(log.bytes_in(LogIndex(base), LogIndex(i)) == bytes);
      }
    }
  }
}

TEST_CASE("A log that was reset begins again, empty") {
  LogView log = make_view({1, 2, 3});
  log.reset({LogIndex(10), Term(3)});
  CHECK(log.last_index() == LogIndex(10));
  log.append(Term(3), 80);
  CHECK(log.size_of(LogIndex(11)) == 80);
  CHECK(log.matches({LogIndex(11), Term(3)}));
}

}  // namespace bib::consensus
