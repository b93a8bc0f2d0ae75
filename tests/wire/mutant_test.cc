#include "wire/base/mutant.h"

#include <catch2/catch.hpp>
#include <set>

#ifndef BIB_MUTANTS

namespace bib::wire {
namespace {

#define BIB_IS_OFF(rule, name, what) static_assert(!BIB_MUTANT(name), what);
BIB_MUTANT_LIST(BIB_IS_OFF)
BIB_TESTED_MUTANT_LIST(BIB_IS_OFF)
#undef BIB_IS_OFF

TEST_CASE("a planted bug is a constant false in an ordinary build") {
  constexpr bool planted = BIB_MUTANT(kCommitsForeignTerm);
  STATIC_REQUIRE_FALSE(planted);
}

TEST_CASE("each rule has a planted bug that breaks it") {
  constexpr unsigned kRules = 32;
  std::set<unsigned> broken;
#define BIB_BREAKS(rule, name, what) broken.insert(rule);
  BIB_MUTANT_LIST(BIB_BREAKS)
#undef BIB_BREAKS
  CHECK(broken.size() == kRules);
  CHECK(*broken.begin() == 1);
  CHECK(*broken.rbegin() == kRules);
}

}  // namespace
}  // namespace bib::wire

#endif
