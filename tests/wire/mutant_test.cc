#include "wire/mutant.h"

#include <catch2/catch.hpp>

#ifndef BIB_MUTANTS

namespace bib::wire {
namespace {

#define BIB_IS_OFF(rule, name, what) static_assert(!BIB_MUTANT(name), what);
BIB_MUTANT_LIST(BIB_IS_OFF)
#undef BIB_IS_OFF

TEST_CASE("a planted bug is a constant false in an ordinary build") {
  constexpr bool planted = BIB_MUTANT(kCommitsForeignTerm);
  STATIC_REQUIRE_FALSE(planted);
}

}  // namespace
}  // namespace bib::wire

#endif
