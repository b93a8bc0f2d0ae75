// main() of every test program: Catch2's, and one more way to call it.
//
//   X_tests --write-ctest-list FILE PREFIX PROGRAM
//
// writes the add_test() calls of all cases that are not hidden to FILE, a script that ctest
// includes. The program knows its own cases best: names may hold any character, and none is parsed.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

namespace {

// Counts what ran: Catch2 calls a filter that it cannot parse a success.
int cases_run = 0;
struct CaseCounter : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo& /*info*/) override { ++cases_run; }
};
CATCH_REGISTER_LISTENER(CaseCounter)

// The name as a Catch2 test spec in which every character is text.
std::string exact_spec(const std::string& name) {
  std::string spec;
  for (const char c : name) {
    if (std::strchr("\\\",[]*~", c) != nullptr) spec += '\\';
    spec += c;
  }
  return spec;
}

std::string bracketed(const std::string& text) {
  return "[==[" + text + "]==]";
}

int write_ctest_list(const Catch::IConfig& config, const char* file, const std::string& prefix,
                     const std::string& program) {
  std::ofstream out(file);
  for (const auto& test : Catch::getRegistryHub().getTestCaseRegistry().getAllTestsSorted(config)) {
    if (test.isHidden()) continue;
    const std::string name = bracketed(prefix + test.name);
    out << "add_test(" << name << ' ' << bracketed(program) << ' '
        << bracketed(exact_spec(test.name)) << " --warn NoTests)\n"
        << "set_tests_properties(" << name
        << " PROPERTIES ${properties} ENVIRONMENT \"${environment}\")\n";
  }
  out.close();
  return out ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Catch::Session session;
  if (argc == 5 && std::strcmp(argv[1], "--write-ctest-list") == 0) {
    return write_ctest_list(session.config(), argv[2], argv[3], argv[4]);
  }
  const int result = session.run(argc, argv);
  const bool must_run = (session.configData().warnings & Catch::WarnAbout::NoTests) != 0;
  if (result == 0 && must_run && cases_run == 0) {
    std::fprintf(stderr, "no test case has this name\n");
    return 1;
  }
  return result;
}
