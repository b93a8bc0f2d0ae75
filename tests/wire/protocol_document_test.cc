// docs/wire-protocol.md against the code: the numbers in its tables.
#include <catch2/catch.hpp>

#include <cstdio>
#include <map>

#include "support/document.h"
#include "support/test_support.h"
#include "wire/base/result.h"

namespace bib::wire {
namespace {

// The rows of the document's error table: code to name.
std::map<int, std::string> documented_errors() {
  std::map<int, std::string> errors;
  for (const std::string& line :
       support::table_rows(support::document_lines("docs/wire-protocol.md"), "## Error codes")) {
    int code = -1;
    char name[64] = {};
    INFO(line);
    REQUIRE(std::sscanf(line.c_str(), "| %d | `%63[a-z_]` |", &code, name) == 2);
    REQUIRE(errors.emplace(code, name).second);
  }
  return errors;
}

}  // namespace

TEST_CASE("the table of error codes in the document is the code's") {
  const std::map<int, std::string> errors = documented_errors();
  for (int code = 0; code <= 255; ++code) {
    const std::string_view name = error_code_name(static_cast<ErrorCode>(code));
    const auto row = errors.find(code);
    INFO("code " << code);
    if (name == "unknown") {
      CHECK(row == errors.end());
    } else {
      REQUIRE(row != errors.end());
      CHECK(row->second == name);
    }
  }
}

}  // namespace bib::wire
