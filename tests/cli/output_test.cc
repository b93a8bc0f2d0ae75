// Tables, JSON, YAML, near matches and the histogram.
#include "cli/print/output.h"

#include <catch2/catch.hpp>

#include "cli/print/histogram.h"
#include "cli/print/units.h"
#include "wire/base/prng.h"

using namespace bib;
using namespace bib::cli;

TEST_CASE("a table pads its columns by what is seen, not by bytes, and leaves no blanks at ends") {
  Table table({"NAME", "COUNT"});
  table.align_right(1);
  table.add({"čas", "7"});
  table.add({"longer", "12345"});
  REQUIRE(table.render() ==
          "NAME    COUNT\n"
          "čas         7\n"
          "longer  12345\n");
}

TEST_CASE("one thing is not many") {
  CHECK(counted(0, "topic") == "0 topics");
  CHECK(counted(1, "topic") == "1 topic");
  CHECK(counted(2, "topic") == "2 topics");
}

TEST_CASE("text from a cluster cannot steer the terminal") {
  Table table({"X"});
  table.add({"\x1b]0;title\x07"});
  REQUIRE(table.render().find('\x1b') == std::string::npos);
}

TEST_CASE("fields without a value are left out") {
  REQUIRE(render_fields({{"A", "1"}, {"Longer", ""}, {"BB", "2"}}) == "A:  1\nBB: 2\n");
}

TEST_CASE("JSON of bytes that are not UTF-8 is JSON all the same") {
  std::string text = to_json_text({{"a", std::string("\xff")}}, false);
  REQUIRE(Json::parse(text)["a"] == "\xef\xbf\xbd");
}

TEST_CASE("YAML says the same as JSON, and quotes what could be read as something else") {
  Json value = {{"name", "plain-word"},
                {"looks_like_a_number", "12"},
                {"looks_like_a_truth", "no"},
                {"empty", ""},
                {"colon", "a: b"},
                {"number", 12},
                {"truth", true},
                {"nothing", nullptr},
                {"list", {1, "two", Json::object({{"a", 1}, {"b", Json::array()}})}},
                {"map", {{"inner", {{"deep", "x y"}}}}},
                {"empty_map", Json::object()}};
  REQUIRE(to_yaml_text(value) ==
          "name: plain-word\n"
          "looks_like_a_number: \"12\"\n"
          "looks_like_a_truth: \"no\"\n"
          "empty: \"\"\n"
          "colon: \"a: b\"\n"
          "number: 12\n"
          "truth: true\n"
          "nothing: null\n"
          "list:\n"
          "  - 1\n"
          "  - two\n"
          "  - a: 1\n"
          "    b: []\n"
          "map:\n"
          "  inner:\n"
          "    deep: \"x y\"\n"
          "empty_map: {}\n");
  REQUIRE(to_yaml_text(Json::array()) == "[]\n");
  REQUIRE(to_yaml_text(Json::array({Json::array({1, 2})})) == "- - 1\n  - 2\n");
}

TEST_CASE("near matches are the nearest first, and none when nothing is near") {
  constexpr std::string_view kNames[] = {"listen_addr", "advertise_addr", "is_voter", "bootstrap"};
  REQUIRE(near_matches("listn_addr", kNames) == std::vector<std::string>{"listen_addr"});
  REQUIRE(near_matches("zzzzzzzz", kNames).empty());
  REQUIRE(near_matches("", kNames).empty());
  REQUIRE(did_you_mean("isvoter", kNames) == " (did you mean is_voter?)");
}

TEST_CASE("the histogram's quantiles are within two percent of the exact ones") {
  Histogram histogram;
  REQUIRE(histogram.quantile(0.5) == 0);
  wire::Prng prng(7);
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 20000; ++i) values.push_back(prng.below(1ULL << prng.below(40)));
  for (std::uint64_t value : values) histogram.record(value);
  std::sort(values.begin(), values.end());
  for (double share : {0.0, 0.5, 0.99, 0.999, 1.0}) {
    auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(share * 20000)));
    auto exact = static_cast<double>(values[rank - 1]);
    auto found = static_cast<double>(histogram.quantile(share));
    CAPTURE(share, exact, found);
    REQUIRE(found >= exact);
    REQUIRE(found <= exact * 1.016 + 1);
  }
  Histogram extreme;
  extreme.record(~0ULL);
  REQUIRE(extreme.quantile(1) == ~0ULL);
}
