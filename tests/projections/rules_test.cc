// What names and paths may be, and how refusals of them read.
#include "projections/rules/rules.h"

#include <catch2/catch.hpp>

#include <string>

namespace bib::projections {
namespace {

TEST_CASE("topic paths are names between single slashes") {
  struct Case {
    std::string path;
    bool allowed;
  };
  const Case cases[] = {
      {"net", true},
      {"contrib/net", true},
      {"non-free-firmware/kernel", true},
      {"CO2/Messungen", true},
      {"Zürich/Wetter", true},
      {"日本/天気", true},
      {"emoji/🌍", true},
      {"a b/c d", true},
      {"a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", true},
      {"a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q", false},
      {std::string(512, 'x'), true},
      {std::string(513, 'x'), false},
      {"", false},
      {"/", false},
      {"/net", false},
      {"net/", false},
      {"contrib//net", false},
      {"tab\there", false},
      {"line\nbreak", false},
      {std::string("nul\0byte", 8), false},
      {"del\x7f", false},
      {"c1\xc2\x85", false},
      {"\xff", false},
      {"cut\xc3", false},
      {"overlong\xc0\xaf", false},
      {"overlong\xe0\x80\xaf", false},
      {"surrogate\xed\xa0\x80", false},
      {"beyond\xf4\x90\x80\x80", false},
  };
  for (const Case& each : cases) {
    INFO(each.path);
    const auto status = check_topic_path(each.path);
    CHECK(status.has_value() == each.allowed);
    if (!status) CHECK(status.error().code == wire::ErrorCode::kInvalid);
  }
}

TEST_CASE("a name may hold slashes, a path's parent is what comes before the last") {
  CHECK(check_name("user/model", "The name").has_value());
  CHECK(parent_path("a/b/c") == "a/b");
  CHECK(parent_path("a").empty());
}

TEST_CASE("an expected revision must be the current one, and 0 means that it must not exist") {
  CHECK_FALSE(check_revision(std::nullopt, wire::Revision(3), "It"));
  CHECK_FALSE(check_revision(wire::Revision(3), wire::Revision(3), "It"));
  CHECK_FALSE(check_revision(wire::Revision(0), wire::Revision(0), "It"));
  for (const auto& [expected, current] : {std::pair{0, 3}, {3, 0}, {2, 3}, {4, 3}}) {
    const auto refusal = check_revision(wire::Revision(static_cast<std::uint64_t>(expected)),
                                        wire::Revision(static_cast<std::uint64_t>(current)), "It");
    REQUIRE(refusal);
    CHECK(refusal->error.code == wire::ErrorCode::kRevisionConflict);
    CHECK(refusal->current_revision.value() == static_cast<std::uint64_t>(current));
  }
}

}  // namespace
}  // namespace bib::projections
