// LogTerms: runs of terms against a plain list of them.
#include <catch2/catch.hpp>
#include <vector>

#include "wire/base/prng.h"
#include "wire/log/log_terms.h"

namespace bib::wire {
namespace {

// The base's term, then one for each entry.
struct PlainTerms {
  std::uint64_t base = 0;
  std::vector<std::uint64_t> terms = {0};

  std::uint64_t last() const { return base + terms.size() - 1; }
  std::optional<Term> term_at(std::uint64_t index) const {
    if (index < base || index > last()) return std::nullopt;
    return Term(terms[index - base]);
  }
  std::optional<LogPosition> last_at_or_below(std::uint64_t limit, std::uint64_t term) const {
    for (std::uint64_t index = std::min(limit, last()) + 1; index-- > base;) {
      if (index >= base && terms[index - base] <= term) {
        return LogPosition{LogIndex(index), Term(terms[index - base])};
      }
    }
    return std::nullopt;
  }
};

void must_agree(const LogTerms& runs, const PlainTerms& plain) {
  REQUIRE(runs.base() == LogPosition{LogIndex(plain.base), Term(plain.terms.front())});
  REQUIRE(runs.last() == LogPosition{LogIndex(plain.last()), Term(plain.terms.back())});
  const std::uint64_t begin = plain.base > 2 ? plain.base - 2 : 0;
  for (std::uint64_t index = begin; index <= plain.last() + 2; ++index) {
    CAPTURE(index);
    REQUIRE(runs.term_at(LogIndex(index)) == plain.term_at(index));
    for (std::uint64_t term = 0; term <= plain.terms.back() + 1; ++term) {
      REQUIRE(runs.last_at_or_below(LogIndex(index), Term(term)) ==
              plain.last_at_or_below(index, term));
    }
  }
  LogIndex next = runs.base().index + 1;
  for (std::size_t i = 0; i < runs.runs().size(); ++i) {
    REQUIRE(runs.runs()[i].first >= next);
    next = runs.runs()[i].first + 1;
  }
  if (!runs.runs().empty()) {
    REQUIRE(runs.runs().front().first == runs.base().index + 1);
  }
}

}  // namespace

TEST_CASE("runs of terms say what a list of all terms says, whatever is done to both") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Prng prng(seed);
    LogTerms runs;
    PlainTerms plain;
    for (int step = 0; step < 60; ++step) {
      CAPTURE(seed, step);
      switch (prng.below(8)) {
        case 0:
          if (plain.terms.size() > 1) {
            const std::uint64_t from = plain.base + 1 + prng.below(plain.terms.size());
            runs.truncate_from(LogIndex(from));
            plain.terms.resize(from - plain.base);
          }
          break;
        case 1: {
          const std::uint64_t to = plain.base + prng.below(plain.terms.size());
          runs.compact_to(LogIndex(to));
          plain.terms.erase(plain.terms.begin(),
                            plain.terms.begin() + static_cast<std::ptrdiff_t>(to - plain.base));
          plain.base = to;
          break;
        }
        case 2:
          if (prng.below(6) == 0) {
            plain = {plain.last() + prng.below(4), {plain.terms.back() + prng.below(2)}};
            runs.reset({LogIndex(plain.base), Term(plain.terms.front())});
          }
          break;
        case 3: {
          const std::uint64_t gap = 1 + prng.below(3);
          const std::uint64_t term = plain.terms.back() + prng.below(2);
          for (std::uint64_t i = 0; i < gap; ++i) plain.terms.push_back(term);
          runs.skip_to({LogIndex(plain.last()), Term(term)});
          break;
        }
        default:
          plain.terms.push_back(plain.terms.back() + (prng.below(4) == 0 ? 1 : 0));
          runs.append(Term(plain.terms.back()));
      }
      must_agree(runs, plain);
    }
  }
}

}  // namespace bib::wire
