// docs/exit-codes.md against wire/base/exit_code.h, and what programs can end with against both.
#include <catch2/catch.hpp>
#include <set>

#include "cli/print/exit_code.h"
#include "support/document.h"
#include "support/test_support.h"

using namespace bib;
using wire::ErrorCode;
using wire::ExitCode;
using wire::Program;

namespace {

constexpr int kErrorCodeMax = 255;  // as it goes over the wire

std::set<int> codes_of(Program program) {
  std::set<int> codes;
  for (int code = 0; code <= wire::kExitCodeMax; ++code) {
    if (!wire::exit_meaning(program, code).empty()) codes.insert(code);
  }
  return codes;
}

// What errors end with, and what ends without one.
std::set<int> reached(ExitCode (*exit_code)(ErrorCode), std::initializer_list<ExitCode> others) {
  std::set<int> codes;
  for (int error = 0; error <= kErrorCodeMax; ++error) {
    codes.insert(static_cast<int>(exit_code(static_cast<ErrorCode>(error))));
  }
  for (const ExitCode code : others) codes.insert(static_cast<int>(code));
  return codes;
}

}  // namespace

TEST_CASE("docs/exit-codes.md is the table of exit codes") {
  std::vector<std::string> expected;
  for (int code = 0; code <= wire::kExitCodeMax; ++code) {
    const std::string_view bib = wire::exit_meaning(Program::kBib, code);
    const std::string_view bibd = wire::exit_meaning(Program::kBibd, code);
    const std::string_view inspect = wire::exit_meaning(Program::kRaftInspect, code);
    if (bib.empty() && bibd.empty() && inspect.empty()) continue;
    expected.push_back(fmt::format("| {} | {} | {} | {} | {} |", code, bib, bibd,
                                   to_string(wire::supervision(code)), inspect));
  }
  CHECK(support::table_rows(support::document_lines("docs/exit-codes.md"), "## The codes") ==
        expected);
}

TEST_CASE("programs end with the codes that the table has for them, and with all of these") {
  CHECK(reached(cli::exit_code_for, {ExitCode::kUsage, ExitCode::kInterrupted}) ==
        codes_of(Program::kBib));
  CHECK(reached(cli::node_exit_code_for, {ExitCode::kUsage}) == codes_of(Program::kBibd));
}

TEST_CASE("the protocol's document has the exit code of each error code") {
  std::vector<std::string> expected;
  std::vector<std::string> found;
  for (const std::string& row :
       support::table_rows(support::document_lines("docs/wire-protocol.md"), "## Error codes")) {
    const auto code = static_cast<ErrorCode>(expected.size());
    expected.push_back(fmt::format("| {} | `{}` | {} |", expected.size(), error_code_name(code),
                                   static_cast<int>(cli::exit_code_for(code))));
    found.push_back(row.substr(0, expected.back().size()));
  }
  CHECK(found == expected);
  CHECK(expected.size() > 16);
}

TEST_CASE("a supervisor is told what to do at each code of a node, and at no other") {
  for (int code = 0; code <= wire::kExitCodeMax; ++code) {
    CAPTURE(code);
    CHECK((wire::supervision(code) == wire::Supervision::kNone) ==
          wire::exit_meaning(Program::kBibd, code).empty());
  }
}

TEST_CASE("the service file of the documents starts no node again that is to be left") {
  std::string expected = "RestartPreventExitStatus=";
  for (int code = 1; code <= wire::kExitCodeMax; ++code) {
    if (wire::supervision(code) != wire::Supervision::kLeave) continue;
    expected += (expected.back() == '=' ? "" : " ") + std::to_string(code);
  }
  std::vector<std::string> found;
  for (const std::string& line : support::document_lines("docs/service.md")) {
    if (line.rfind("RestartPreventExitStatus=", 0) == 0) found.push_back(line);
  }
  CHECK(found == std::vector{expected});
}

TEST_CASE("help lists a program's exit codes") {
  CHECK(wire::exit_code_help(Program::kRaftInspect).rfind("Exit codes:\n    0  clean", 0) == 0);
  CHECK(wire::exit_code_help(Program::kBib).find("\n  130  Ctrl-C") != std::string::npos);
  CHECK(wire::exit_code_help(Program::kBibd).find("\n    7") == std::string::npos);
}
