// Histories as text: what is written is read again, what is wrong is named, and the program that
// checks them.
#include "history_file.h"

#include <sys/wait.h>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "random_history.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::history;
using Catch::Matchers::Contains;
using support::Call;
using support::Operation;
using support::Outcome;

namespace {

// An operation's two lines, in any history: index and time are its places.
std::string lines_of(const std::vector<Operation>& operations) {
  std::map<std::uint64_t, std::string> lines;
  for (const Operation& operation : operations) {
    const auto time = [](std::uint64_t place) { return static_cast<std::int64_t>(place) * 10; };
    lines[operation.invoked] =
        to_line(invocation(operation, operation.invoked, time(operation.invoked)));
    if (operation.outcome == Outcome::kInfo) continue;
    lines[operation.completed] =
        to_line(completion(operation, operation.completed, time(operation.completed), "why"));
  }
  std::string text;
  for (const auto& [place, line] : lines) text += line;
  return text;
}

std::string error_of(const std::string& text) {
  const auto history = read_history(text);
  return history ? "no error" : history.error().message;
}

// A line with some of its fields replaced, in order of name.
std::string line(const std::string& process, const std::string& type, const std::string& f,
                 const std::string& value, int index = 1) {
  return R"({"index":)" + std::to_string(index) + R"(,"time":5,"process":)" + process +
         R"(,"type":")" + type + R"(","f":")" + f + R"(","key":"k","value":)" + value + "}\n";
}

int exit_code_of_check(const std::filesystem::path& file) {
  const std::string command = std::string(std::getenv("BIB_BIB_HISTORY")) + " check " +
                              file.string() + " > " + file.string() + ".out 2>&1";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("the lines of a history are what the documents say") {
  Operation cas;
  cas.process = 3;
  cas.call = Call::kWrite;
  cas.key = "k";
  cas.value = "a\"\n";
  cas.expected = 7;
  CHECK(to_line(invocation(cas, 1, 1200)) ==
        R"({"index":1,"time":1200,"process":3,"type":"invoke","f":"cas","key":"k",)"
        R"("value":{"expected":7,"value":"a\"\n"}})"
        "\n");
  cas.outcome = Outcome::kOk;
  cas.revision = 8;
  CHECK(to_line(completion(cas, 2, 1900, "")) ==
        R"({"index":2,"time":1900,"process":3,"type":"ok","f":"cas","key":"k",)"
        R"("value":{"revision":8}})"
        "\n");
  Operation read;
  read.key = "k";
  read.outcome = Outcome::kOk;
  read.revision = 0;
  CHECK(to_line(completion(read, 3, 2000, "")) ==
        R"({"index":3,"time":2000,"process":0,"type":"ok","f":"read","key":"k",)"
        R"("value":{"value":null,"revision":0}})"
        "\n");
  read.outcome = Outcome::kFail;
  read.revision.reset();
  CHECK(to_line(completion(read, 4, 2000, "timeout")) ==
        R"({"index":4,"time":2000,"process":0,"type":"fail","f":"read","key":"k",)"
        R"("value":null,"error":"timeout"})"
        "\n");
}

TEST_CASE("a history that was written is read again as it was") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    wire::Prng random(seed);
    RandomHistoryOptions options;
    options.operations = 1;
    std::vector<Operation> history;
    for (std::uint64_t i = 0; i < 30; ++i) {
      // One after another, so that no two events share a place.
      Operation operation = random_history(random, options).front();
      operation.process = static_cast<int>(i);
      operation.invoked = 10 * i + 1;
      operation.completed =
          operation.outcome == Outcome::kInfo ? 0 : 10 * i + 1 + random.between(1, 9);
      history.push_back(std::move(operation));
    }
    const auto again = read_history(lines_of(history));
    INFO("seed " << seed);
    REQUIRE(again);
    REQUIRE(again->size() == history.size());
    for (std::size_t i = 0; i < history.size(); ++i) {
      INFO(support::to_string(history[i]) << "\n" << support::to_string((*again)[i]));
      CHECK(support::to_string(history[i]) == support::to_string((*again)[i]));
    }
  }
}

TEST_CASE("faults are listed between the calls and say nothing about them") {
  const auto history = read_history(line("1", "invoke", "write", R"({"value":"a"})", 1) +
                                    line("\"nemesis\"", "info", "kill", "null", 2) +
                                    line("1", "ok", "write", R"({"revision":1})", 3));
  REQUIRE(history);
  REQUIRE(history->size() == 1);
  CHECK(history->front().completed == 3);
}

TEST_CASE("a call without an answer is of unknown outcome, and so is one that says so") {
  const auto history = read_history(line("1", "invoke", "write", R"({"value":"a"})", 1) +
                                    line("2", "invoke", "delete", "null", 2) +
                                    line("1", "info", "write", "null", 3) + "\n");
  REQUIRE(history);
  REQUIRE(history->size() == 2);
  CHECK((*history)[0].outcome == Outcome::kInfo);
  CHECK((*history)[1].outcome == Outcome::kInfo);
}

