// How many lines on one subject a log takes, on a clock that the test moves.
#include "engine/ports/line_limit.h"

#include <catch2/catch.hpp>
#include <string>

using namespace bib::engine;

namespace {

std::string told(const std::vector<LineLimit::LeftOut>& left_out) {
  std::string text;
  for (const auto& one : left_out) text += one.subject + ":" + std::to_string(one.lines) + " ";
  return text;
}

}  // namespace

TEST_CASE(
    "so many lines on a subject are taken in a period, and those beyond are told at its end") {
  LineLimit limit({.lines_max = 2, .period_ms = 100});
  CHECK(limit.take("a", 1000));
  CHECK(limit.take("a", 1001));
  CHECK_FALSE(limit.next_end_ms());
  CHECK_FALSE(limit.take("a", 1002));
  CHECK(limit.take("b", 1003));  // another subject's lines are its own
  CHECK_FALSE(limit.take("a", 1099));
  CHECK(limit.next_end_ms() == 1100);
  CHECK(limit.ended(1099).empty());
  CHECK(told(limit.ended(1100)) == "a:2 ");
  CHECK(limit.ended(1101).empty());
  CHECK_FALSE(limit.next_end_ms());
  CHECK(limit.take("a", 1101));
}

TEST_CASE("what nobody asked for at a period's end is told later, with what came since") {
  LineLimit limit({.lines_max = 1, .period_ms = 100});
  CHECK(limit.take("a", 0));
  CHECK_FALSE(limit.take("a", 1));
  CHECK(limit.take("a", 500));
  CHECK_FALSE(limit.take("a", 501));
  CHECK_FALSE(limit.take("a", 502));
  CHECK(limit.next_end_ms() == 0);
  CHECK(told(limit.all()) == "a:3 ");
  CHECK(limit.all().empty());
}

TEST_CASE("subjects that are too many to be told apart are limited together") {
  LineLimit limit({.lines_max = 1, .period_ms = 100, .subjects_max = 3});
  for (const char* subject : {"a", "b", "c", "d"}) CHECK(limit.take(subject, 0));
  CHECK_FALSE(limit.take("e", 1));
  CHECK_FALSE(limit.take("f", 2));
  CHECK(told(limit.ended(100)) == ":2 ");
  CHECK(limit.take("e", 101));  // there is room again
  CHECK_FALSE(limit.take("e", 102));
  CHECK(told(limit.all()) == "e:1 ");
}
