#include "wire/base/check.h"

#include <catch2/catch.hpp>

#include <cstdio>

#include "support/test_support.h"
#include "wire/base/version.h"

namespace bib::wire {

TEST_CASE("a failed check says where, what and why, and aborts") {
  const auto said = support::aborts([] { BIB_CHECK(1 > 2, "{} is not more than {}", 1, 2); });
  REQUIRE(said);
  CHECK(said->find("check_test.cc:") != std::string::npos);
  CHECK(said->find("1 > 2") != std::string::npos);
  CHECK(said->find("1 is not more than 2") != std::string::npos);
  CHECK(support::aborts([] { BIB_CHECK(false); }));
}

TEST_CASE("a failed check has what waits to be printed printed first, once") {
  const auto said = support::aborts([] {
    set_before_abort([] {
      std::fputs("first;", stderr);
      BIB_CHECK(false, "within");
    });
    BIB_CHECK(false, "without");
  });
  REQUIRE(said);
  CHECK(said->rfind("first;", 0) == 0);
  CHECK(said->find("within") != std::string::npos);
}

TEST_CASE("a check that holds does nothing, and its message is not made") {
  int made = 0;
  const auto count = [&] { return ++made; };
  CHECK_FALSE(support::aborts([&] { BIB_CHECK(true, "{}", count()); }));
  BIB_CHECK(true, "{}", count());
  CHECK(made == 0);
}

TEST_CASE("the version is three numbers") {
  int major = 0;
  int minor = 0;
  int patch = 0;
  char more = 0;
  CHECK(std::sscanf(version(), "%d.%d.%d%c", &major, &minor, &patch, &more) == 3);
}

}  // namespace bib::wire