TEST_CASE("a line that is no event is refused with its number and the field") {
  const std::string good = line("1", "invoke", "read", "null");
  CHECK(error_of(good) == "no error");
  CHECK_THAT(error_of(good + "{\n"), Contains("line 2: not a JSON object"));
  CHECK_THAT(error_of("[]\n"), Contains("line 1: not a JSON object"));
  CHECK_THAT(error_of(line("-1", "invoke", "read", "null")), Contains("'process'"));
  CHECK_THAT(error_of(line("\"other\"", "invoke", "read", "null")), Contains("'process'"));
  CHECK_THAT(error_of(line("1", "begin", "read", "null")), Contains("'type' is 'begin'"));
  CHECK_THAT(error_of(line("1", "invoke", "append", "null")), Contains("'f' is 'append'"));
  CHECK_THAT(error_of(line("1", "invoke", "read", "7")), Contains("'value'"));
  CHECK_THAT(error_of(line("1", "invoke", "read", R"({"size":1})")), Contains("'size'"));
  CHECK_THAT(error_of(line("1", "invoke", "write", "null")), Contains("no 'value' to write"));
  CHECK_THAT(error_of(line("1", "invoke", "write", R"({"value":7})")), Contains("not a text"));
  CHECK_THAT(error_of(line("1", "invoke", "cas", R"({"value":"a"})")), Contains("'expected'"));
  CHECK_THAT(error_of(line("1", "invoke", "cas", R"({"value":"a","expected":-1})")),
             Contains("'expected' is not a whole number"));
  CHECK_THAT(error_of(line("1", "invoke", "read", R"({"expected":1})")), Contains("'expected'"));
  CHECK_THAT(error_of(line("1", "invoke", "read", R"({"revision":1})")), Contains("'revision'"));
  CHECK_THAT(error_of(good + line("1", "ok", "read", R"({"revision":1})", 2)),
             Contains("line 2: a read's ok has no 'value'"));
  CHECK_THAT(error_of(line("\"nemesis\"", "ok", "kill", "null")), Contains("info"));
  CHECK_THAT(error_of(R"({"index":1,"time":5,"process":1,"type":"invoke","f":"read","key":"k"})"),
             Contains("'value' is missing"));
  CHECK_THAT(
      error_of(R"({"index":1,"time":5,"process":1,"type":"invoke","f":"read","value":null})"),
      Contains("'key' is missing"));
  CHECK_THAT(error_of(R"({"indx":1})"), Contains("unknown field 'indx'"));
  CHECK_THAT(error_of(std::string(kLineSizeMax + 1, ' ')), Contains("longer than"));
}

TEST_CASE("events that cannot follow one another are refused") {
  const std::string call = line("1", "invoke", "read", "null", 4);
  CHECK_THAT(error_of(call + line("2", "invoke", "read", "null", 4)),
             Contains("line 2: index 4 after index 4"));
  CHECK_THAT(error_of(call + line("1", "invoke", "read", "null", 5)),
             Contains("process 1 calls before its call at index 4 is answered"));
  CHECK_THAT(error_of(call + line("2", "ok", "read", R"({"value":null})", 5)),
             Contains("process 2 is answered and has not called"));
  CHECK_THAT(error_of(call + line("1", "ok", "delete", "null", 5)),
             Contains("answered for another call"));
  std::string earlier = line("2", "invoke", "read", "null", 5);
  earlier.replace(earlier.find("\"time\":5"), 8, "\"time\":4");
  CHECK_THAT(error_of(call + earlier), Contains("time 4 after time 5"));
}

TEST_CASE("a history cut at any byte is read as far as it goes, or refused") {
  wire::Prng random(1);
  const std::string text = line("1", "invoke", "write", R"({"value":"a"})", 1) +
                           line("1", "ok", "write", R"({"revision":1})", 2);
  for (std::size_t size = 0; size < text.size(); ++size) {
    const auto history = read_history(text.substr(0, size));
    const bool ends_with_a_line = size == 0 || text[size - 1] == '\n' || text[size] == '\n';
    INFO(size);
    CHECK(history.has_value() == ends_with_a_line);
    for (int i = 0; i < 20; ++i) {
      std::string damaged = text;
      damaged[size] = static_cast<char>(random.below(256));
      (void)read_history(damaged);
    }
  }
}

TEST_CASE("bib_history says right, wrong or unreadable by its exit code, and shows why") {
  const support::TempDir scratch;
  const std::string write = line("1", "invoke", "write", R"({"value":"a"})", 1) +
                            line("1", "ok", "write", R"({"revision":1})", 2) +
                            line("1", "invoke", "read", "null", 3);
  support::write_file(scratch / "right",
                      write + line("1", "ok", "read", R"({"value":"a","revision":1})", 4));
  CHECK(exit_code_of_check(scratch / "right") == 0);
  support::write_file(scratch / "wrong", write + line("1", "ok", "read", R"({"value":null})", 4));
  CHECK(exit_code_of_check(scratch / "wrong") == 1);
  const std::string said = support::read_file(scratch / "wrong.out");
  CHECK_THAT(said, Contains("not linearizable: key 'k'"));
  CHECK_THAT(said, Contains("p1 read: ok, saw not set   [3, 4]"));
  support::write_file(scratch / "damaged", write + "x\n");
  CHECK(exit_code_of_check(scratch / "damaged") == 3);
  CHECK(exit_code_of_check(scratch / "absent") == 3);
}
