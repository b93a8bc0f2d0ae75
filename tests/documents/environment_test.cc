// The environment variables that scripts and tests read, against docs/testing.md.
#include <catch2/catch.hpp>
#include <filesystem>
#include <regex>
#include <set>

#include "support/document.h"
#include "support/test_support.h"

using namespace bib;
namespace fs = std::filesystem;

namespace {

// Set by the build or by the program that starts the reader, and by no person.
bool is_internal(const std::string& name) {
  return name == "BIB_BIB_HISTORY" || name == "BIB_SLOW_DISK" || name == "BIB_STALL_DIR";
}

void find_all(const std::string& text, const std::regex& form, std::set<std::string>& names) {
  for (std::sregex_iterator at(text.begin(), text.end(), form), end; at != end; ++at) {
    if (!is_internal((*at)[1])) names.insert((*at)[1]);
  }
}

}  // namespace

TEST_CASE("docs/testing.md has the variables that scripts and tests read, and no other") {
  const std::regex in_code("(?:getenv|from_environment)\\(\"(BIB_[A-Z_]+)\"");
  const std::regex in_scripts("\\$\\{?(BIB_[A-Z_]+)");
  std::set<std::string> names;
  for (const char* folder : {"tools", "tests", ".ci"}) {
    for (const auto& entry : fs::recursive_directory_iterator(support::source_dir() / folder)) {
      if (!entry.is_regular_file()) continue;
      const std::string extension = entry.path().extension().string();
      if (extension == ".cc") find_all(support::read_file(entry.path()), in_code, names);
      if (extension == ".sh") find_all(support::read_file(entry.path()), in_scripts, names);
    }
  }
  const auto documented = support::names_of(
      support::table_rows(support::document_lines("docs/testing.md"), "### Environment variables"));
  CHECK(std::set<std::string>(documented.begin(), documented.end()) == names);
}
